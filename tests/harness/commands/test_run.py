"""``bench run`` and ``bench ablate``: failures have records and stop no other run; interrupts and kills resume."""

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from tests.making import (
    HUNG_SECONDS,
    TRACK,
    USUAL,
    bench,
    write_generator,
    write_generator_track,
    write_submission,
    write_track,
)

TRACEBACK = ("Traceback", 'File "')

# name: (changes of the valid submission, status of its record, text of the reason, exit code of the command)
FAILURES: dict[str, tuple[dict[str, str], str, str, int]] = {
    "over_cap": ({"network": "self.wide = nn.Linear(50, 60)"}, "cap", "params, cap 2,000", 4),
    "raises": ({"loss": 'raise KeyError("my mistake")'}, "error", "my mistake' (model.py, line", 3),
    "raises_late": (
        {"loss": "if step == 7 and self.schedule.total_steps == 12: raise OSError(5)"},
        "error",
        "OSError",
        3,
    ),
    "wrong_shape": ({"predict": "return logits[:, :3]"}, "contract", "must return (16, 4) torch.float32", 4),
    "wrong_dtype": ({"predict": "return logits.double()"}, "contract", "torch.float64", 4),
    "nan_logits": ({"predict": "return logits * float('nan')"}, "nan", "logits that are not finite", 3),
    "no_loss": ({"step": "return {}"}, "contract", "must return a dict of tensors with the key 'loss'", 4),
    "dies": ({"loss": "import os; os.kill(os.getpid(), 9)"}, "signal", "killed by SIGKILL", 3),
    "cannot_be_saved": ({"init": "self.thing = object()"}, "contract", "self.thing is a object", 4),
}


def records(results: Path) -> dict[tuple[str, int], Record]:
    loaded = [read_record(path) for path in record_paths(results)]
    return {(record.identity.submission, record.identity.seed): record for record in loaded}


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    track, results = write_track(folder), folder / "results"
    # Two jobs have one thread each; processes with two threads are very slow under background load.
    # The quick profile has shorter speed measurements.
    options = ("--track", track, "--results", results, "--device", "cpu", "--jobs", 2, "--profile", "quick")
    return bench("run", *options, *arguments, **environment)


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run a valid submission and all failing ones with one command."""
    folder = tmp_path_factory.mktemp("contest")
    write_submission(folder / "submissions", "honest")
    for name, (changes, *_) in FAILURES.items():
        write_submission(folder / "submissions", name, changes)
    write_submission(folder / "submissions", "bad_field", manifest="track: tiny\nclaims: {parms: 12}\n")
    (folder / "submissions" / "README.md").write_text("not a submission")
    paths = sorted((folder / "submissions").iterdir())
    result = run(folder, *paths, "--seeds", 1)
    return {"folder": folder, "result": result, "records": records(folder / "results")}


@pytest.mark.parametrize("name", FAILURES)
def test_failing_submission_has_a_record_with_the_reason(contest: dict[str, Any], name: str) -> None:
    _, status, reason, _ = FAILURES[name]
    record = contest["records"][name, 0]
    assert record.status == status, record.reason
    assert reason in record.reason
    assert "\n" not in record.reason
    assert not record.ranked


def test_other_submissions_finish_and_the_worst_exit_code_is_returned(contest: dict[str, Any]) -> None:
    honest = contest["records"]["honest", 0]
    assert honest.status == "ok" and honest.training.steps == 12
    assert contest["result"].returncode == 4
    assert not any(text in contest["result"].stderr for text in TRACEBACK)
    finished = [json.loads(line) for line in contest["result"].stderr.splitlines()]
    assert sum(event["event"] == "finished" for event in finished) == 1 + len(FAILURES)


def test_unknown_manifest_field_is_named(contest: dict[str, Any]) -> None:
    message = next(line for line in contest["result"].stderr.splitlines() if "bad_field" in line)
    assert "submission.yaml: unknown field `claims.parms`; did you mean `params`?" in message


def test_record_of_a_crash_keeps_the_last_lines_of_output(contest: dict[str, Any]) -> None:
    # One crashes in the run, one in verification.
    assert any("OSError" in line for line in contest["records"]["raises_late", 0].log_tail)
    assert any("my mistake" in line for line in contest["records"]["raises", 0].log_tail)
    assert not any(str(Path(__file__).parents[3]) in line for line in contest["records"]["raises", 0].log_tail)


@pytest.mark.parametrize("name", ["over_cap", "raises", "wrong_shape", "bad_field"])
def test_verify_returns_the_same_exit_codes(contest: dict[str, Any], name: str) -> None:
    folder = contest["folder"]
    result = bench("verify", folder / "submissions" / name, "--track", folder / "tiny.yaml", "--device", "cpu")
    expected = {"over_cap": 4, "raises": 3, "wrong_shape": 4, "bad_field": 2}[name]
    assert result.returncode == expected, result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_repeated_command_has_nothing_to_do(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    first = run(tmp_path, tmp_path / "honest")
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in record_paths(tmp_path / "results")}
    assert len(before) == 2
    second = run(tmp_path, tmp_path / "honest")
    assert second.returncode == 0
    assert "nothing to do" in second.stderr and '"started"' not in second.stderr
    assert before == {path: path.read_bytes() for path in record_paths(tmp_path / "results")}


def test_damaged_and_foreign_records_are_set_aside_and_run_again(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    assert run(tmp_path, tmp_path / "honest").returncode == 0
    first, second = record_paths(tmp_path / "results")
    originals = records(tmp_path / "results")
    second.write_bytes(first.read_bytes())  # the record of seed 0 under the name of seed 1
    first.write_bytes(first.read_bytes()[:-50])
    again = run(tmp_path, tmp_path / "honest")
    assert again.returncode == 0
    assert "not a JSON record" in again.stderr and "is the record of another run (seed 0)" in again.stderr
    assert all(path.with_suffix(".unusable").exists() for path in (first, second))
    for key, record in records(tmp_path / "results").items():
        assert record.without_times() == originals[key].without_times()


def test_two_runs_of_a_seed_differ_only_in_times(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    contents = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        assert run(tmp_path / folder, tmp_path / "honest", "--seeds", "3,").returncode == 0
        (record,) = records(tmp_path / folder / "results").values()
        contents.append(record.without_times())
    assert contents[0] == contents[1]
    assert contents[0]["training"]["curves"]["values"]["loss"]


VARIANTS = """
track: tiny
claims: {top1_accuracy: 0.5}
ablations:
  wide: {what: ten times as wide, set: {width: 80}, reports: {top1_accuracy: 0.75}}
  longer: {what: twice as long, steps: 24}
  broken: {set: {widht: 4}}
"""


def test_ablate_runs_variants_and_prints_their_effects(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest", manifest=VARIANTS)
    track = write_track(tmp_path)
    options = ("--track", track, "--results", tmp_path / "r", "--device", "cpu", "--jobs", 2, "--profile", "quick")
    result = bench("ablate", tmp_path / "honest", *options, "--variants", "wide,longer", "--table", "github")
    assert result.returncode == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines() if "|" in line]
    assert [row[0] for row in rows[2:]] == [
        "none (base)",
        "ten times as wide (`wide`)",
        "twice as long (`longer`)",
    ]
    assert [row[1:3] for row in rows[2:]] == [["276", "12"], ["2,724", "12"], ["276", "24"]]
    assert [row[-1] for row in rows[2:]] == ["", "over the cap", "over the budget"]
    assert rows[3][-2] == "+25.00" and "[" in rows[3][4]
    by_variant = {read_record(path).identity.variant: read_record(path) for path in record_paths(tmp_path / "r")}
    assert by_variant["longer"].training is not None and by_variant["longer"].training.steps == 24
    assert "24 steps, budget 12" in by_variant["longer"].unranked_because and not by_variant["wide"].ranked
    assert by_variant["wide"].status == "ok"

    # All variants: one cannot be built, which is reported and does not stop the others.
    again = bench("ablate", tmp_path / "honest", *options)
    assert again.returncode == 4 and "Config has no field 'widht'" in again.stderr
    assert "2 failed" in again.stdout and again.stdout.count("none (base)") == 1
    assert again.stderr.count('"started"') == 0


def test_sampling_cost_includes_evaluations_hidden_during_verification(tmp_path: Path) -> None:
    # Verification samples few images, evaluation whole batches.
    cheat = {"evaluated": "if len(labels) > 4: model(x); model(x)"}
    write_generator(tmp_path, "cheat", cheat)
    write_generator(tmp_path, "honest")
    track = write_generator_track(tmp_path)
    options = ("--track", track, "--results", tmp_path / "r", "--device", "cpu", "--jobs", 2, "--profile", "quick")
    result = bench("run", tmp_path / "cheat", tmp_path / "honest", *options, "--seeds", 1)
    assert result.returncode == 0
    by_submission = records(tmp_path / "r")
    honest, cheat = by_submission["honest", 0].cost, by_submission["cheat", 0].cost
    assert (honest.evaluations_per_sample, cheat.evaluations_per_sample) == (3, 9)
    assert honest.warnings == [] and cheat.macs_per_image == 3 * honest.macs_per_image
    assert "9.00 times per image, but 3 times during verification" in cheat.warnings[0]


def test_failed_run_is_repeated_only_with_retry(tmp_path: Path) -> None:
    repaired = tmp_path / "healed"
    no_sandbox = ("--sandbox", "none")  # the file would not be visible in a sandbox
    write_submission(
        tmp_path, "failing", {"loss": f"import os\nif not os.path.exists({str(repaired)!r}): raise OSError(5)"}
    )
    assert run(tmp_path, tmp_path / "failing", "--seeds", 1, *no_sandbox).returncode == 3
    repaired.touch()
    again = run(tmp_path, tmp_path / "failing", "--seeds", 1, *no_sandbox)
    assert again.returncode == 3 and "--retry failed" in again.stderr
    assert run(tmp_path, tmp_path / "failing", "--seeds", 1, *no_sandbox, "--retry", "failed").returncode == 0
    (record,) = records(tmp_path / "results").values()
    assert record.status == "ok" and record.timing.attempt == 2
    assert len(list((tmp_path / "results").rglob("*.attempt1.json"))) == 1


def test_two_commands_on_one_results_folder_share_the_runs(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    track = write_track(tmp_path)
    command = [sys.executable, "-m", "bench", "run", tmp_path / "honest", "--track", track, "--results", tmp_path]
    options = ["--profile", "quick", "--jobs", "2", "--seeds", "3", "--device", "cpu"]
    processes = [
        subprocess.Popen(
            [str(x) for x in [*command, *options]], stderr=subprocess.PIPE, text=True, env={**os.environ, **USUAL}
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=HUNG_SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    started = [json.loads(line) for output in outputs for line in output.splitlines() if '"started"' in line]
    assert sorted(event["seed"] for event in started) == [0, 1, 2]  # each seed once
    assert len(records(tmp_path)) == 3 and all(r.timing.attempt == 1 for r in records(tmp_path).values())


def test_unwritable_record_fails_only_its_own_run(tmp_path: Path) -> None:
    for name in ("honest", "robbed"):
        write_submission(tmp_path, name)
    # A file in place of the folder for this submission's records.
    track_folder = tmp_path / "results" / "runs" / "tiny"
    track_folder.mkdir(parents=True)
    (track_folder / "robbed").write_text("in the way")
    result = run(tmp_path, tmp_path / "honest", tmp_path / "robbed", "--seeds", 1)
    assert result.returncode in (2, 3) and "Traceback" not in result.stderr
    assert "robbed seed 0:" in result.stderr
    assert list(records(tmp_path / "results")) == [("honest", 0)]


def test_full_disk_fails_only_the_run_that_filled_it(tmp_path: Path) -> None:
    """The results are on a file system of 2 MB, which one of three submissions fills."""
    greedy = "import sys\nif step == 7:\n    open(sys.argv[2] + '/much', 'wb').write(bytes(2**24))"
    for name, changes in (("a_honest", {}), ("b_greedy", {"loss": greedy}), ("c_honest", {})):
        write_submission(tmp_path / "submissions", name, changes)
    results = tmp_path / "results"
    results.mkdir()
    exit_code_file, copied_runs = tmp_path / "exit_code", tmp_path / "copied_runs"
    with_forked_phases = "import sys; from tests.making import bench; sys.exit(bench(*sys.argv[1:]).returncode)"
    command = [sys.executable, "-c", with_forked_phases, "run", *sorted((tmp_path / "submissions").iterdir())]
    options = ["--track", write_track(tmp_path), "--results", results, "--profile", "quick", "--seeds", 1]
    limits = ["--jobs", 1, "--device", "cpu", "--sandbox", "none"]
    line = shlex.join(map(str, [*command, *options, *limits]))
    run_and_keep = f"{line}; echo $? > {exit_code_file}; cp -r {results}/runs {copied_runs}"
    script = f"mount -t tmpfs -o size=2m tmpfs {results} && {{ {run_and_keep}; }}"
    in_namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        result = subprocess.run(in_namespace, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare, of util-linux")
    if not exit_code_file.exists():
        pytest.skip(f"no file system can be mounted here: {result.stderr.strip()[-200:]}")
    by_submission = {r.identity.submission: r for r in map(read_record, copied_runs.rglob("seed*.json"))}
    assert {name: record.status for name, record in by_submission.items()} == {
        "a_honest": "ok",
        "b_greedy": "error",
        "c_honest": "ok",
    }, result.stderr[-2000:]
    assert (
        "No space left on device" in (by_submission["b_greedy"].reason or "")
        and exit_code_file.read_text().strip() == "3"
    )


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    result = run(tmp_path, tmp_path / "honest", "--dry-run")
    assert result.returncode == 0 and '"estimate"' in result.stderr
    assert not (tmp_path / "results").exists()


def test_unwritable_results_folder_stops_before_any_run(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    (tmp_path / "results").write_text("a file where the folder should be")
    result = run(tmp_path, tmp_path / "honest")
    assert result.returncode == 2
    assert "results: cannot be written" in result.stderr and "Traceback" not in result.stderr


def test_empty_and_missing_folders_have_different_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run(tmp_path, tmp_path / "empty").returncode == 5
    assert run(tmp_path, tmp_path / "absent").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1,1"], "--seeds '1,1'"),
        (["--seeds", "many"], "--seeds 'many'"),
        (["--profile", "huge"], "no profile 'huge'"),
        (["--device", "tpu"], "--device 'tpu'"),
        (["--variants", "nope"], "no variant 'nope'"),
        (["--retry", "all"], "--retry 'all'"),
    ],
)
def test_usage_errors_have_no_traceback(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_submission(tmp_path, "honest")
    result = run(tmp_path, tmp_path / "honest", *arguments)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("honest", ["--table", "csv"], "--table 'csv': give markdown"),
        ("honest", ["--variants", "nope"], "no variant 'nope'; it has base"),
        (".", [], "give the folder of one submission"),
        ("absent", [], "no such folder"),
    ],
)
def test_ablate_refuses_invalid_arguments_before_any_run(
    tmp_path: Path, path: str, arguments: list[str], message: str
) -> None:
    write_submission(tmp_path, "honest")
    options = ("--track", write_track(tmp_path), "--results", tmp_path / "r", "--profile", "quick")
    result = bench("ablate", tmp_path / path, *options, *arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
    assert not list((tmp_path / "r").rglob("*.json")) and result.stdout == ""


def test_damaged_data_stops_only_its_own_track(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cifar-100-python"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / part).write_bytes(b"\x80\x02}q\x00(U\x09filenames")
    write_submission(tmp_path, "honest", manifest="track: addnist-classification\n")
    write_submission(tmp_path, "on_cifar", manifest="track: cifar100-classification\n")
    folders = ("--data-root", tmp_path / "data", "--results", tmp_path / "results")
    submissions = (tmp_path / "honest", tmp_path / "on_cifar")
    result = bench("run", *submissions, "--profile", "smoke", "--seeds", 1, "--device", "cpu", *folders)
    assert result.returncode == 2
    assert "on_cifar" in result.stderr and "truncated or altered" in result.stderr
    assert records(tmp_path / "results")["honest", 0].status == "ok"


def await_file(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    """Wait, without a timeout, for a file that matches ``pattern`` while ``process`` runs."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # a folder was removed during the search
            if any(folder.rglob(pattern)):
                return
        time.sleep(0.1)
    pytest.fail(f"the process ended before {pattern} existed")


@pytest.mark.parametrize(
    ("signal_number", "exit_code", "awaited"),
    [
        (signal.SIGINT, 130, "checkpoint.pt"),  # during training
        (signal.SIGTERM, 143, "verify/spec.json"),  # during verification
        (signal.SIGHUP, 129, "checkpoint.pt"),  # the terminal was closed
    ],
)
def test_signal_stops_all_children_and_explains_how_to_resume(
    tmp_path: Path, signal_number: signal.Signals, exit_code: int, awaited: str
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    write_submission(tmp_path, "honest")
    track = write_track(tmp_path, TRACK.replace("steps: 12", "steps: 100000"))
    arguments = [
        "run",
        tmp_path / "honest",
        "--track",
        track,
        "--results",
        tmp_path / "results",
        "--profile",
        "quick",
        "--jobs",
        "2",
    ]
    # A shell script ignores SIGINT for background commands; bench has to handle it anyway.
    ignored = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if signal_number is signal.SIGINT else []
    with subprocess.Popen(
        [*ignored, sys.executable, "-m", "bench", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BENCH_CHECKPOINT_SECONDS": "0", "TMPDIR": str(scratch)},
    ) as process:
        assert process.stderr is not None
        await_file(tmp_path, awaited, process)
        for _ in range(4):  # repeated signals must not break the shutdown
            process.send_signal(signal_number)
            time.sleep(0.05)
        output = process.stderr.read()
        assert process.wait(timeout=HUNG_SECONDS) == exit_code
    assert "checkpoints are kept, repeat the command to resume" in output and "Traceback" not in output
    assert list((tmp_path / "results").rglob("checkpoint.pt")) or awaited != "checkpoint.pt"
    assert not list(scratch.iterdir())
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listing


@pytest.mark.processes
@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_resume_bit_identically(tmp_path: Path, kills: int) -> None:
    """kill -9 of the parent at random moments, in every phase; the records equal those of an uninterrupted run."""
    steps = TRACK.replace("steps: 12", "steps: 300")
    write_submission(tmp_path, "honest")
    for results_name in ("uninterrupted", "killed"):
        (tmp_path / results_name).mkdir()
        write_track(tmp_path / results_name, steps)
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        tmp_path / "honest",
        "--device",
        "cpu",
        "--jobs",
        2,
        "--profile",
        "quick",
    ]

    def arguments(results_name: str) -> list[str]:
        return [
            str(x)
            for x in [
                *command,
                "--track",
                tmp_path / results_name / "tiny.yaml",
                "--results",
                tmp_path / results_name,
            ]
        ]

    # Checkpoint after every step.
    environment = {**os.environ, "BENCH_CHECKPOINT_SECONDS": "0"}
    started = time.monotonic()
    assert (
        subprocess.run(arguments("uninterrupted"), env=environment, capture_output=True, check=False).returncode
        == 0
    )
    uninterrupted_seconds = time.monotonic() - started
    uninterrupted, moments = records(tmp_path / "uninterrupted"), random.Random(0)
    assert len(uninterrupted) == 2

    def check() -> None:
        killed = records(tmp_path / "killed")
        for key, record in uninterrupted.items():
            assert record.without_times() == killed[key].without_times()
        assert not list(tmp_path.rglob("work"))

    injected = 0
    while injected < kills:
        process = subprocess.Popen(arguments("killed"), env=environment, stderr=subprocess.DEVNULL)
        try:
            # Kill in turn in the first, second and last third of the run time.
            process.wait(timeout=(0.1 + 0.8 * (injected % 3 + moments.random()) / 3) * uninterrupted_seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            injected += 1
        if process.wait() == 0 and injected < kills:  # it finished before the kill: start again
            check()
            shutil.rmtree(tmp_path / "killed" / "runs")
    assert subprocess.run(arguments("killed"), env=environment, capture_output=True, check=False).returncode == 0
    check()


def test_record_has_precision_and_execution_of_its_steps(tmp_path: Path) -> None:
    net = write_submission(tmp_path, "net")
    for precision in ("fp32", "bf16"):
        result = run(tmp_path, net, "--seeds", 1, "--precision", precision)
        assert result.returncode == 0, result.stderr
    loaded = {path.stem: read_record(path) for path in record_paths(tmp_path / "results")}
    by_precision = {record.identity.precision: record for record in loaded.values()}
    assert set(by_precision) == {"fp32", "bf16"} and len(loaded) == 2  # one run each
    for precision, record in by_precision.items():
        execution = {"precision": precision, "compiled": False, "memory_format": "channels_last"}
        assert record.environment["execution"] == execution
        assert set(record.timing.training_steps_per_s_tried) == {"eager"}  # too short to try more
    rates = {p: record.timing.training_steps_per_s for p, record in by_precision.items()}
    assert {p: rate.dtype for p, rate in rates.items() if rate} == {"fp32": "float32", "bf16": "bfloat16"}
    assert by_precision["fp32"].training != by_precision["bf16"].training
    again = run(tmp_path, net, "--seeds", 1, "--compile", "off")
    assert "nothing to do" in again.stderr  # compilation does not change the identity of a run


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--precision", "fp16"), "--precision 'fp16': give fp32, tf32 or bf16"),
        (("--precision", "tf32"), "--precision tf32: TF32 needs an NVIDIA GPU, but the device is the CPU"),
        (("--speeds", "fast"), "--speeds 'fast': give auto, alone or shared"),
        (("--compile", "yes"), "--compile 'yes': give auto, on, off or graph"),
        (("--compile", "graph"), "--compile graph: CUDA graphs need an NVIDIA GPU"),
    ],
)
def test_invalid_execution_options_are_refused(tmp_path: Path, option: tuple[str, str], message: str) -> None:
    result = run(tmp_path, write_submission(tmp_path, "net"), *option)
    assert result.returncode == 2 and message in result.stderr

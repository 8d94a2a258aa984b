"""``bench run`` as a user meets it: what breaks is named, and costs nobody else anything."""

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

NEVER_ONE_LINE = ("Traceback", 'File "')

# name: (what it changes, status of its record, what the reason says, exit code of the command)
OFFENDERS: dict[str, tuple[dict[str, str], str, str, int]] = {
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
    found = [read_record(path) for path in record_paths(results)]
    return {(record.identity.submission, record.identity.seed): record for record in found}


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    track, results = write_track(folder), folder / "results"
    # Two side by side means one thread each: two-thread processes crawl beside anything else that is busy.
    # The quick profile measures speed for a shorter time.
    options = ("--track", track, "--results", results, "--device", "cpu", "--jobs", 2, "--profile", "quick")
    return bench("run", *options, *arguments, **environment)


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One command over an honest submission and every offender, run once for all tests of this module."""
    folder = tmp_path_factory.mktemp("contest")
    write_submission(folder / "submissions", "honest")
    for name, (changes, *_) in OFFENDERS.items():
        write_submission(folder / "submissions", name, changes)
    write_submission(folder / "submissions", "bad_field", manifest="track: tiny\nclaims: {parms: 12}\n")
    (folder / "submissions" / "README.md").write_text("not a submission")
    paths = sorted((folder / "submissions").iterdir())
    done = run(folder, *paths, "--seeds", 1)
    return {"folder": folder, "done": done, "records": records(folder / "results")}


@pytest.mark.parametrize("name", OFFENDERS)
def test_each_offender_has_a_record_that_says_why(contest: dict[str, Any], name: str) -> None:
    _, status, reason, _ = OFFENDERS[name]
    record = contest["records"][name, 0]
    assert record.status == status, record.reason
    assert reason in record.reason
    assert "\n" not in record.reason
    assert not record.ranked


def test_the_others_finish_and_the_gravest_code_is_returned(contest: dict[str, Any]) -> None:
    honest = contest["records"]["honest", 0]
    assert honest.status == "ok" and honest.training.steps == 12
    assert contest["done"].returncode == 4
    assert not any(text in contest["done"].stderr for text in NEVER_ONE_LINE)
    finished = [json.loads(line) for line in contest["done"].stderr.splitlines()]
    assert sum(event["event"] == "finished" for event in finished) == 1 + len(OFFENDERS)


def test_a_bad_field_is_named(contest: dict[str, Any]) -> None:
    message = next(line for line in contest["done"].stderr.splitlines() if "bad_field" in line)
    assert "submission.yaml: unknown field `claims.parms`; remove it or correct its spelling" in message


def test_a_crash_keeps_the_last_lines(contest: dict[str, Any]) -> None:
    # One in a run of its own, one in verification.
    assert any("OSError" in line for line in contest["records"]["raises_late", 0].log_tail)
    assert any("my mistake" in line for line in contest["records"]["raises", 0].log_tail)
    assert not any(str(Path(__file__).parents[3]) in line for line in contest["records"]["raises", 0].log_tail)


@pytest.mark.parametrize("name", ["over_cap", "raises", "wrong_shape", "bad_field"])
def test_verify_alone_returns_the_same_codes(contest: dict[str, Any], name: str) -> None:
    folder = contest["folder"]
    done = bench("verify", folder / "submissions" / name, "--track", folder / "tiny.yaml", "--device", "cpu")
    expected = {"over_cap": 4, "raises": 3, "wrong_shape": 4, "bad_field": 2}[name]
    assert done.returncode == expected, done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_repeating_does_nothing_and_says_so(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    first = run(tmp_path, tmp_path / "honest")
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in record_paths(tmp_path / "results")}
    assert len(before) == 2
    second = run(tmp_path, tmp_path / "honest")
    assert second.returncode == 0
    assert "nothing to do" in second.stderr and '"started"' not in second.stderr
    assert before == {path: path.read_bytes() for path in record_paths(tmp_path / "results")}


def test_damaged_and_foreign_records_are_named_set_aside_and_done_again(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    assert run(tmp_path, tmp_path / "honest").returncode == 0
    first, second = record_paths(tmp_path / "results")
    whole = records(tmp_path / "results")
    second.write_bytes(first.read_bytes())  # another seed's record under this one's name
    first.write_bytes(first.read_bytes()[:-50])
    again = run(tmp_path, tmp_path / "honest")
    assert again.returncode == 0
    assert "not a JSON record" in again.stderr and "is the record of another run (seed 0)" in again.stderr
    assert all(path.with_suffix(".unusable").exists() for path in (first, second))
    for key, record in records(tmp_path / "results").items():
        assert record.without_times() == whole[key].without_times()


def test_two_runs_of_a_seed_differ_in_times_only(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    contents = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        assert run(tmp_path / place, tmp_path / "honest", "--seeds", "3,").returncode == 0
        (record,) = records(tmp_path / place / "results").values()
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


def test_ablate_runs_every_variant_and_prints_what_it_changes(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest", manifest=VARIANTS)
    track = write_track(tmp_path)
    options = ("--track", track, "--results", tmp_path / "r", "--device", "cpu", "--jobs", 2, "--profile", "quick")
    done = bench("ablate", tmp_path / "honest", *options, "--variants", "wide,longer", "--table", "github")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    assert [row[0] for row in rows[2:]] == [
        "none (base)",
        "ten times as wide (`wide`)",
        "twice as long (`longer`)",
    ]
    assert [row[1:3] for row in rows[2:]] == [["276", "12"], ["2,724", "12"], ["276", "24"]]
    assert [row[-1] for row in rows[2:]] == ["", "over the cap", "over the budget"]
    assert rows[3][-2] == "+25.00" and "[" in rows[3][4]
    found = {read_record(path).identity.variant: read_record(path) for path in record_paths(tmp_path / "r")}
    assert found["longer"].training is not None and found["longer"].training.steps == 24
    assert "24 steps, budget 12" in found["longer"].unranked_because and not found["wide"].ranked
    assert found["wide"].status == "ok"

    # The rest of them: one that cannot be built is named, and costs the others nothing.
    again = bench("ablate", tmp_path / "honest", *options)
    assert again.returncode == 4 and "Config has no field 'widht'" in again.stderr
    assert "2 failed" in again.stdout and again.stdout.count("none (base)") == 1
    assert again.stderr.count('"started"') == 0


def test_a_sampler_that_is_cheap_only_while_verified_is_charged_for_all(tmp_path: Path) -> None:
    # Verified on one image, evaluated on batches.
    cheat = {"evaluated": "if len(labels) > 4: model(x); model(x)"}
    write_generator(tmp_path, "cheat", cheat)
    write_generator(tmp_path, "honest")
    track = write_generator_track(tmp_path)
    options = ("--track", track, "--results", tmp_path / "r", "--device", "cpu", "--jobs", 2, "--profile", "quick")
    done = bench("run", tmp_path / "cheat", tmp_path / "honest", *options, "--seeds", 1)
    assert done.returncode == 0
    found = records(tmp_path / "r")
    honest, cheat = found["honest", 0].cost, found["cheat", 0].cost
    assert (honest.evaluations_per_sample, cheat.evaluations_per_sample) == (3, 9)
    assert honest.warnings == [] and cheat.macs_per_image == 3 * honest.macs_per_image
    assert "9.00 times per image, but 3 times during verification" in cheat.warnings[0]


def test_a_failed_run_is_kept_and_repeated_on_request_only(tmp_path: Path) -> None:
    flag = tmp_path / "healed"
    seen = ("--sandbox", "none")  # a sandbox would not show it the flag
    write_submission(
        tmp_path, "moody", {"loss": f"import os\nif not os.path.exists({str(flag)!r}): raise OSError(5)"}
    )
    assert run(tmp_path, tmp_path / "moody", "--seeds", 1, *seen).returncode == 3
    flag.touch()
    again = run(tmp_path, tmp_path / "moody", "--seeds", 1, *seen)
    assert again.returncode == 3 and "--retry failed" in again.stderr
    assert run(tmp_path, tmp_path / "moody", "--seeds", 1, *seen, "--retry", "failed").returncode == 0
    (record,) = records(tmp_path / "results").values()
    assert record.status == "ok" and record.timing.attempt == 2
    assert len(list((tmp_path / "results").rglob("*.attempt1.json"))) == 1


def test_two_commands_on_one_folder_share_the_work(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    track = write_track(tmp_path)
    command = [sys.executable, "-m", "bench", "run", tmp_path / "honest", "--track", track, "--results", tmp_path]
    options = ["--profile", "quick", "--jobs", "2", "--seeds", "3", "--device", "cpu"]
    both = [
        subprocess.Popen(
            [str(x) for x in [*command, *options]], stderr=subprocess.PIPE, text=True, env={**os.environ, **USUAL}
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=HUNG_SECONDS)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    started = [json.loads(line) for output in outputs for line in output.splitlines() if '"started"' in line]
    assert sorted(event["seed"] for event in started) == [0, 1, 2]  # none of them twice
    assert len(records(tmp_path)) == 3 and all(r.timing.attempt == 1 for r in records(tmp_path).values())


def test_a_record_that_cannot_be_written_costs_its_own_run_only(tmp_path: Path) -> None:
    for name in ("honest", "robbed"):
        write_submission(tmp_path, name)
    # A file where the folder of this submission's records should be.
    place = tmp_path / "results" / "runs" / "tiny"
    place.mkdir(parents=True)
    (place / "robbed").write_text("in the way")
    done = run(tmp_path, tmp_path / "honest", tmp_path / "robbed", "--seeds", 1)
    assert done.returncode in (2, 3) and "Traceback" not in done.stderr
    assert "robbed seed 0:" in done.stderr
    assert list(records(tmp_path / "results")) == [("honest", 0)]


def test_a_full_disk_costs_the_run_that_filled_it_only(tmp_path: Path) -> None:
    """On a file system of its own, of two megabytes, that one of three submissions fills."""
    greedy = "import sys\nif step == 7:\n    open(sys.argv[2] + '/much', 'wb').write(bytes(2**24))"
    for name, changes in (("a_honest", {}), ("b_greedy", {"loss": greedy}), ("c_honest", {})):
        write_submission(tmp_path / "submissions", name, changes)
    results = tmp_path / "results"
    results.mkdir()
    kept = tmp_path / "kept"
    forked = "import sys; from tests.making import bench; done = bench(*sys.argv[1:]); sys.exit(done.returncode)"
    command = [sys.executable, "-c", forked, "run", *sorted((tmp_path / "submissions").iterdir())]
    options = ["--track", write_track(tmp_path), "--results", results, "--profile", "quick", "--seeds", 1]
    limits = ["--jobs", 1, "--device", "cpu", "--sandbox", "none"]
    line = shlex.join(map(str, [*command, *options, *limits]))
    run_and_keep = f"{line}; echo $? > {kept}; cp -r {results}/runs {kept}s"
    script = f"mount -t tmpfs -o size=2m tmpfs {results} && {{ {run_and_keep}; }}"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        done = subprocess.run(inside, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare, of util-linux")
    if not kept.exists():
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()[-200:]}")
    found = {r.identity.submission: r for r in map(read_record, (tmp_path / "kepts").rglob("seed*.json"))}
    assert {name: record.status for name, record in found.items()} == {
        "a_honest": "ok",
        "b_greedy": "error",
        "c_honest": "ok",
    }, done.stderr[-2000:]
    assert "No space left on device" in (found["b_greedy"].reason or "") and kept.read_text().strip() == "3"


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    done = run(tmp_path, tmp_path / "honest", "--dry-run")
    assert done.returncode == 0 and '"estimate"' in done.stderr
    assert not (tmp_path / "results").exists()


def test_an_unwritable_results_folder_stops_before_any_work(tmp_path: Path) -> None:
    write_submission(tmp_path, "honest")
    (tmp_path / "results").write_text("a file where the folder should be")
    done = run(tmp_path, tmp_path / "honest")
    assert done.returncode == 2
    assert "results: cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_nothing_selected_has_its_own_code(tmp_path: Path) -> None:
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
def test_usage_errors_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_submission(tmp_path, "honest")
    done = run(tmp_path, tmp_path / "honest", *arguments)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("honest", ["--table", "csv"], "--table 'csv': give markdown"),
        ("honest", ["--variants", "nope"], "no variant 'nope'; it has base"),
        (".", [], "give the folder of one submission"),
        ("absent", [], "no such folder"),
    ],
)
def test_ablate_refuses_before_it_runs_anything(
    tmp_path: Path, path: str, arguments: list[str], message: str
) -> None:
    write_submission(tmp_path, "honest")
    options = ("--track", write_track(tmp_path), "--results", tmp_path / "r", "--profile", "quick")
    done = bench("ablate", tmp_path / path, *options, *arguments)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "r").rglob("*.json")) and done.stdout == ""


def test_damaged_data_stops_its_own_track_only(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cifar-100-python"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / part).write_bytes(b"\x80\x02}q\x00(U\x09filenames")
    write_submission(tmp_path, "honest", manifest="track: addnist-classification\n")
    write_submission(tmp_path, "on_cifar", manifest="track: cifar100-classification\n")
    places = ("--data-root", tmp_path / "data", "--results", tmp_path / "results")
    submissions = (tmp_path / "honest", tmp_path / "on_cifar")
    done = bench("run", *submissions, "--profile", "smoke", "--seeds", 1, "--device", "cpu", *places)
    assert done.returncode == 2
    assert "on_cifar" in done.stderr and "truncated or altered" in done.stderr
    assert records(tmp_path / "results")["honest", 0].status == "ok"


def await_file(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    """Wait until there is such a file, however long that takes, while ``process`` runs."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # a folder was removed meanwhile
            if any(folder.rglob(pattern)):
                return
        time.sleep(0.1)
    pytest.fail(f"it ended before there was {pattern}")


@pytest.mark.parametrize(
    ("number", "code", "until"),
    [
        (signal.SIGINT, 130, "checkpoint.pt"),  # in the middle of training
        (signal.SIGTERM, 143, "verify/spec.json"),  # in the middle of verifying
        (signal.SIGHUP, 129, "checkpoint.pt"),  # the terminal was closed
    ],
)
def test_interrupted_it_stops_its_children_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, code: int, until: str
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
    # A script that puts it into the background has SIGINT ignored; whoever sends one means it all the same.
    ignored = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if number is signal.SIGINT else []
    with subprocess.Popen(
        [*ignored, sys.executable, "-m", "bench", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BENCH_CHECKPOINT_SECONDS": "0", "TMPDIR": str(scratch)},
    ) as process:
        assert process.stderr is not None
        await_file(tmp_path, until, process)
        for _ in range(4):  # somebody is in a hurry
            process.send_signal(number)
            time.sleep(0.05)
        rest = process.stderr.read()
        assert process.wait(timeout=HUNG_SECONDS) == code
    assert "checkpoints are kept, repeat the command to resume" in rest and "Traceback" not in rest
    assert list((tmp_path / "results").rglob("checkpoint.pt")) or until != "checkpoint.pt"
    assert not list(scratch.iterdir())
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listing


@pytest.mark.processes
@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_same_command_completes_it(tmp_path: Path, kills: int) -> None:
    """kill -9 of the parent at random moments, in every phase; then the records equal undisturbed ones."""
    steps = TRACK.replace("steps: 12", "steps: 300")
    write_submission(tmp_path, "honest")
    for place in ("calm", "shaken"):
        (tmp_path / place).mkdir()
        write_track(tmp_path / place, steps)
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

    def arguments(place: str) -> list[str]:
        return [
            str(x) for x in [*command, "--track", tmp_path / place / "tiny.yaml", "--results", tmp_path / place]
        ]

    # A checkpoint after every step, so that most kills land between two.
    environment = {**os.environ, "BENCH_CHECKPOINT_SECONDS": "0"}
    started = time.monotonic()
    assert subprocess.run(arguments("calm"), env=environment, capture_output=True, check=False).returncode == 0
    usual_seconds = time.monotonic() - started
    calm, moments = records(tmp_path / "calm"), random.Random(0)
    assert len(calm) == 2

    def check() -> None:
        shaken = records(tmp_path / "shaken")
        for key, record in calm.items():
            assert record.without_times() == shaken[key].without_times()
        assert not list(tmp_path.rglob("work"))

    injected = 0
    while injected < kills:
        process = subprocess.Popen(arguments("shaken"), env=environment, stderr=subprocess.DEVNULL)
        try:
            # In the first third of its time, the second, the last, and again.
            process.wait(timeout=(0.1 + 0.8 * (injected % 3 + moments.random()) / 3) * usual_seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            injected += 1
        if process.wait() == 0 and injected < kills:  # it was done before it could be killed: from the start
            check()
            shutil.rmtree(tmp_path / "shaken" / "runs")
    assert subprocess.run(arguments("shaken"), env=environment, capture_output=True, check=False).returncode == 0
    check()


def test_a_record_says_how_its_steps_were_computed(tmp_path: Path) -> None:
    net = write_submission(tmp_path, "net")
    for precision in ("fp32", "bf16"):
        done = run(tmp_path, net, "--seeds", 1, "--precision", precision)
        assert done.returncode == 0, done.stderr
    found = {path.stem: read_record(path) for path in record_paths(tmp_path / "results")}
    by_precision = {record.identity.precision: record for record in found.values()}
    assert set(by_precision) == {"fp32", "bf16"} and len(found) == 2  # a run each
    for precision, record in by_precision.items():
        execution = {"precision": precision, "compiled": False, "memory_format": "channels_last"}
        assert record.environment["execution"] == execution
        assert set(record.timing.training_steps_per_s_tried) == {"eager"}  # too short to try more
    rates = {p: record.timing.training_steps_per_s for p, record in by_precision.items()}
    assert {p: rate.dtype for p, rate in rates.items() if rate} == {"fp32": "float32", "bf16": "bfloat16"}
    assert by_precision["fp32"].training != by_precision["bf16"].training
    again = run(tmp_path, net, "--seeds", 1, "--compile", "off")
    assert "nothing to do" in again.stderr  # compiling makes no other run


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--precision", "fp16"), "--precision 'fp16': give fp32, tf32 or bf16"),
        (("--precision", "tf32"), "--precision tf32: TF32 needs an NVIDIA GPU, but the device is the CPU"),
        (("--speeds", "fast"), "--speeds 'fast': give auto, alone or beside"),
        (("--compile", "yes"), "--compile 'yes': give auto, on, off or graph"),
        (("--compile", "graph"), "--compile graph: CUDA graphs need an NVIDIA GPU"),
    ],
)
def test_what_steps_cannot_be_computed_as(tmp_path: Path, option: tuple[str, str], says: str) -> None:
    done = run(tmp_path, write_submission(tmp_path, "net"), *option)
    assert done.returncode == 2 and says in done.stderr

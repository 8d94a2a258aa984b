"""`bench pack` and `bench unpack`: runs move between machines; invalid, foreign and damaged content is refused."""

import gzip
import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from bench.contract.jobs.files import CHECKPOINT
from bench.contract.records.files import read_record, record_path, record_paths, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.harness.results.packing import pack
from bench.harness.results.unpacking import unpack, unpack_command
from bench.report.records.aggregate import summarize
from bench.report.records.load import read_all
from bench.report.show import show_text
from bench.report.status import StatusOptions
from tests.making import TRACK, bench, write_submission, write_track
from tests.report.making_records import make_record


def save_record(results: Path, record: Record) -> Path:
    path = record_path(results, record.identity, record.protocol)
    write_record(path, record)
    return path


def with_weights_hash(record: Record) -> Record:
    """Return the record with the hash of ``WEIGHTS``."""
    if record.training is None:
        return record
    training = record.training.model_copy(update={"weights_sha256": hashlib.sha256(WEIGHTS).hexdigest()})
    return record.model_copy(update={"training": training})


def png(width: int = 2, height: int = 2) -> bytes:
    """Return a 2 × 2 PNG whose header claims the given size."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    content = buffer.getvalue()
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


WEIGHTS, PNG = b"w" * 1000, png()


def write_unfinished_run(results: Path, record: Record, content: bytes = b"state") -> Path:
    """Write the work folder of a run that was interrupted during training."""
    work = record_path(results, record.identity, record.protocol).with_suffix("") / "work"
    (work / "train" / "progress").mkdir(parents=True)
    (work / "evaluate").mkdir()
    for name in (
        "train/spec.json",
        "train/checkpoint.pt",
        "train/progress/step-1.png",
        "evaluate/evaluation.json",
    ):
        (work / name).write_bytes(PNG if name.endswith(".png") else content)
    return work


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "local"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return an archive from another machine: two finished runs, a failed one and one in training."""
    remote, path = tmp_path / "remote", tmp_path / "remote.tar.gz"
    for seed, accuracy in enumerate((0.5, 0.6, None)):
        record_file = save_record(remote, with_weights_hash(make_record("net", seed, accuracy)))
        record_file.with_suffix("").mkdir()
        (record_file.with_suffix("") / "weights.safetensors").write_bytes(WEIGHTS)
    write_unfinished_run(remote, make_record("net", 3))
    assert pack(remote, path) == (3, 1, 0)
    return path


def test_packed_runs_are_unpacked_unchanged(archive: Path, local: Path) -> None:
    unpacked = unpack(archive, local)
    assert (unpacked.records, unpacked.unfinished, unpacked.files, unpacked.refused) == (3, 1, 0, [])
    assert [read_record(path).status for path in record_paths(local)] == ["ok", "ok", "error"]
    (checkpoint,) = local.rglob(CHECKPOINT)
    assert checkpoint.read_bytes() == b"state" and (checkpoint.parent / "progress" / "step-1.png").exists()
    # Evaluations are not imported: the machine that writes the record evaluates.
    assert not list(local.rglob("evaluation.json"))
    again = unpack(archive, local)
    assert (again.records, again.known, again.unfinished) == (0, 3, 0)
    assert again.refused == [f"{checkpoint.parents[2]}: this run was started here too; its files here are kept"]


def test_unpacked_records_are_marked_as_made_elsewhere(
    archive: Path, local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The same record as in the archive, made locally.
    local_record = save_record(local, with_weights_hash(make_record("net", 1, 0.6)))
    unpack(archive, local)
    (row,) = summarize(read_all(local)[0])
    assert {r.identity.seed: r.made_here for r in row.records} == {0: False, 1: True, 2: False}
    (summary,) = summarize(read_all(local)[0][:1])
    assert summary.status == "ok, 1 of 5 seeds, made elsewhere, unranked"
    assert "made elsewhere" in show_text(StatusOptions(local), "seed0") and "made elsewhere" not in show_text(
        StatusOptions(local), str(local_record)
    )
    # A local run that replaces an unpacked one is not marked.
    record = make_record("net", 0, 0.51, finished_at="2026-02-01T00:00:00+00:00")
    save_record(local, record)
    assert all(r.made_here for r in read_all(local)[0] if r.identity.seed == 0)


def test_resumed_unpacked_run_is_marked_as_made_elsewhere(archive: Path, local: Path) -> None:
    """An imported checkpoint may contain weights that did not come from training."""
    unpack(archive, local)
    save_record(local, make_record("net", 3, 0.9))
    assert {r.identity.seed: r.made_here for r in read_all(local)[0]}[3] is False
    mark = next(local.rglob("seed3-*.unpacked"))
    mark.write_text("{")  # a damaged mark still counts
    assert {r.identity.seed: r.made_here for r in read_all(local)[0]}[3] is False


def test_artifacts_are_unpacked_only_with_their_own_record(tmp_path: Path, archive: Path, local: Path) -> None:
    pack(tmp_path / "remote", archive, artifacts=True)
    save_record(local, make_record("net", 1, 0.7))  # another run of the same seed, with other weights
    unpacked = unpack(archive, local)
    assert unpacked.files == 1
    assert [path.parent.name[:5] for path in local.rglob("weights.safetensors")] == ["seed0"]


def test_unpacking_overwrites_only_failed_runs(archive: Path, local: Path) -> None:
    existing = save_record(local, make_record("net", 0, 0.9))
    failed = save_record(local, make_record("net", 1, None))
    finished = save_record(local, make_record("net", 3, 0.8))
    unpacked = unpack(archive, local)
    assert read_record(existing) == make_record("net", 0, 0.9).model_copy(
        update={"checksum": read_record(existing).checksum}
    )
    assert [f"{existing}: another record of this run exists; it is kept"] == unpacked.refused
    assert read_record(failed).status == "ok"
    assert read_record(failed.with_suffix(".attempt1.json")).status == "error"
    assert not (finished.with_suffix("") / "work").exists()  # already finished locally


def test_run_in_progress_is_not_overwritten(archive: Path, local: Path) -> None:
    record = make_record("net", 0)
    lock = record_path(local, record.identity, record.protocol).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        unpacked = unpack(archive, local)
    assert unpacked.records == 2 and "this run is running here" in unpacked.refused[0]


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/etc/passwd",
        "runs/track/net/base/../../seed0-00000000.json",
        "runs/track/net/base/seed0-00000000/../../x",
        "runs/track/net/base/seed0-00000000/work/evaluate/logits.npy",
        "runs/track/net/base/seed0-00000000/work/train/model.py",
        "runs/track/net/base/seed0-00000000/progress/step-x.png",
        "runs/track/net/base/seed0-00000000/index.html",
        "runs/track/" + "n" * 101 + "/base/seed0-00000000.json",
        "site/index.html",
    ],
)
def test_files_that_no_run_writes_are_skipped(name: str, tmp_path: Path, local: Path) -> None:
    archive = tmp_path / "foreign.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    assert unpack(archive, local).refused == [f"{name}: not a file of a run; skipped"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


def flipped(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :]


def test_archive_with_any_flipped_bit_is_refused(archive: Path, local: Path, tmp_path: Path) -> None:
    pack(tmp_path / "remote", archive, artifacts=True)
    content = archive.read_bytes()
    start = content.index(b"\0", 10) + 1  # skip the time stamp and the file name in gzip's header
    for offset in range(start, len(content), len(content) // 60):
        archive.write_bytes(flipped(content, offset))
        with pytest.raises(ResultsError, match=r"damaged|not a complete archive"):
            unpack(archive, local)
    assert not [path for path in local.rglob("*") if path.is_file()]


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", errors="surrogateescape") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_files_that_contradict_their_record_are_skipped(tmp_path: Path, local: Path) -> None:
    record = with_weights_hash(make_record("net"))
    path = save_record(tmp_path / "remote", record)
    name = path.relative_to(tmp_path / "remote").as_posix()
    folder = name.removesuffix(".json")
    write_archive(
        tmp_path / "a.tar.gz",
        {
            name: path.read_bytes(),
            f"{folder}/weights.safetensors": flipped(WEIGHTS, 5),
            f"{folder}/samples.png": b"no picture",
            f"{folder}/classes.png": png(60_000, 60_000),
            f"{folder}/progress/step-000010.png": PNG,
            f"{folder}/evil\x1b[2J.png": PNG,
            f"{folder}/\udcff.png": PNG,
        },
    )
    unpacked = unpack(tmp_path / "a.tar.gz", local)
    assert (unpacked.records, unpacked.files) == (1, 1)
    refused = "\n".join(unpacked.refused)
    assert "samples.png: no PNG picture" in refused and "classes.png: a picture of more pixels" in refused
    assert "weights.safetensors: the weights do not have the hash in their record" in refused
    assert r"evil\x1b[2J.png" in refused and r"\udcff.png" in refused and refused.encode()
    assert [p.name for p in local.rglob("*.png")] == ["step-000010.png"]


def test_archive_bomb_is_refused(tmp_path: Path, local: Path) -> None:
    name = "runs/track/net/base/seed0-00000000/work/train/checkpoint.pt"
    write_archive(tmp_path / "bomb.tar.gz", {name: bytes(2**28 + 1)})
    assert (tmp_path / "bomb.tar.gz").stat().st_size < 2**19
    with pytest.raises(ResultsError, match="expands to over 100 times its size"):
        unpack(tmp_path / "bomb.tar.gz", local)
    assert not local.exists()


def sparse_archive(path: Path, headers: dict[str, str]) -> None:
    """Write an archive whose member claims more bytes than are stored."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("runs/track/net/base/seed0-00000000/work/train/checkpoint.pt")
        info.size, info.pax_headers = 3, headers
        tar.addfile(info, io.BytesIO(b"0\n\n"))


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.size": str(2**30), "GNU.sparse.map": f"{2**30},0"},
        {"GNU.sparse.size": "abc", "GNU.sparse.map": "0,3"},
        {"GNU.sparse.size": "3", "GNU.sparse.map": "a,b"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12},
    ],
    ids=str,
)
def test_sparse_files_are_refused(tmp_path: Path, local: Path, headers: dict[str, str]) -> None:
    sparse_archive(tmp_path / "a.tar.gz", headers)
    try:
        assert "not a file of a run" in unpack(tmp_path / "a.tar.gz", local).refused[0]
    except ResultsError as error:
        assert "not a complete archive" in str(error)
    assert not [path for path in local.rglob("*") if path.is_file()]


def test_damaged_header_within_an_archive_is_an_error(archive: Path, local: Path) -> None:
    """The gzip stream is complete, but the tar header of the second file is invalid."""
    content = gzip.decompress(archive.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        second = tar.getmembers()[1].offset
    archive.write_bytes(gzip.compress(content[:second] + b"\xff" * 512 + content[second + 512 :]))
    with pytest.raises(ResultsError, match="damaged after byte"):
        unpack(archive, local)
    assert not [path for path in local.rglob("*") if path.is_file()]


def test_highly_compressible_runs_are_unpacked(tmp_path: Path, local: Path) -> None:
    """A log repeats one line ten million times, and a checkpoint is all zeros."""
    path = save_record(tmp_path / "remote", with_weights_hash(make_record("net")))
    (path.with_suffix("") / "work" / "evaluate").mkdir(parents=True)
    path.with_suffix("").joinpath("log.txt").write_bytes(b"the same line\n" * 10_000_000)
    write_unfinished_run(tmp_path / "remote", make_record("net", 3), bytes(30_000_000))
    pack(tmp_path / "remote", tmp_path / "a.tar.gz", artifacts=True)
    unpacked = unpack(tmp_path / "a.tar.gz", local)
    assert (unpacked.records, unpacked.unfinished, unpacked.files, unpacked.refused) == (1, 1, 1, [])


def test_damaged_archive_does_not_stop_other_archives(
    archive: Path, local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = archive.with_name("damaged.tar.gz")
    damaged.write_bytes(archive.read_bytes()[:100])
    assert unpack_command([damaged, archive], local) == ExitCode.USAGE
    printed = capsys.readouterr().out
    assert "✗" in printed and "remote.tar.gz: 3 records" in printed


def test_links_and_altered_or_misplaced_records_are_refused(tmp_path: Path, local: Path, archive: Path) -> None:
    remote = tmp_path / "remote"
    first, second, _ = record_paths(remote)
    first.write_text(first.read_text().replace("0.5", "0.9", 1))  # altered
    second.rename(second.with_name(second.name.replace("seed1", "seed7")))
    pack(remote, archive)
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo(first.relative_to(remote).as_posix())
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    unpacked = unpack(archive, local)
    assert unpacked.records == 1
    assert (
        "was altered after it was written" in unpacked.refused[0]
        and "the record belongs at" in unpacked.refused[1]
    )
    assert "not a file of a run" in unpack(tmp_path / "link.tar.gz", local).refused[0]


def test_archive_errors_are_named(archive: Path, local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unpack_command([archive], local) == ExitCode.OK
    assert "remote.tar.gz: 3 records, 1 unfinished runs and 0 other files unpacked" in capsys.readouterr().out
    assert unpack_command([archive], local) == ExitCode.USAGE
    complete = archive.read_bytes()
    for content in (complete[: len(complete) // 2], b"no archive", b""):
        archive.write_bytes(content)
        with pytest.raises(ResultsError, match=r"not a complete archive|damaged"):
            unpack(archive, local)
    with pytest.raises(ResultsError, match="No such file"):
        unpack(archive.with_name("absent.tar.gz"), local)
    with pytest.raises(NothingToDo, match="no runs"):
        pack(local / "empty", archive)


def test_run_resumed_on_another_machine_is_bit_identical(tmp_path: Path) -> None:
    """Kill a run during training, pack it, unpack and resume it elsewhere; compare with an uninterrupted run."""
    slow = {"loss": "import time; time.sleep(0.02 if step < 150 else 0)"}
    submission = write_submission(tmp_path, "honest", slow)
    track = write_track(tmp_path, TRACK.replace("steps: 12", "steps: 200"))
    options = (submission, "--track", track, "--device", "cpu", "--jobs", 2, "--seeds", 1, "--sandbox", "none")

    def arguments(folder: str) -> list[str]:
        return [*map(str, options), "--profile", "quick", "--results", str(tmp_path / folder)]

    environment = {**os.environ, "BENCH_CHECKPOINT_SECONDS": "0", "BENCH_WEIGHTS": os.devnull}
    command = [sys.executable, "-m", "bench", "run"]
    process = subprocess.Popen([*command, *arguments("remote")], env=environment, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "remote").rglob(CHECKPOINT)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    archive = tmp_path / "unfinished.tar.gz"
    assert bench("pack", archive, "--results", tmp_path / "remote").returncode == 0
    unpacked = bench("unpack", archive, "--results", tmp_path / "local")
    assert unpacked.returncode == 0 and "1 unfinished runs" in unpacked.stdout
    for folder in ("local", "uninterrupted"):
        assert bench("run", *arguments(folder), BENCH_CHECKPOINT_SECONDS="0").returncode == 0
    (resumed,) = map(read_record, record_paths(tmp_path / "local"))
    (uninterrupted,) = map(read_record, record_paths(tmp_path / "uninterrupted"))
    assert resumed.timing.resumes == 1 and resumed.timing.training_joules is None
    assert resumed.without_times() == uninterrupted.without_times()

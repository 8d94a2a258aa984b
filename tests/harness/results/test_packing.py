"""Runs carried to another machine and back: nothing is lost, nothing is overwritten, nothing foreign comes in."""

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
from bench.report.status import StatusOptions, show_text
from tests.making import TRACK, bench, write_submission, write_track
from tests.report.making_records import make_record


def keep(results: Path, record: Record) -> Path:
    path = record_path(results, record.identity, record.protocol)
    write_record(path, record)
    return path


def trained(record: Record) -> Record:
    """The same, whose weights are ``WEIGHTS``."""
    if record.training is None:
        return record
    training = record.training.model_copy(update={"weights_sha256": hashlib.sha256(WEIGHTS).hexdigest()})
    return record.model_copy(update={"training": training})


def png(width: int = 2, height: int = 2) -> bytes:
    """A picture, or one that says that it is larger than it is."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    content = buffer.getvalue()
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


WEIGHTS, PNG = b"w" * 1000, png()


def begin(results: Path, record: Record, content: bytes = b"state") -> Path:
    """What a run that was interrupted in training leaves."""
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
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of a machine with two finished runs, a failed one and one in training."""
    there, path = tmp_path / "there", tmp_path / "there.tar.gz"
    for seed, accuracy in enumerate((0.5, 0.6, None)):
        kept = keep(there, trained(make_record("net", seed, accuracy)))
        kept.with_suffix("").mkdir()
        (kept.with_suffix("") / "weights.safetensors").write_bytes(WEIGHTS)
    begin(there, make_record("net", 3))
    assert pack(there, path) == (3, 1, 0)
    return path


def test_what_was_packed_arrives_as_it_was(archive: Path, here: Path) -> None:
    arrived = unpack(archive, here)
    assert (arrived.records, arrived.unfinished, arrived.files, arrived.refused) == (3, 1, 0, [])
    assert [read_record(path).status for path in record_paths(here)] == ["ok", "ok", "error"]
    (checkpoint,) = here.rglob(CHECKPOINT)
    assert checkpoint.read_bytes() == b"state" and (checkpoint.parent / "progress" / "step-1.png").exists()
    # What an evaluation left elsewhere is no evidence: the machine that writes the record evaluates.
    assert not list(here.rglob("evaluation.json"))
    again = unpack(archive, here)
    assert (again.records, again.known, again.unfinished) == (0, 3, 0)
    assert again.refused == [f"{checkpoint.parents[2]}: this run was started here too; its files here are kept"]


def test_what_came_is_marked_as_made_elsewhere(
    archive: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = keep(here, trained(make_record("net", 1, 0.6)))  # the same record as in the archive, and made here
    unpack(archive, here)
    (row,) = summarize(read_all(here)[0])
    assert {r.identity.seed: r.made_here for r in row.records} == {0: False, 1: True, 2: False}
    (whole,) = summarize(read_all(here)[0][:1])
    assert whole.status == "ok, 1 of 5 seeds, made elsewhere"
    assert "made elsewhere" in show_text(StatusOptions(here), "seed0") and "made elsewhere" not in show_text(
        StatusOptions(here), str(own)
    )
    # A run that is made here in its place is no longer foreign.
    record = make_record("net", 0, 0.51, finished_at="2026-02-01T00:00:00+00:00")
    keep(here, record)
    assert all(r.made_here for r in read_all(here)[0] if r.identity.seed == 0)


def test_what_was_begun_elsewhere_is_marked_too(archive: Path, here: Path) -> None:
    """A checkpoint may hold weights that no training gave."""
    unpack(archive, here)
    keep(here, make_record("net", 3, 0.9))
    assert {r.identity.seed: r.made_here for r in read_all(here)[0]}[3] is False
    mark = next(here.rglob("seed3-*.unpacked"))
    mark.write_text("{")  # what is damaged marks all the same
    assert {r.identity.seed: r.made_here for r in read_all(here)[0]}[3] is False


def test_artifacts_come_with_their_record_if_wanted(tmp_path: Path, archive: Path, here: Path) -> None:
    pack(tmp_path / "there", archive, artifacts=True)
    keep(here, make_record("net", 1, 0.7))  # another run of the same seed: its weights are not these
    arrived = unpack(archive, here)
    assert arrived.files == 1
    assert [path.parent.name[:5] for path in here.rglob("weights.safetensors")] == ["seed0"]


def test_nothing_that_is_here_is_overwritten_but_a_failure(archive: Path, here: Path) -> None:
    mine = keep(here, make_record("net", 0, 0.9))
    failed = keep(here, make_record("net", 1, None))
    done = keep(here, make_record("net", 3, 0.8))
    arrived = unpack(archive, here)
    assert read_record(mine) == make_record("net", 0, 0.9).model_copy(
        update={"checksum": read_record(mine).checksum}
    )
    assert [f"{mine}: another record of this run exists; it is kept"] == arrived.refused
    assert read_record(failed).status == "ok"
    assert read_record(failed.with_suffix(".attempt1.json")).status == "error"
    assert not (done.with_suffix("") / "work").exists()  # it is finished here


def test_a_run_that_is_going_on_here_is_left_alone(archive: Path, here: Path) -> None:
    record = make_record("net", 0)
    lock = record_path(here, record.identity, record.protocol).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        arrived = unpack(archive, here)
    assert arrived.records == 2 and "this run is running here" in arrived.refused[0]


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
def test_what_no_run_leaves_does_not_come_in(name: str, tmp_path: Path, here: Path) -> None:
    archive = tmp_path / "foreign.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    assert unpack(archive, here).refused == [f"{name}: not a file of a run; skipped"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_one_flipped_bit_anywhere_lets_nothing_in(archive: Path, here: Path, tmp_path: Path) -> None:
    pack(tmp_path / "there", archive, artifacts=True)
    whole = archive.read_bytes()
    start = whole.index(b"\0", 10) + 1  # before lie the time of writing and the archive's name
    for place in range(start, len(whole), len(whole) // 60):
        archive.write_bytes(flipped(whole, place))
        with pytest.raises(ResultsError, match=r"damaged|not a complete archive"):
            unpack(archive, here)
    assert not [path for path in here.rglob("*") if path.is_file()]


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", errors="surrogateescape") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_files_that_are_not_what_their_record_says_stay_out(tmp_path: Path, here: Path) -> None:
    record = trained(make_record("net"))
    path = keep(tmp_path / "there", record)
    name = path.relative_to(tmp_path / "there").as_posix()
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
    arrived = unpack(tmp_path / "a.tar.gz", here)
    assert (arrived.records, arrived.files) == (1, 1)
    refused = "\n".join(arrived.refused)
    assert "samples.png: no PNG picture" in refused and "classes.png: a picture of more pixels" in refused
    assert "weights.safetensors: the weights do not have the hash in their record" in refused
    assert r"evil\x1b[2J.png" in refused and r"\udcff.png" in refused and refused.encode()
    assert [p.name for p in here.rglob("*.png")] == ["step-000010.png"]


def test_a_small_archive_cannot_fill_the_disk_or_memory(tmp_path: Path, here: Path) -> None:
    name = "runs/track/net/base/seed0-00000000/work/train/checkpoint.pt"
    write_archive(tmp_path / "bomb.tar.gz", {name: bytes(2**28 + 1)})
    assert (tmp_path / "bomb.tar.gz").stat().st_size < 2**19
    with pytest.raises(ResultsError, match="expands to over 100 times its size"):
        unpack(tmp_path / "bomb.tar.gz", here)
    assert not here.exists()


def sparse_archive(path: Path, headers: dict[str, str]) -> None:
    """A member that says it is larger than what is stored of it."""
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
def test_a_file_with_holes_is_none_that_a_run_leaves(tmp_path: Path, here: Path, headers: dict[str, str]) -> None:
    sparse_archive(tmp_path / "a.tar.gz", headers)
    try:
        assert "not a file of a run" in unpack(tmp_path / "a.tar.gz", here).refused[0]
    except ResultsError as error:
        assert "not a complete archive" in str(error)
    assert not [path for path in here.rglob("*") if path.is_file()]


def test_a_damaged_place_between_two_files_is_no_end(archive: Path, here: Path) -> None:
    """Whole as a gzip, and the header of its second file is none."""
    content = gzip.decompress(archive.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        second = tar.getmembers()[1].offset
    archive.write_bytes(gzip.compress(content[:second] + b"\xff" * 512 + content[second + 512 :]))
    with pytest.raises(ResultsError, match="damaged after byte"):
        unpack(archive, here)
    assert not [path for path in here.rglob("*") if path.is_file()]


def test_what_is_packed_is_unpacked_however_well_it_compresses(tmp_path: Path, here: Path) -> None:
    """A log of one line a million times, samples that are all one grey."""
    path = keep(tmp_path / "there", trained(make_record("net")))
    (path.with_suffix("") / "work" / "evaluate").mkdir(parents=True)
    path.with_suffix("").joinpath("log.txt").write_bytes(b"the same line\n" * 10_000_000)
    begin(tmp_path / "there", make_record("net", 3), bytes(30_000_000))
    pack(tmp_path / "there", tmp_path / "a.tar.gz", artifacts=True)
    arrived = unpack(tmp_path / "a.tar.gz", here)
    assert (arrived.records, arrived.unfinished, arrived.files, arrived.refused) == (1, 1, 1, [])


def test_one_damaged_archive_costs_the_others_nothing(
    archive: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = archive.with_name("damaged.tar.gz")
    damaged.write_bytes(archive.read_bytes()[:100])
    assert unpack_command([damaged, archive], here) == ExitCode.USAGE
    shown = capsys.readouterr().out
    assert "✗" in shown and "there.tar.gz: 3 records" in shown


def test_links_and_altered_or_misplaced_records_are_refused(tmp_path: Path, here: Path, archive: Path) -> None:
    there = tmp_path / "there"
    first, second, _ = record_paths(there)
    first.write_text(first.read_text().replace("0.5", "0.9", 1))  # altered
    second.rename(second.with_name(second.name.replace("seed1", "seed7")))
    pack(there, archive)
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo(first.relative_to(there).as_posix())
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    arrived = unpack(archive, here)
    assert arrived.records == 1
    assert (
        "was altered after it was written" in arrived.refused[0] and "the record belongs at" in arrived.refused[1]
    )
    assert "not a file of a run" in unpack(tmp_path / "link.tar.gz", here).refused[0]


def test_a_damaged_archive_is_named(archive: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unpack_command([archive], here) == ExitCode.OK
    assert "there.tar.gz: 3 records, 1 unfinished runs and 0 other files unpacked" in capsys.readouterr().out
    assert unpack_command([archive], here) == ExitCode.USAGE
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b""):
        archive.write_bytes(content)
        with pytest.raises(ResultsError, match=r"not a complete archive|damaged"):
            unpack(archive, here)
    with pytest.raises(ResultsError, match="No such file"):
        unpack(archive.with_name("absent.tar.gz"), here)
    with pytest.raises(NothingToDo, match="no runs"):
        pack(here / "empty", archive)


def test_a_run_begun_on_one_machine_ends_on_another_in_the_same_bits(tmp_path: Path) -> None:
    """Killed in training, carried to another folder, gone on with there: equal to one that was not disturbed."""
    slow = {"loss": "import time; time.sleep(0.02 if step < 150 else 0)"}
    submission = write_submission(tmp_path, "honest", slow)
    track = write_track(tmp_path, TRACK.replace("steps: 12", "steps: 200"))
    options = (submission, "--track", track, "--device", "cpu", "--jobs", 2, "--seeds", 1, "--sandbox", "none")

    def arguments(place: str) -> list[str]:
        return [*map(str, options), "--profile", "quick", "--results", str(tmp_path / place)]

    environment = {**os.environ, "BENCH_CHECKPOINT_SECONDS": "0", "BENCH_WEIGHTS": os.devnull}
    command = [sys.executable, "-m", "bench", "run"]
    process = subprocess.Popen([*command, *arguments("there")], env=environment, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "there").rglob(CHECKPOINT)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    archive = tmp_path / "carried.tar.gz"
    assert bench("pack", archive, "--results", tmp_path / "there").returncode == 0
    carried = bench("unpack", archive, "--results", tmp_path / "here")
    assert carried.returncode == 0 and "1 unfinished runs" in carried.stdout
    for place in ("here", "calm"):
        assert bench("run", *arguments(place), BENCH_CHECKPOINT_SECONDS="0").returncode == 0
    (there,) = map(read_record, record_paths(tmp_path / "here"))
    (calm,) = map(read_record, record_paths(tmp_path / "calm"))
    assert there.timing.resumes == 1 and there.timing.training_joules is None
    assert there.without_times() == calm.without_times()

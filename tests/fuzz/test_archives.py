"""Fuzzing of `bench unpack`: any archive gives an error, or only files of runs at their proper paths."""

import contextlib
import gzip
import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.documents.checksum import checksummed_bytes
from bench.errors import BenchError
from bench.harness.results.unpacking import RUN, unpack
from bench.report.records.load import read_all
from tests.report.making_records import make_record

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
RECORD = make_record("net", 0, 0.5)
RECORD_BYTES = checksummed_bytes(RECORD)
RUN_NAME = f"runs/cifar100-classification/net/base/seed0-{RECORD.identity.hash}"
NAMES = st.sampled_from(
    [
        f"{RUN_NAME}.json", f"{RUN_NAME}/weights.safetensors", f"{RUN_NAME}/log.txt", f"{RUN_NAME}/samples.png",
        f"{RUN_NAME}/progress/step-000010.png", f"{RUN_NAME}/work/train/checkpoint.pt",
        f"{RUN_NAME}/work/train/spec.json",
        f"{RUN_NAME}/work/evaluate/samples.npy", f"{RUN_NAME}/work/invocation.json", f"{RUN_NAME}/../../x.json",
        f"/{RUN_NAME}.json", f"{RUN_NAME}.unpacked", f"{RUN_NAME}.lock", "runs", "", ".", "\udcff", "a\x1b[2J\n",
    ]
) | st.text(max_size=20).filter(lambda text: "\0" not in text)  # fmt: skip
CONTENTS = st.binary(max_size=200) | st.just(RECORD_BYTES) | st.just(RECORD_BYTES[:900]) | st.just(bytes(100_000))
KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 6 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)


def archive_of(members: list[tuple[str, bytes, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogateescape") as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            with contextlib.suppress(ValueError, UnicodeEncodeError):  # tar cannot store this name
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@SETTINGS
@given(
    members=st.lists(st.tuples(NAMES, CONTENTS, KINDS), max_size=6),
    damage=st.none() | st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    compressed=st.booleans(),
)
def test_unpacking_any_archive_writes_only_files_of_runs(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[tuple[str, bytes, bytes]],
    damage: tuple[float, bytes] | None,
    compressed: bool,
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    content = archive_of(members)
    content = gzip.compress(content) if compressed else content
    if damage is not None:
        offset = int(damage[0] * len(content))
        content = content[:offset] + damage[1] + content[offset + len(damage[1]) :]
    (folder / "a.tar.gz").write_bytes(content)
    results = folder / "results"
    try:
        refused = unpack(folder / "a.tar.gz", results).refused
    except BenchError as error:
        refused = [str(error)]
    assert all("\n" not in line and "\x1b" not in line and line.encode() for line in refused)
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "a.tar.gz" and path.suffix not in (".lock", ".unpacked"):
            assert RUN.fullmatch(path.relative_to(results).as_posix()) and not path.is_symlink()
    assert len(read_all(results)[0]) <= 1 and read_all(results)[1] == []

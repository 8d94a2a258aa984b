"""Whatever a file holds: a named error of the project's, or what it says; never another exception."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.certificates import read_certificate
from bench.contract.documents.checksum import checksum_of, with_checksum
from bench.contract.documents.schema import json_problem
from bench.contract.manifest import load_manifest
from bench.contract.records.files import parse_record
from bench.contract.tracks import load_tracks
from bench.data.cifar100 import read_pickle
from bench.data.mnist import parse_idx
from bench.errors import BenchError, ManifestError, ResultsError
from bench.files import REPOSITORY
from bench.report.certificate import make_certificate
from bench.report.claims.papers import PaperEntry, papers_text
from bench.report.claims.reproduction import reproduction_text
from bench.report.compare import comparison_text
from bench.report.leaderboard import leaderboard_markdown
from bench.report.records.aggregate import Row, summarize
from bench.report.regression.benchmarks import read_benchmarks
from tests.fuzz.changing import PLAIN, changed, sealed
from tests.making import TRACK
from tests.report.making_records import make_record

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANIFEST = yaml.safe_load((REPOSITORY / "submissions" / "dcgan_002" / "submission.yaml").read_text())
RECORD = with_checksum(make_record("net", claims={"params": 84_194, "top1_accuracy": {"mean": 0.5}})).model_dump(
    mode="json"
)
CERTIFICATE = with_checksum(make_certificate(make_record("net"), Row((make_record("net"),)))).model_dump(
    mode="json"
)


@FEW
@given(content=changed(MANIFEST) | PLAIN)
def test_manifests(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        manifest = load_manifest(path)
    except ManifestError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    track = load_tracks()["cifar100-generation"]
    assert papers_text([PaperEntry("net", manifest, track)]).encode()
    assert reproduction_text([PaperEntry("net", manifest, track)], []).encode()
    assert json_problem(manifest.declared()) is None


@FEW
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_yaml_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    for read in (load_manifest, load_tracks):
        with pytest.raises(ManifestError):
            read(path)


@FEW
@given(content=changed(yaml.safe_load(TRACK)) | PLAIN)
def test_tracks(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "track.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        tracks = load_tracks(path)
        assert content["name"] in tracks
    except ManifestError as error:
        assert str(path) in str(error) and "\n" not in str(error)


@FEW
@given(content=changed(RECORD) | PLAIN)
def test_altered_records_are_refused(content: Any) -> None:
    if content != RECORD:
        with pytest.raises(ResultsError):
            parse_record(json.dumps(content), "record.json")


@FEW
@given(content=changed(RECORD))
def test_a_strange_but_sealed_record_is_refused_or_shown(content: Any) -> None:
    """Another version of the harness, or a person with too much time, may have sealed it."""
    try:
        rows = summarize([parse_record(json.dumps(sealed(content)), "record.json")])
        comparison_text(rows, table="github")
        comparison_text(rows, table="csv")
        leaderboard_markdown(rows)
    except BenchError:
        pass


@FEW
@given(text=st.text(max_size=300) | st.just("[" * 100_000))
def test_records_that_are_none(text: str) -> None:
    with pytest.raises(ResultsError):
        parse_record(text, "record.json")


@FEW
@given(content=changed(CERTIFICATE) | PLAIN)
def test_certificates_and_benchmarks(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    for read in (read_certificate, read_benchmarks):
        try:
            read(path)
        except BenchError as error:
            assert str(path) in str(error)


@FEW
@given(
    content=st.binary(max_size=64)
    | st.tuples(st.sampled_from((b"\0\0\x08\x01", b"\0\0\x08\x03")), st.binary(max_size=64)).map(b"".join)
)
def test_idx_files(content: bytes) -> None:
    try:
        array = parse_idx(content)
        assert array.nbytes == len(content) - 4 - 4 * array.ndim
    except ValueError as error:
        assert str(error)


def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content) - 1))
    return content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.integers(0, 4)) :]


DAMAGED = st.composite(_damaged)


class _Evil:
    """A pickle that would run a program."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('it ran')",))


@FEW
@given(
    content=st.binary(max_size=100)
    | DAMAGED(pickle.dumps({b"data": [1, 2], b"fine_labels": [0]}))
    | DAMAGED(pickle.dumps(_Evil()))
)
def test_pickles_run_nothing(content: bytes) -> None:
    try:
        assert isinstance(read_pickle(content), dict)
    except ValueError as error:
        assert str(error)


def test_a_pickle_that_would_run_a_program() -> None:
    with pytest.raises(ValueError, match=r"names builtins\.exec"):
        read_pickle(pickle.dumps(_Evil()))
    with pytest.raises(ValueError, match="not a pickle"):
        read_pickle(gzip.compress(b"x"))


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("identity", "submission", ""),
        ("identity", "submission", "../../x"),
        ("identity", "variant", "a,b"),
        ("identity", "seed", -1),
        ("protocol", "track", "a\0b"),
        ("protocol", "profile", "quick; touch x"),
        ("protocol", "steps", 5),
        ("environment", "threads", 10**9),
        ("environment", "threads", "4"),
    ],
)
def test_a_certificate_that_no_run_could_have(tmp_path: Path, part: str, field: str, value: Any) -> None:
    """It is refused when it is read, not after a training."""
    content = json.loads(json.dumps(CERTIFICATE))
    content[part][field] = value
    content["checksum"] = checksum_of(content)
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="not a certificate that `bench certify` wrote"):
        read_certificate(tmp_path / "c.json")

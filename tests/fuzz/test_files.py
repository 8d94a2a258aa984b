"""Fuzzing of files: any content is read or raises one of capbench's errors, never another exception."""

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
from tests.fuzz.mutations import PLAIN, mutated, with_valid_checksum
from tests.making import TRACK
from tests.report.making_records import make_record

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANIFEST = yaml.safe_load((REPOSITORY / "submissions" / "dcgan_002" / "submission.yaml").read_text())
RECORD = with_checksum(make_record("net", claims={"params": 84_194, "top1_accuracy": {"mean": 0.5}})).model_dump(
    mode="json"
)
CERTIFICATE = with_checksum(make_certificate(make_record("net"), Row((make_record("net"),)))).model_dump(
    mode="json"
)


@SETTINGS
@given(content=mutated(MANIFEST) | PLAIN)
def test_mutated_manifest_is_read_or_refused(tmp_path: Path, content: Any) -> None:
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


@SETTINGS
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_random_bytes_are_not_a_manifest_or_track(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    for read in (load_manifest, load_tracks):
        with pytest.raises(ManifestError):
            read(path)


@SETTINGS
@given(content=mutated(yaml.safe_load(TRACK)) | PLAIN)
def test_mutated_track_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "track.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        tracks = load_tracks(path)
        assert content["name"] in tracks
    except ManifestError as error:
        assert str(path) in str(error) and "\n" not in str(error)


@SETTINGS
@given(content=mutated(RECORD) | PLAIN)
def test_mutated_record_is_refused(content: Any) -> None:
    if content != RECORD:
        with pytest.raises(ResultsError):
            parse_record(json.dumps(content), "record.json")


@SETTINGS
@given(content=mutated(RECORD))
def test_mutated_record_with_valid_checksum_is_refused_or_shown(content: Any) -> None:
    """Another version of the harness, or a person, may have written it with a valid checksum."""
    try:
        rows = summarize([parse_record(json.dumps(with_valid_checksum(content)), "record.json")])
        comparison_text(rows, table_format="github")
        comparison_text(rows, table_format="csv")
        leaderboard_markdown(rows)
    except BenchError:
        pass


@SETTINGS
@given(text=st.text(max_size=300) | st.just("[" * 100_000))
def test_random_text_is_not_a_record(text: str) -> None:
    with pytest.raises(ResultsError):
        parse_record(text, "record.json")


@SETTINGS
@given(content=mutated(CERTIFICATE) | PLAIN)
def test_mutated_certificate_or_benchmark_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    for read in (read_certificate, read_benchmarks):
        try:
            read(path)
        except BenchError as error:
            assert str(path) in str(error)


@SETTINGS
@given(
    content=st.binary(max_size=64)
    | st.tuples(st.sampled_from((b"\0\0\x08\x01", b"\0\0\x08\x03")), st.binary(max_size=64)).map(b"".join)
)
def test_random_idx_file_is_read_or_refused(content: bytes) -> None:
    try:
        array = parse_idx(content)
        assert array.nbytes == len(content) - 4 - 4 * array.ndim
    except ValueError as error:
        assert str(error)


def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    offset = draw(st.integers(0, len(content) - 1))
    return content[:offset] + draw(st.binary(max_size=4)) + content[offset + draw(st.integers(0, 4)) :]


DAMAGED = st.composite(_damaged)


class _Malicious:
    """An object whose pickle calls ``exec``."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('it ran')",))


@SETTINGS
@given(
    content=st.binary(max_size=100)
    | DAMAGED(pickle.dumps({b"data": [1, 2], b"fine_labels": [0]}))
    | DAMAGED(pickle.dumps(_Malicious()))
)
def test_damaged_pickles_execute_nothing(content: bytes) -> None:
    try:
        assert isinstance(read_pickle(content), dict)
    except ValueError as error:
        assert str(error)


def test_pickle_that_calls_a_function_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names builtins\.exec"):
        read_pickle(pickle.dumps(_Malicious()))
    with pytest.raises(ValueError, match="not a pickle"):
        read_pickle(gzip.compress(b"x"))


@pytest.mark.parametrize(
    ("section", "field", "value"),
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
def test_certificate_with_impossible_fields_is_refused(
    tmp_path: Path, section: str, field: str, value: Any
) -> None:
    """It is refused when it is read, before any training."""
    content = json.loads(json.dumps(CERTIFICATE))
    content[section][field] = value
    content["checksum"] = checksum_of(content)
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="not a certificate that `bench certify` wrote"):
        read_certificate(tmp_path / "c.json")

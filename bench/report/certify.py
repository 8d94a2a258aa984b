"""``bench certify``: a run's record as a certificate that somebody else can put to the test."""

from pathlib import Path

from bench.contract.asked import Place, command_of
from bench.contract.certificates import Certificate, SeedSpread, write_certificate
from bench.contract.records import Record, read_record
from bench.errors import UsageError
from bench.report.names import run_name
from bench.report.reading import read_all
from bench.report.status import find_record
from bench.report.summary import Row, summarize

FOLDER = "certificates"


def certify(results: Path, wanted: str, output: Path | None) -> Path:
    """Write the certificate of one run and return its path.

    Args:
        results: The results folder.
        wanted: The record's path, or a part of it that no other record has.
        output: Where to; None for the results folder's own place.

    Raises:
        ResultsError: If the record cannot be read, or the certificate not be written.
        UsageError: If no run, several, or one without a result is meant.
    """
    path = find_record(results, wanted)
    record = read_record(path)
    certificate = make_certificate(record, _row_of(record, results))
    target = output or results / FOLDER / f"{run_name(record)}.json"
    write_certificate(target, certificate)
    return target


def _row_of(record: Record, results: Path) -> Row:
    """The run among the other seeds of its kind."""
    for row in summarize(read_all(results)[0]):
        if any(other.checksum == record.checksum for other in row.records):
            return row
    return Row((record,))


def make_certificate(record: Record, row: Row) -> Certificate:
    """What ``record`` says, with how much its metrics vary over the seeds of ``row``.

    Raises:
        UsageError: If there is no trained network that somebody could train again.
    """
    identity = record.identity
    name = f"{identity.submission}/{identity.variant} seed {identity.seed}"
    if record.status != "ok":
        raise UsageError(f"{name}: failed ({record.status}); only a finished run can be certified")
    if record.training is None or record.evaluation is None or record.cost is None:
        raise UsageError(f"{name}: trains nothing; `bench floor` repeats it")
    repository = record.environment.get("repository") or {}
    return Certificate(
        record=record.checksum,
        command=command_of(identity, record.protocol.track, record.protocol.profile, Place.of(record)),
        commit=repository.get("commit"),
        commit_is_whole=repository.get("clean"),
        identity=identity,
        protocol=record.protocol,
        sources=record.sources,
        metric_weights=record.metric_weights,
        environment=record.environment,
        params=record.cost.params,
        macs_per_image=record.cost.macs_per_image,
        weights=record.training.weights_sha256,
        metrics=record.evaluation.metrics,
        as_published=record.evaluation.as_published,
        spread=_spread(record, row),
    )


def _spread(record: Record, row: Row) -> dict[str, SeedSpread]:
    assert record.evaluation is not None
    found = {}
    for name in record.evaluation.metrics:
        spread = row.metric(name)
        if spread is not None and spread.std is not None:
            found[name] = SeedSpread(mean=spread.mean, std=spread.std, n=spread.n)
    return found

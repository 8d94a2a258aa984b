"""``bench certify``: a certificate of a run, which another person can verify by repeating the run."""

from pathlib import Path

from bench.contract.certificates import Certificate, SeedSpread, write_certificate
from bench.contract.invocation import CommandPaths, rerun_command
from bench.contract.records.files import read_record
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.records.aggregate import Row, summarize
from bench.report.records.load import read_all
from bench.report.records.naming import run_name
from bench.report.show import find_record

FOLDER = "certificates"


def certify(results: Path, wanted: str, output: Path | None) -> Path:
    """Write the certificate of one run and return its path.

    Args:
        results: The results folder.
        wanted: The record's path, or a unique part of it.
        output: The certificate's path; None for a path in the results folder.

    Raises:
        ResultsError: If the record cannot be read, or the certificate cannot be written.
        UsageError: If no run or several match, or the run has no result.
    """
    path = find_record(results, wanted)
    record = read_record(path)
    certificate = make_certificate(record, _row_of(record, results))
    target = output or results / FOLDER / f"{run_name(record)}.json"
    write_certificate(target, certificate)
    return target


def _row_of(record: Record, results: Path) -> Row:
    """Return the row that contains the record; without one, a row of the record alone."""
    for row in summarize(read_all(results)[0]):
        if any(other.checksum == record.checksum for other in row.records):
            return row
    return Row((record,))


def make_certificate(record: Record, row: Row) -> Certificate:
    """Return the certificate of ``record``, with the spread of its metrics over the seeds of ``row``.

    Raises:
        UsageError: If the run failed, or trained nothing that could be repeated.
    """
    identity = record.identity
    name = f"{identity.submission}/{identity.variant} seed {identity.seed}"
    if record.status != "ok":
        raise UsageError(f"{name}: failed ({record.status}); only finished runs can be certified")
    if record.training is None or record.evaluation is None or record.cost is None:
        raise UsageError(f"{name}: has no training to certify; repeat it with `bench score-real`")
    repository = record.environment.get("repository") or {}
    return Certificate(
        record=record.checksum,
        command=rerun_command(
            identity, record.protocol.track, record.protocol.profile, CommandPaths.from_record(record)
        ),
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
    spreads = {}
    for name in record.evaluation.metrics:
        spread = row.metric(name)
        if spread is not None and spread.std is not None:
            spreads[name] = SeedSpread(mean=spread.mean, std=spread.std, n=spread.n)
    return spreads

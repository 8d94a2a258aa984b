"""``bench verify-certificate``: repeat a certified run and compare the results with the certificate."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.certificates import Certificate, read_certificate
from bench.contract.manifest import BASE_VARIANT
from bench.contract.records.files import is_current, read_record, record_path
from bench.contract.records.origin import ANY, unpacked, with_origin
from bench.contract.records.record import Identity, Record
from bench.contract.tracks import Track
from bench.data.store import data_root, drawn_counterpart
from bench.errors import ExitCode, UsageError
from bench.harness.commands.run import run_command
from bench.harness.config import RunConfig
from bench.harness.submissions.discovery import SubmissionSource, submissions_of
from bench.stats.spreads import Spread, prediction_interval, spread

SUGGESTED_SEEDS = 3
# Relative tolerance of metrics for identical weights: rounding differs between machines and versions.
METRIC_TOLERANCE = 1e-3
# Fields that must be equal for the same run. ``device_type`` is not among them: another device is allowed.
SAME_FIELDS = (
    "overrides",
    "source_hash",
    "protocol_hash",
    "data_fingerprints",
    "steps",
    "as_published",
    "precision",
)


@dataclass(frozen=True)
class CertificateOptions:
    """The options of ``bench verify-certificate``."""

    path: Path
    submissions: Path
    device: str
    data_root: Path | None
    track: Path | None
    results: Path | None  # results folder for the repeated runs; None for a temporary folder
    seeds: int = 1  # number of seeds to run, the certified one included
    log_format: str = "auto"


def certificate_command(options: CertificateOptions) -> ExitCode:
    """Repeat the certified run, compare, and print the result.

    Returns:
        0 if the certificate holds, 1 if it does not, 3 if the run failed, 5 if it is undecided.

    Raises:
        BenchError: If the certificate cannot be read, or the local code or data differ from the certified ones.
    """
    certificate = read_certificate(options.path)
    submission = _submission(certificate, options)
    if options.seeds < 1:
        raise UsageError(f"--seeds {options.seeds}: give at least 1")
    if options.results is not None:
        return _repeat(certificate, submission, options, options.results)
    with tempfile.TemporaryDirectory(prefix="capbench-certificate-") as folder:
        return _repeat(certificate, submission, options, Path(folder))


def _submission(certificate: Certificate, options: CertificateOptions) -> SubmissionSource:
    """Return the local submission, after checking that its code is the certified code.

    Raises:
        UsageError: If the submission or variant is missing, or its code differs.
    """
    folder = options.submissions / certificate.identity.submission
    submissions, broken = submissions_of([folder], options.track)
    for _, error in broken:
        raise error
    if len(submissions) != 1:
        raise UsageError(
            f"{folder}: {len(submissions)} submissions, expected one; give --submissions, its parent folder"
        )
    (submission,) = submissions
    if certificate.identity.variant not in (BASE_VARIANT, *submission.manifest.ablations):
        raise UsageError(f"{folder}: no variant {certificate.identity.variant!r}, which was certified")
    certified, local = certificate.sources, submission.sources
    different = sorted(name for name in certified.keys() | local.keys() if certified.get(name) != local.get(name))
    if different:
        commit = f"; check out {certificate.commit}" if certificate.commit else ""
        raise UsageError(f"{folder}: differs from the certified code: {', '.join(different)}{commit}")
    return submission


def _repeat(
    certificate: Certificate, submission: SubmissionSource, options: CertificateOptions, results: Path
) -> ExitCode:
    identity = certificate.identity
    if any(_is_foreign(record, certificate) for record in _records(certificate, results)):
        raise UsageError(
            f"--results {results}: contains the certified record, or a record of this seed from another machine, "
            "which would be compared instead of a new run; give another folder"
        )
    if _has_unpacked_run(certificate, results):
        raise UsageError(
            f"--results {results}: contains this run, begun on another machine and unpacked; give another folder"
        )
    summary = run_command(
        RunConfig(
            paths=[submission.folder],
            profile=certificate.protocol.profile,
            seeds=",".join(map(str, _seeds(identity.seed, options.seeds))) + ",",
            variants=identity.variant,
            device=options.device,
            data_root=data_root(options.data_root),
            embedded=_embedded(certificate, submission.track),
            track=options.track,
            results=results,
            jobs=1,
            retry_failed=True,
            threads=_threads(certificate.environment),  # the order of summation changes the bits
            precision=identity.precision,  # type: ignore[arg-type]  # checked when the configuration is resolved
            compile="on" if _compiled(certificate.environment) else "off",
            log_format=options.log_format,
        )
    )
    records = _records(certificate, results)
    # By the hashes of the planned runs, since a hash depends on the device.
    repeated = [item for item in records if item.identity.hash in summary.labels]
    record = next((item for item in repeated if item.identity.seed == identity.seed), None)
    if record is None or record.status != "ok":
        print(f"the run could not be repeated: {record.reason if record else 'it has no record'}")
        return summary.exit_code or ExitCode.RUN_FAILED
    check_same(certificate.identity, record.identity)
    code, lines = judge(certificate, record, _local_spread(record, records))
    print("\n".join(lines))
    return code


def _threads(environment: Mapping[str, Any]) -> int | None:
    threads = environment.get("threads")
    return threads if isinstance(threads, int) and threads > 0 else None


def _compiled(environment: Mapping[str, Any]) -> bool:
    execution = environment.get("execution")
    return isinstance(execution, dict) and bool(execution.get("compiled"))


def _embedded(certificate: Certificate, track: Track) -> bool:
    return certificate.protocol.data == drawn_counterpart(track) != track.data_name


def _seeds(certified: int, count: int) -> list[int]:
    return [certified, *(seed for seed in range(count) if seed != certified)][:count]


def _records(certificate: Certificate, results: Path) -> list[Record]:
    """Read the records in ``results`` of the certified submission, variant and protocol."""
    folder = _folder(certificate, results)
    marks = unpacked(results)
    paths = filter(is_current, folder.glob("seed*.json"))
    return [with_origin(read_record(path), path, marks) for path in sorted(paths)]


def _folder(certificate: Certificate, results: Path) -> Path:
    return record_path(results, certificate.identity, certificate.protocol).parent


def _has_unpacked_run(certificate: Certificate, results: Path) -> bool:
    """Return whether ``results`` contains a run of this seed that was begun on another machine and unpacked."""
    folder, start = _folder(certificate, results), f"seed{certificate.identity.seed}-"
    return any(
        mark == ANY and path.parent == folder and path.name.startswith(start)
        for path, mark in unpacked(results).items()
    )


def _is_foreign(record: Record, certificate: Certificate) -> bool:
    """Return whether a record is the certified one, or a record of its seed that was not made here."""
    unpacked_seed = not record.made_here and record.identity.seed == certificate.identity.seed
    return unpacked_seed or record.checksum == certificate.record


def _local_spread(repeated: Record, records: Sequence[Record]) -> Spread | None:
    """Return the spread of the score over the seeds that were run here; None without any."""
    values = {}
    for record in records:
        same_run = record.identity.model_copy(update={"seed": repeated.identity.seed}) == repeated.identity
        metrics = record.evaluation.metrics if record.evaluation is not None else {}
        if same_run and record.made_here and record.status == "ok" and record.protocol.metric.name in metrics:
            values[record.identity.seed] = metrics[record.protocol.metric.name]
    return spread(list(values.values()))


def check_same(certified: Identity, repeated: Identity) -> None:
    """Check that the repeated run is the certified one.

    Raises:
        UsageError: If a field of ``SAME_FIELDS`` differs; the message names the differing fields.
    """
    different = [name for name in SAME_FIELDS if getattr(certified, name) != getattr(repeated, name)]
    if different:
        raise UsageError(f"the repeated run is not the certified run: {', '.join(different)} differ")


def judge(certificate: Certificate, record: Record, local: Spread | None) -> tuple[ExitCode, list[str]]:
    """Compare the repeated run with the certificate.

    With identical trained weights, every metric must be equal within ``METRIC_TOLERANCE``. With other weights, the
    certified score must lie in the 95 % prediction interval of one more run, given the seeds that were run here.
    The spread in the certificate is not used, because its author controls it.

    Args:
        certificate: The certificate.
        record: The record of the repeated run.
        local: The spread of the score over the seeds that were run here; None without any.

    Returns:
        The exit code, and the lines to print.
    """
    lines = list(_counts(certificate, record))
    if lines:
        return ExitCode.REGRESSION, [*lines, "the certificate does not hold: the network differs"]
    assert record.training is not None and record.evaluation is not None
    name, metrics = record.protocol.metric.name, record.evaluation.metrics
    if name not in certificate.metrics or name not in metrics:
        why = record.not_measured.get(name, "it is missing in the certificate")
        return ExitCode.NOTHING, [f"undecided: {name} was not measured: {why}"]
    if record.training.weights_sha256 == certificate.weights:
        certified = _all_metrics(certificate.metrics, certificate.as_published)
        return _same_weights(certified, _all_metrics(metrics, record.evaluation.as_published))
    in_segments = "earlier_segments" in certificate.environment
    why = (
        "the certified training ran in segments under different conditions"
        if in_segments
        else "another device, thread count or version"
    )
    code, lines = _within_spread(certificate.metrics[name], local)
    return code, [
        f"the trained weights are not bit-identical ({why})",
        f"{name}: certified {certificate.metrics[name]:.6g}, found {metrics[name]:.6g}",
        *lines,
    ]


def _counts(certificate: Certificate, record: Record) -> Iterator[str]:
    """Yield a line for each count that differs: parameters, multiply-accumulates."""
    assert record.cost is not None
    for name in ("params", "macs_per_image"):
        certified, measured = getattr(certificate, name), getattr(record.cost, name)
        if certified != measured:
            yield f"{name}: certified {certified:,}, found {measured:,}"


def _all_metrics(metrics: Mapping[str, float], as_published: Mapping[str, float]) -> dict[str, float]:
    return {**metrics, **{f"as_published.{name}": value for name, value in as_published.items()}}


def _same_weights(certified: Mapping[str, float], repeated: Mapping[str, float]) -> tuple[ExitCode, list[str]]:
    if certified == repeated:
        return ExitCode.OK, ["the certificate holds: the trained weights and all metrics are bit-identical"]
    lines = ["the trained weights are bit-identical, but not all metrics are"]
    different = [name for name in certified if name in repeated and certified[name] != repeated[name]]
    lines += [f"{name}: certified {certified[name]:.6g}, found {repeated[name]:.6g}" for name in different]
    lines += [
        f"{name}: measured in only one of the two runs" for name in sorted(certified.keys() ^ repeated.keys())
    ]
    if all(math.isclose(certified[name], repeated[name], rel_tol=METRIC_TOLERANCE) for name in different):
        if certified.keys() - repeated.keys():
            return ExitCode.NOTHING, [*lines, "undecided: some certified metrics were not measured here"]
        verdict = (
            "the certificate holds for the metrics measured in both runs; rounding on another machine may change "
            f"them by {METRIC_TOLERANCE:.1%}"
        )
        return ExitCode.OK, [*lines, verdict]
    return ExitCode.REGRESSION, [*lines, "the certificate does not hold: these weights do not have that score"]


def _within_spread(certified: float, local: Spread | None) -> tuple[ExitCode, list[str]]:
    if local is None or local.std is None:
        remedy = f"--seeds {SUGGESTED_SEEDS} runs {SUGGESTED_SEEDS} seeds and compares with their spread"
        return ExitCode.NOTHING, [f"undecided: one seed has no spread; {remedy}"]
    low, high = prediction_interval(local)
    expected = (
        f"another run is expected within [{low:.6g}, {high:.6g}] (95 % prediction interval, "
        f"{local.n} seeds run here)"
    )
    if low <= certified <= high:
        verdict = "the certificate holds within the spread over seeds; only this score was compared"
        return ExitCode.OK, [expected, verdict]
    return ExitCode.REGRESSION, [expected, "the certificate does not hold: the certified score is outside"]

"""``bench verify-certificate``: repeat the run that a certificate is of, and say whether what it says holds."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.certificates import Certificate, read_certificate
from bench.contract.manifest import BASE_VARIANT
from bench.contract.origins import ANY, unpacked, with_origin
from bench.contract.records import Identity, Record, fid_name, is_current, read_record, record_path
from bench.contract.tracks import Track
from bench.errors import ExitCode, UsageError
from bench.run.command import RunOptions, run_command
from bench.run.discovery import Found, submissions_of
from bench.stats.spreads import Spread, prediction_interval, spread

SEVERAL = 3  # seeds, that are worth proposing
SCORED_ELSEWHERE = 1e-3  # of a metric: what rounding on another machine, or a later version, may change of it
# What must be the same for it to be the same run. A run may be repeated on another kind of device.
SAME = ("overrides", "source_hash", "protocol_hash", "data_fingerprints", "steps", "as_published", "precision")


@dataclass(frozen=True)
class CertificateOptions:
    """The command line of ``bench verify-certificate``."""

    path: Path
    submissions: Path
    device: str
    data_root: Path | None
    track_file: Path | None
    results: Path | None  # of whoever verifies: where the repeated runs are kept; None for nowhere
    seeds: int = 1  # how many to run here, the certified one among them
    log_format: str = "auto"


def certificate_command(options: CertificateOptions) -> ExitCode:
    """Repeat the run and print what was found.

    Returns:
        0 if it holds, 1 if it does not, 3 if the run failed, 5 if it cannot be told.

    Raises:
        BenchError: If the certificate cannot be read, or this checkout or its data are not what it is of.
    """
    certificate = read_certificate(options.path)
    found = _submission(certificate, options)
    if options.seeds < 1:
        raise UsageError(f"--seeds {options.seeds}: give at least 1")
    if options.results is not None:
        return _repeat(certificate, found, options, options.results)
    with tempfile.TemporaryDirectory(prefix="capbench-certificate-") as folder:
        return _repeat(certificate, found, options, Path(folder))


def _submission(certificate: Certificate, options: CertificateOptions) -> Found:
    """The submission as it is here; its code must be that of the certificate."""
    folder = options.submissions / certificate.identity.submission
    submissions, broken = submissions_of([folder], options.track_file)
    for _, error in broken:
        raise error
    if len(submissions) != 1:
        raise UsageError(
            f"{folder}: holds {len(submissions)} submissions; give --submissions, the folder that has it"
        )
    (found,) = submissions
    if certificate.identity.variant not in (BASE_VARIANT, *found.manifest.ablations):
        raise UsageError(f"{folder}: has no variant {certificate.identity.variant!r}, which was certified")
    theirs, ours = certificate.sources, found.sources
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if different:
        commit = f"; check out {certificate.commit}" if certificate.commit else ""
        raise UsageError(f"{folder}: not the code that was certified: {', '.join(different)}{commit}")
    return found


def _repeat(certificate: Certificate, found: Found, options: CertificateOptions, results: Path) -> ExitCode:
    identity = certificate.identity
    if any(_is_theirs(record, certificate) for record in _records(certificate, results)):
        raise UsageError(
            f"--results {results}: holds the very record that was certified, or another of this seed that was not "
            "made here, which would be compared in place of a run; give a folder of your own"
        )
    if _was_begun_elsewhere(certificate, results):
        raise UsageError(
            f"--results {results}: this run was begun elsewhere and unpacked there; give another folder"
        )
    outcome = run_command(
        RunOptions(
            paths=[found.folder],
            profile=certificate.protocol.profile,
            seeds=",".join(map(str, _seeds(identity.seed, options.seeds))) + ",",
            variants=identity.variant,
            device=options.device,
            data_root=options.data_root,
            embedded=_embedded(certificate, found.track),
            track_file=options.track_file,
            results=results,
            dry_run=False,
            jobs=1,
            retry_failed=True,
            force=False,
            threads=_threads(certificate.environment),  # sums in another order end in other bits
            precision=identity.precision,
            compile="on" if _compiled(certificate.environment) else "off",
            log_format=options.log_format,
        )
    )
    records = _records(certificate, results)
    ours = [item for item in records if item.identity.hash in outcome.identities]  # the hash hangs on the device
    record = next((item for item in ours if item.identity.seed == identity.seed), None)
    if record is None or record.status != "ok":
        print(f"the run could not be repeated: {record.reason if record else 'it has no record'}")
        return outcome.exit_code or ExitCode.RUN_FAILED
    check_same(certificate.identity, record.identity)
    code, lines = judge(certificate, record, _own_spread(record, records))
    print("\n".join(lines))
    return code


def _threads(environment: Mapping[str, Any]) -> int | None:
    found = environment.get("threads")
    return found if isinstance(found, int) and found > 0 else None


def _compiled(environment: Mapping[str, Any]) -> bool:
    found = environment.get("execution")
    return isinstance(found, dict) and bool(found.get("compiled"))


def _embedded(certificate: Certificate, track: Track) -> bool:
    return certificate.protocol.data == track.embedded_data != track.data


def _seeds(certified: int, count: int) -> list[int]:
    return [certified, *(seed for seed in range(count) if seed != certified)][:count]


def _records(certificate: Certificate, results: Path) -> list[Record]:
    """What lies there of the certified submission, variant and protocol."""
    folder = _folder(certificate, results)
    marks = unpacked(results)
    paths = filter(is_current, folder.glob("seed*.json"))
    return [with_origin(read_record(path), path, marks) for path in sorted(paths)]


def _folder(certificate: Certificate, results: Path) -> Path:
    return record_path(results, certificate.identity, certificate.protocol).parent


def _was_begun_elsewhere(certificate: Certificate, results: Path) -> bool:
    folder, start = _folder(certificate, results), f"seed{certificate.identity.seed}-"
    return any(
        mark == ANY and path.parent == folder and path.name.startswith(start)
        for path, mark in unpacked(results).items()
    )


def _is_theirs(record: Record, certificate: Certificate) -> bool:
    elsewhere = not record.made_here and record.identity.seed == certificate.identity.seed
    return elsewhere or record.checksum == certificate.record


def _own_spread(repeated: Record, records: Sequence[Record]) -> Spread | None:
    """Over the seeds of the same run, of those that were made here."""
    values = {}
    for record in records:
        same = record.identity.model_copy(update={"seed": repeated.identity.seed}) == repeated.identity
        figures = record.evaluation.metrics if record.evaluation is not None else {}
        if same and record.made_here and record.status == "ok" and _score_name(record) in figures:
            values[record.identity.seed] = figures[_score_name(record)]
    return spread(list(values.values()))


def check_same(certified: Identity, repeated: Identity) -> None:
    """Fail if what ran here is another run, and say in what.

    Raises:
        UsageError: If data, protocol, steps or settings differ.
    """
    different = [name for name in SAME if getattr(certified, name) != getattr(repeated, name)]
    if different:
        raise UsageError(f"what runs here is not the run that was certified: {', '.join(different)} differ")


def judge(certificate: Certificate, record: Record, own: Spread | None) -> tuple[ExitCode, list[str]]:
    """Compare the repeated run with the certificate.

    It holds if the trained weights and every metric are the same. Else the certified score has to lie where one
    more run may be expected by the runs that were made here: within their 95 % prediction interval. What the
    certificate says of its own spread is not used, for whoever wrote it chose that.

    Args:
        certificate: What is claimed.
        record: The run repeated here.
        own: Its score over the seeds that were run here.

    Returns:
        The exit code, and what to print.
    """
    lines = list(_counts(certificate, record))
    if lines:
        return ExitCode.REGRESSION, [*lines, "it does not hold: the network is another one"]
    assert record.training is not None and record.evaluation is not None
    name, found = _score_name(record), record.evaluation.metrics
    if name not in certificate.metrics or name not in found:
        why = record.not_measured.get(name, "the certificate has none")
        return ExitCode.NOTHING, [f"it cannot be told whether it holds: {name} is not measured: {why}"]
    if record.training.weights_sha256 == certificate.weights:
        published = record.evaluation.as_published
        return _same_weights(_figures(certificate.metrics, certificate.as_published), _figures(found, published))
    in_parts = "earlier_parts" in certificate.environment
    why = "it was trained in parts, not all alike" if in_parts else "another device, thread count or version"
    code, lines = _within_spread(certificate.metrics[name], own)
    return code, [
        f"the trained weights are not the same to the last bit ({why})",
        f"{name}: certified {certificate.metrics[name]:.6g}, found {found[name]:.6g}",
        *lines,
    ]


def _counts(certificate: Certificate, record: Record) -> Iterator[str]:
    assert record.cost is not None
    for name in ("params", "macs_per_image"):
        certified, found = getattr(certificate, name), getattr(record.cost, name)
        if certified != found:
            yield f"{name}: certified {certified:,}, found {found:,}"


def _figures(metrics: Mapping[str, float], as_published: Mapping[str, float]) -> dict[str, float]:
    return {**metrics, **{f"as_published.{name}": value for name, value in as_published.items()}}


def _same_weights(certified: Mapping[str, float], found: Mapping[str, float]) -> tuple[ExitCode, list[str]]:
    if certified == found:
        return ExitCode.OK, ["it holds, bit for bit: the trained weights and every metric are the same"]
    lines = ["the trained weights are the same to the last bit, but not every metric"]
    different = [name for name in certified if name in found and certified[name] != found[name]]
    lines += [f"{name}: certified {certified[name]:.6g}, found {found[name]:.6g}" for name in different]
    lines += [f"{name}: measured on one side only" for name in sorted(certified.keys() ^ found.keys())]
    if all(math.isclose(certified[name], found[name], rel_tol=SCORED_ELSEWHERE) for name in different):
        said = "it holds, for what was measured on both sides: scoring on another machine may differ by as much"
        if certified.keys() - found.keys():
            return ExitCode.NOTHING, [*lines, "it cannot be told of what was not measured here"]
        return ExitCode.OK, [*lines, said]
    return ExitCode.REGRESSION, [*lines, "it does not hold: these weights do not have that score"]


def _within_spread(certified: float, own: Spread | None) -> tuple[ExitCode, list[str]]:
    if own is None or own.std is None:
        again = f"--seeds {SEVERAL} runs as many here and compares with their spread"
        return ExitCode.NOTHING, [f"it cannot be told whether it holds from one seed; {again}"]
    low, high = prediction_interval(own)
    said = f"another run may be expected within [{low:.6g}, {high:.6g}] (95 %, from {own.n} seeds run here)"
    if low <= certified <= high:
        return ExitCode.OK, [said, "it holds, within what seeds differ by here; only this score was judged"]
    return ExitCode.REGRESSION, [said, "it does not hold"]


def _score_name(record: Record) -> str:
    return "top1_accuracy" if record.task == "classification" else fid_name(record.protocol.samples)

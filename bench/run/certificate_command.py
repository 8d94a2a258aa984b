"""``bench verify-certificate``: repeat the run that a certificate is of, and say whether what it says holds."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.certificates import Certificate, read_certificate
from bench.contract.records import Identity, Record, fid_name, read_record, record_path
from bench.contract.tracks import Track, load_tracks
from bench.errors import ExitCode, UsageError
from bench.run.command import RunOptions, run_command
from bench.run.discovery import Found, discover
from bench.stats import Spread, prediction_interval

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
    results: Path | None  # where the repeated run is kept; None for nowhere
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
    if options.results is not None:
        return _repeat(certificate, found, options, options.results)
    with tempfile.TemporaryDirectory(prefix="capbench-certificate-") as folder:
        return _repeat(certificate, found, options, Path(folder))


def _submission(certificate: Certificate, options: CertificateOptions) -> Found:
    """The submission as it is here; its code must be that of the certificate."""
    folder = options.submissions / certificate.identity.submission
    (found,), broken = discover([folder], load_tracks(options.track_file))
    for _, error in broken:
        raise error
    theirs, ours = certificate.sources, found.sources
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if different:
        commit = f"; check out {certificate.commit}" if certificate.commit else ""
        raise UsageError(f"{folder}: not the code that was certified: {', '.join(different)}{commit}")
    return found


def _repeat(certificate: Certificate, found: Found, options: CertificateOptions, results: Path) -> ExitCode:
    identity = certificate.identity
    outcome = run_command(
        RunOptions(
            paths=[found.folder],
            profile=certificate.protocol.profile,
            seeds=f"{identity.seed},",
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
            threads=certificate.environment.get("threads"),  # sums in another order end in other bits
            precision=identity.precision,
            compile="on" if certificate.environment.get("execution", {}).get("compiled") else "off",
            log_format=options.log_format,
        )
    )
    record = _record(certificate, results)
    if record is None or record.status != "ok":
        print(f"the run could not be repeated: {record.reason if record else 'it has no record'}")
        return outcome.exit_code or ExitCode.RUN_FAILED
    check_same(certificate.identity, record.identity)
    code, lines = judge(certificate, record)
    print("\n".join(lines))
    return code


def _embedded(certificate: Certificate, track: Track) -> bool:
    return certificate.protocol.data == track.embedded_data != track.data


def _record(certificate: Certificate, results: Path) -> Record | None:
    """The record that the repeated run left; under which hash depends on the device."""
    folder = record_path(results, certificate.identity, certificate.protocol).parent
    paths = sorted(folder.glob(f"seed{certificate.identity.seed}-*.json"), key=lambda path: path.stat().st_mtime)
    return read_record(paths[-1]) if paths else None


def check_same(certified: Identity, repeated: Identity) -> None:
    """Fail if what ran here is another run, and say in what.

    Raises:
        UsageError: If data, protocol, steps or settings differ.
    """
    different = [name for name in SAME if getattr(certified, name) != getattr(repeated, name)]
    if different:
        raise UsageError(f"what runs here is not the run that was certified: {', '.join(different)} differ")


def judge(certificate: Certificate, record: Record) -> tuple[ExitCode, list[str]]:
    """Compare the repeated run with the certificate.

    It holds if the trained weights and every metric are the same, or else if the score lies where another run may
    be expected to: within the 95 % prediction interval of the certified seeds, mean ± t · std · √(1 + 1/n).

    Returns:
        The exit code, and what to print.
    """
    lines = list(_counts(certificate, record))
    if lines:
        return ExitCode.REGRESSION, [*lines, "it does not hold: the network is another one"]
    assert record.training is not None and record.evaluation is not None
    if record.training.weights_sha256 == certificate.weights and record.evaluation.metrics == certificate.metrics:
        return ExitCode.OK, ["it holds, bit for bit: the trained weights and every metric are the same"]
    return _within_spread(certificate, record)


def _counts(certificate: Certificate, record: Record) -> Iterator[str]:
    assert record.cost is not None
    for name in ("params", "macs_per_image"):
        certified, found = getattr(certificate, name), getattr(record.cost, name)
        if certified != found:
            yield f"{name}: certified {certified:,}, found {found:,}"


def _within_spread(certificate: Certificate, record: Record) -> tuple[ExitCode, list[str]]:
    name = "top1_accuracy" if record.task == "classification" else fid_name(record.protocol.samples)
    assert record.evaluation is not None
    certified, found = certificate.metrics.get(name), record.evaluation.metrics.get(name)
    in_parts = "earlier_parts" in certificate.environment
    why = "it was trained in parts, not all alike" if in_parts else "another device, thread count or version"
    lines = [f"the trained weights are not the same to the last bit ({why})"]
    if certified is None or found is None:
        why = record.not_measured.get(name, "the certificate has none")
        return ExitCode.NOTHING, [*lines, f"it cannot be told whether it holds: {name} is not measured: {why}"]
    lines.append(f"{name}: certified {certified:.6g}, found {found:.6g}")
    spread = certificate.spread.get(name)
    if spread is None:
        return ExitCode.NOTHING, [*lines, "it cannot be told whether it holds: certified from a single seed"]
    low, high = prediction_interval(Spread(spread.mean, spread.std, spread.n))
    lines.append(f"another run may be expected within [{low:.6g}, {high:.6g}] (95 %, from {spread.n} seeds)")
    if low <= found <= high:
        return ExitCode.OK, [*lines, "it holds, within what seeds differ by"]
    return ExitCode.REGRESSION, [*lines, "it does not hold"]

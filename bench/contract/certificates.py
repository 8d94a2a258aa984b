"""Reproduction certificates: a run's command, code, data and environment, and its results to compare with."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.contract.documents.checksum import checksummed_bytes, verify_checksum, write_document
from bench.contract.documents.schema import Strict, parse_json
from bench.contract.documents.validation import describe_validation_error
from bench.contract.records.consistency import invalid_settings
from bench.contract.records.environment import RecordedEnvironment
from bench.contract.records.record import Identity
from bench.contract.tracks import Protocol
from bench.errors import ResultsError
from bench.text import one_line

KIND = "capbench reproduction certificate"
SCHEMA_VERSION = 1


class SeedSpread(Strict):
    """Mean and standard deviation of a metric over n ≥ 2 seeds."""

    mean: float
    std: float  # ddof = 1
    n: int


class Certificate(Strict):
    """A certificate of one run. Hashes are sha256; values are copied from its record."""

    kind: Literal["capbench reproduction certificate"] = "capbench reproduction certificate"
    schema_version: int = SCHEMA_VERSION
    record: str  # checksum of the record that the certificate is made from
    command: str  # repeats the run in a checkout of the commit
    commit: str | None  # of the repository that the run was made in; None outside a git repository
    commit_is_whole: bool | None  # whether the working tree was clean
    identity: Identity
    protocol: Protocol
    sources: dict[str, str]  # file -> hash of its code
    metric_weights: dict[str, str]
    environment: RecordedEnvironment
    params: int
    macs_per_image: int
    weights: str  # sha256 of the trained weights
    metrics: dict[str, float]
    as_published: dict[str, float]
    spread: dict[str, SeedSpread]  # over the seeds of the same submission, variant and protocol
    checksum: str = ""


def write_certificate(path: Path, certificate: Certificate) -> None:
    """Write a certificate with its checksum, atomically.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    write_document(path, checksummed_bytes(certificate), option="--output")


def read_certificate(path: Path) -> Certificate:
    """Read a certificate and check its schema, checksum and consistency.

    Raises:
        ResultsError: If it is unreadable, of another kind or schema version, altered, or inconsistent.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ResultsError(f"{path}: not a certificate (not JSON: {one_line(str(error), 100)})") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ResultsError(f"{path}: not a certificate; `bench certify RUN` writes one")
    if content.get("schema_version") != SCHEMA_VERSION:
        version = content.get("schema_version")
        raise ResultsError(f"{path}: schema_version {version!r}, this version reads {SCHEMA_VERSION}")
    try:
        certificate = Certificate.model_validate(content)
    except ValidationError as error:
        raise ResultsError(describe_validation_error(path, error)) from None
    try:
        verify_checksum(content, path, remedy="`bench certify RUN` writes another")
    except ValueError as error:  # an infinity, or text that is not valid Unicode
        raise ResultsError(f"{path}: not a certificate ({error})") from None
    problem = next(invalid_settings(certificate.identity, certificate.protocol, certificate.environment), None)
    if problem is not None:
        raise ResultsError(f"{path}: not a certificate that `bench certify` wrote: {problem}")
    return certificate

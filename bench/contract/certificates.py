"""A reproduction certificate: what another person needs to repeat a run, and what they should then find."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.contract.contradictions import odd_settings
from bench.contract.manifest import describe_validation_error
from bench.contract.plain import parse_json
from bench.contract.records import Identity
from bench.contract.sealing import check_seal, sealed_bytes, write_document
from bench.contract.strict import Strict
from bench.contract.tracks import Protocol
from bench.errors import ResultsError
from bench.text import one_line

KIND = "capbench reproduction certificate"
SCHEMA_VERSION = 1


class SeedSpread(Strict):
    """How much a metric varies from seed to seed, where several seeds were run; n is at least 2."""

    mean: float
    std: float  # ddof = 1
    n: int


class Certificate(Strict):
    """One run. Hashes are sha256; figures are as in its record."""

    kind: Literal["capbench reproduction certificate"] = "capbench reproduction certificate"
    schema_version: int = SCHEMA_VERSION
    record: str  # checksum of the record that it is made of
    command: str  # what repeats the run in a checkout of the commit
    commit: str | None  # of the repository that the run was made in; None if it was not one
    commit_is_whole: bool | None  # whether the tree had no other changes
    identity: Identity
    protocol: Protocol
    sources: dict[str, str]  # file -> hash of its code
    metric_weights: dict[str, str]
    environment: dict[str, Any]
    params: int
    macs_per_image: int
    weights: str  # hash of the trained weights
    metrics: dict[str, float]
    as_published: dict[str, float]
    spread: dict[str, SeedSpread]  # over the seeds of the same submission, variant and protocol
    checksum: str = ""


def write_certificate(path: Path, certificate: Certificate) -> None:
    """Write a sealed certificate atomically.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    write_document(path, sealed_bytes(certificate), option="--output")


def read_certificate(path: Path) -> Certificate:
    """Read a certificate and check its schema and checksum.

    Raises:
        ResultsError: If it is unreadable, of another kind or version, or was altered.
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
        found = content.get("schema_version")
        raise ResultsError(f"{path}: schema_version {found!r}, this version reads {SCHEMA_VERSION}")
    try:
        certificate = Certificate.model_validate(content)
    except ValidationError as error:
        raise ResultsError(describe_validation_error(path, error)) from None
    try:
        check_seal(content, path, remedy="`bench certify RUN` writes another")
    except ValueError as error:  # infinities, or text that is none
        raise ResultsError(f"{path}: not a certificate ({error})") from None
    found = next(odd_settings(certificate.identity, certificate.protocol, certificate.environment), None)
    if found is not None:
        raise ResultsError(f"{path}: not a certificate that `bench certify` wrote: {found}")
    return certificate

"""Records updated from the submissions' folders: with current claims, and marked if they are of the current code.

A record contains the claims that the manifest had when it was written. Claims are facts about the paper, not about
the run, so the current manifest takes precedence.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, Manifest, load_manifest
from bench.contract.records.record import Record
from bench.errors import ManifestError
from bench.report.records.current_code import CurrentCode


def with_claims(records: Iterable[Record], manifests: Mapping[str, Manifest]) -> list[Record]:
    """Return the records with the manifests' claims; without a manifest or variant there, with their own."""
    return [_with_claims(record, manifests.get(record.identity.submission)) for record in records]


def _with_claims(record: Record, manifest: Manifest | None) -> Record:
    variant = record.identity.variant
    if manifest is None or variant not in (BASE_VARIANT, *manifest.ablations):
        return record
    return record.model_copy(update={"claims": manifest.claims_of(variant)})


def with_current_claims(records: Sequence[Record], submissions: Path) -> tuple[list[Record], list[str]]:
    """Return the records with the claims in a folder of submissions, and a message per unreadable manifest.

    Each record is also marked as being of the current code or not.
    """
    manifests, problems = read_manifests(submissions, sorted({item.identity.submission for item in records}))
    current = CurrentCode({name: submissions / name for name in manifests}, manifests=manifests)
    return current.mark(with_claims(records, manifests)), problems


def read_manifests(folder: Path, names: Iterable[str]) -> tuple[dict[str, Manifest], list[str]]:
    """Return the existing manifests of the named submissions, and a message per unreadable manifest."""
    manifests, problems = {}, []
    for name in names:
        path = folder / name / "submission.yaml"
        try:
            if path.exists():
                manifests[name] = load_manifest(path)
        except ManifestError as error:
            problems.append(str(error))
    return manifests, problems

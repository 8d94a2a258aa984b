"""What papers claim, and which records are of the present code, as the submissions' folders say now.

A record keeps the claims of the day on which it was made. They are facts about the paper and not about the run, so
that a manifest that was mended since, or says more, is believed before the record.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, Manifest, load_manifest
from bench.contract.records import Record
from bench.errors import ManifestError
from bench.report.present import PresentCode


def with_claims(records: Iterable[Record], manifests: Mapping[str, Manifest]) -> list[Record]:
    """The records with the claims of the manifests; of what has none there, a variant too, they stay its own."""
    return [_with_claims(record, manifests.get(record.identity.submission)) for record in records]


def _with_claims(record: Record, manifest: Manifest | None) -> Record:
    variant = record.identity.variant
    if manifest is None or variant not in (BASE_VARIANT, *manifest.ablations):
        return record
    return record.model_copy(update={"claims": manifest.claims_of(variant)})


def with_current_claims(records: Sequence[Record], submissions: Path) -> tuple[list[Record], list[str]]:
    """The same with the manifests in a folder, and a line for each that cannot be read.

    Each record then also knows whether it is of the code that is there now.
    """
    manifests, problems = read_manifests(submissions, sorted({item.identity.submission for item in records}))
    present = PresentCode({name: submissions / name for name in manifests}, manifests=manifests)
    return present.mark(with_claims(records, manifests)), problems


def read_manifests(folder: Path, names: Iterable[str]) -> tuple[dict[str, Manifest], list[str]]:
    """The manifests of the named submissions that are there, and a line for each that cannot be read."""
    found, problems = {}, []
    for name in names:
        path = folder / name / "submission.yaml"
        try:
            if path.exists():
                found[name] = load_manifest(path)
        except ManifestError as error:
            problems.append(str(error))
    return found, problems

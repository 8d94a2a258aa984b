"""Verification of data sets: checksums, sizes, duplicates and overlap of train and test."""

from dataclasses import dataclass
from pathlib import Path

from bench.data import store
from bench.data.addnist import FOLDER, TEST_SHA256
from bench.data.images import distinct, fingerprint, overlap
from bench.errors import DataError
from bench.files import hash_file


@dataclass(frozen=True)
class DatasetFinding:
    """One line about a data set; ``ok`` is False for a defect that makes it unusable."""

    ok: bool
    text: str


def verify_dataset(name: str, root: Path) -> list[DatasetFinding]:
    """Read a complete data set, check its checksums, and count duplicates and the overlap of train and test."""
    findings = []
    try:
        if name == "addnist":
            digest = hash_file(root / FOLDER / "test_x.npy")
            text = (
                "test_x.npy is the published file" if digest == TEST_SHA256 else f"test_x.npy has sha256 {digest}"
            )
            findings.append(DatasetFinding(digest == TEST_SHA256, text))
        train = store.load(name, "train+validation", root)
        test = store.load(name, "test", root)
    except DataError as error:
        return [*findings, DatasetFinding(False, str(error))]
    classes = store.describe(name).num_classes
    for split, data in (("train+validation", train), ("test", test)):
        found_classes = len(set(data.labels.tolist()))
        findings.append(
            DatasetFinding(
                found_classes == classes,
                f"{split}: {len(data.labels):,} images, {distinct(data.images):,} distinct, "
                f"{found_classes} classes, sha256 {fingerprint(data)[:12]}",
            )
        )
    repeated = int(overlap(train.images, test.images).sum())
    findings.append(DatasetFinding(True, f"{repeated} test images occur byte for byte in train"))
    return findings

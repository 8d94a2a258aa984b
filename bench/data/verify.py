"""Whether data sets are what they should be, and what a careful reader should know about them."""

from dataclasses import dataclass
from pathlib import Path

from bench.data import store
from bench.data.addnist import FOLDER, TEST_SHA256
from bench.data.images import distinct, fingerprint, overlap
from bench.errors import DataError
from bench.files import hash_file


@dataclass(frozen=True)
class Finding:
    """One line about a data set; ``ok`` is False for what makes it unusable."""

    ok: bool
    text: str


def verify_dataset(name: str, root: Path) -> list[Finding]:
    """Read all of a data set, checksums included, and look for repeats and for overlaps of train and test."""
    findings = []
    try:
        if name == "addnist":
            digest = hash_file(root / FOLDER / "test_x.npy")
            text = (
                "test_x.npy is the published file" if digest == TEST_SHA256 else f"test_x.npy has sha256 {digest}"
            )
            findings.append(Finding(digest == TEST_SHA256, text))
        train = store.load(name, "train+validation", root)
        test = store.load(name, "test", root)
    except DataError as error:
        return [*findings, Finding(False, str(error))]
    classes = store.describe(name).num_classes
    for part, data in (("train+validation", train), ("test", test)):
        found = len(set(data.labels.tolist()))
        findings.append(
            Finding(
                found == classes,
                f"{part}: {len(data.labels):,} images, {distinct(data.images):,} distinct, {found} classes, "
                f"sha256 {fingerprint(data)[:12]}",
            )
        )
    repeated = int(overlap(train.images, test.images).sum())
    findings.append(Finding(True, f"{repeated} test images occur byte for byte in train"))
    return findings

"""Verification of data sets: checksums, sizes, duplicates and overlap of train and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.contract.datasets import FILE_SPLITS, Source, has_own_files, name_of
from bench.data import store
from bench.data.addnist import FOLDER, TEST_SHA256
from bench.data.images import LabelledImages, distinct, fingerprint, overlap
from bench.errors import DataError
from bench.files import hash_file
from bench.text import one_line

MOST_NAMED = 10  # classes without images


@dataclass(frozen=True)
class DatasetFinding:
    """One line about a data set; ``ok`` is False for a defect that makes it unusable."""

    ok: bool
    text: str


def verify_dataset(source: Source, root: Path) -> list[DatasetFinding]:
    """Read a complete data set, check its checksums and labels, and count duplicates within and between splits."""
    findings = []
    name = name_of(source)
    try:
        if name == "addnist":
            digest = hash_file(root / FOLDER / "test_x.npy")
            text = (
                "test_x.npy is the published file" if digest == TEST_SHA256 else f"test_x.npy has sha256 {digest}"
            )
            findings.append(DatasetFinding(digest == TEST_SHA256, text))
        train = store.load(source, "train+validation", root)
        test = None if store.available(source, root, ["test"]) else store.load(source, "test", root)
    except DataError as error:
        return [*findings, DatasetFinding(False, str(error))]
    known = store.class_names(name) if isinstance(source, str) else source.class_names
    names = known or tuple(str(label) for label in range(store.describe(source).num_classes))
    findings.append(_contents("train+validation", train, names))
    if test is None:
        findings.append(DatasetFinding(True, "test: not here; only official runs need it"))
    else:
        findings.append(_contents("test", test, names))
        repeated = int(overlap(train.images, test.images).sum())
        findings.append(DatasetFinding(True, f"{repeated} test images occur byte for byte in train"))
    return findings + [DatasetFinding(True, line) for line in _published_digests(source, root)]


def _contents(split: str, data: LabelledImages, names: Sequence[str]) -> DatasetFinding:
    """Return the numbers of images, of distinct ones and of classes; a class without images is a defect."""
    sizes = np.bincount(data.labels, minlength=len(names))
    empty = [one_line(names[label], 40) for label in np.flatnonzero(sizes == 0).tolist()]
    more = f" and {len(empty) - MOST_NAMED} more" if len(empty) > MOST_NAMED else ""
    without = f", no image of class {', '.join(empty[:MOST_NAMED])}{more}" if empty else ""
    unequal = "" if sizes.min() == sizes.max() else f", {sizes.min():,} to {sizes.max():,} images per class"
    contradictory = _contradictory(data)
    labels = f", {contradictory:,} images with two labels" if contradictory else ""
    return DatasetFinding(
        sizes.min() > 0,
        f"{split}: {len(data.labels):,} images, {distinct(data.images):,} distinct, "
        f"{np.count_nonzero(sizes)} classes{unequal}{without}{labels}, sha256 {fingerprint(data)[:12]}",
    )


def _contradictory(data: LabelledImages) -> int:
    """Count the distinct images that occur with more than one label."""
    labels: dict[bytes, set[int]] = {}
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        labels.setdefault(image.tobytes(), set()).add(label)
    return sum(len(found) > 1 for found in labels.values())


def _published_digests(source: Source, root: Path) -> list[str]:
    """Return the lines for `sha256` in the track's file; none for a known data set."""
    files = store.split_files(source, root)
    if files is None or not has_own_files(source):
        return []
    present = [split for split in FILE_SPLITS if files.missing(split) is None]
    digests = ", ".join(f"{split}: {fingerprint(files.read(split))}" for split in present)
    return [f"for the track's file: sha256: {{{digests}}}"]

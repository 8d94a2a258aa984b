"""Statistics, subsets and fingerprints of image sets, against numpy and brute force."""

import hashlib

import numpy as np
import pytest

from bench.data.images import (
    LabelledImages,
    channel_statistics,
    distinct,
    fingerprint,
    overlap,
    stratified_validation,
)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6), dtype=np.uint8)


def test_channel_statistics_equal_numpy(images: np.ndarray) -> None:
    mean, std = channel_statistics(images)
    assert mean == pytest.approx((images / 255).mean((0, 2, 3)))
    assert std == pytest.approx((images / 255).std((0, 2, 3)))


def test_validation_split_is_stratified_and_frozen() -> None:
    labels = np.repeat(np.arange(5), [100, 50, 30, 10, 4])
    chosen = stratified_validation(labels, 0.1)
    assert np.bincount(labels[chosen], minlength=5).tolist() == [10, 5, 3, 1, 0]
    # Frozen: results on another validation split could not be compared with earlier ones.
    assert hashlib.sha256(chosen.tobytes()).hexdigest()[:16] == "c42a943660de5d07"


def test_validation_does_not_depend_on_the_class_of_other_images() -> None:
    labels = np.arange(100) % 2
    moved = labels.copy()
    moved[1::2] = 7
    assert np.array_equal(stratified_validation(labels, 0.2)[::2], stratified_validation(moved, 0.2)[::2])


def test_overlap_and_distinct_compare_images_byte_by_byte(images: np.ndarray) -> None:
    test = np.concatenate([images[3:5], 255 - images[:2], images[3:4]])
    assert overlap(images, test).tolist() == [True, True, False, False, True]
    assert distinct(test) == 4


def test_fingerprint_depends_on_images_labels_and_shape(images: np.ndarray) -> None:
    labels = np.arange(40)
    fingerprints = {
        fingerprint(LabelledImages(images, labels)),
        fingerprint(LabelledImages(images, labels[::-1].copy())),
        fingerprint(LabelledImages(np.ascontiguousarray(images[::-1]), labels)),
        fingerprint(LabelledImages(images.reshape(40, 3, 6, 5), labels)),
    }
    assert len(fingerprints) == 4


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 4, 4)), np.zeros(2, np.int64), "`images` is .*float64"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(3, np.int64), "`labels` is"),
        (np.zeros((2, 4, 4, 3), np.uint8).transpose(0, 3, 1, 2), np.zeros(2, np.int64), "C-contiguous"),
    ],
)
def test_invalid_arrays_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)


def test_evenly_spread_images_keep_the_order_and_class_shares() -> None:
    labels = np.repeat(np.arange(4), 25)
    data = LabelledImages(np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1), labels)
    subset = data.evenly_spread(8)
    assert subset.images.ravel().tolist() == [0, 12, 25, 37, 50, 62, 75, 87]
    assert subset.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.evenly_spread(None) is data and data.evenly_spread(500) is data


def labelled(labels: list[int]) -> LabelledImages:
    array = np.array(labels, np.int64)
    return LabelledImages(np.arange(len(labels), dtype=np.uint8)[:, None, None, None], array)


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ((10, 10, 10), 6, (2, 2, 2)),
        ((10, 10, 10), 8, (3, 3, 2)),
        ((1, 10, 10), 9, (1, 4, 4)),
        ((1, 2, 10), 12, (1, 2, 9)),
        ((5, 5, 5), 2, (1, 1, 0)),
        ((2, 2), 9, (2, 2)),
    ],
)
def test_balanced_subset_has_equal_class_counts_in_order(
    sizes: tuple[int, ...], count: int, expected: tuple[int, ...]
) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    data = labelled(list(np.random.default_rng(0).permutation(labels)))
    subset = data.balanced(count)
    assert tuple(np.bincount(subset.labels, minlength=len(sizes))) == expected
    order = subset.images.ravel()
    assert (np.diff(order.astype(int)) > 0).all()  # in the original order
    assert np.array_equal(data.labels[order], subset.labels)
    assert data.balanced(None) is data

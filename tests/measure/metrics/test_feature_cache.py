"""Features of the same images are computed once; an unusable cache is ignored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.measure.metrics.feature_cache import BLOCK, cached_array, cached_features

IMAGES = np.random.default_rng(0).integers(0, 256, (2 * BLOCK + 30, 3, 4, 4), dtype=np.uint8)


class Extractor:
    """The mean of each channel; counts the images that it computed."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.float().mean((2, 3))


EXPECTED = IMAGES.astype(np.float32).mean((2, 3))


def test_features_are_computed_once_per_image(tmp_path: Path) -> None:
    extract, progress = Extractor(), []
    first = cached_features(
        extract, "means", IMAGES, tmp_path, on_progress=lambda done, total: progress.append(done)
    )
    assert np.allclose(first, EXPECTED)
    assert (extract.seen, progress[-1]) == (len(IMAGES), len(IMAGES))
    assert progress == sorted(progress)
    again = cached_features(extract, "means", IMAGES, tmp_path)
    assert np.array_equal(again, first)
    assert extract.seen == len(IMAGES)


def test_changed_block_or_network_is_computed_again(tmp_path: Path) -> None:
    cached_features(Extractor(), "means", IMAGES, tmp_path)
    other = Extractor()
    changed = IMAGES.copy()
    changed[BLOCK, 0, 0, 0] ^= 1  # one bit, in the second block
    cached_features(other, "means", changed, tmp_path)
    assert other.seen == BLOCK
    cached_features(other, "means of another network", IMAGES, tmp_path)
    assert other.seen == BLOCK + len(IMAGES)


def test_interrupted_extraction_keeps_complete_blocks(tmp_path: Path) -> None:
    extract = Extractor()

    def interrupt(done: int, total: int) -> None:
        if done > BLOCK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(extract, "means", IMAGES, tmp_path, on_progress=interrupt)
    resumed = Extractor()
    cached_features(resumed, "means", IMAGES, tmp_path)
    assert resumed.seen == len(IMAGES) - BLOCK


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"<html>", np.zeros(3, np.float32).tobytes()])
def test_damaged_block_is_computed_again(tmp_path: Path, content: bytes) -> None:
    cached_features(Extractor(), "means", IMAGES, tmp_path)
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(content)
    extract = Extractor()
    assert np.allclose(cached_features(extract, "means", IMAGES, tmp_path), EXPECTED)
    assert extract.seen == len(IMAGES)


def test_non_finite_block_is_computed_again(tmp_path: Path) -> None:
    cached_features(lambda images: torch.full((len(images), 3), torch.nan), "means", IMAGES, tmp_path)
    assert np.allclose(cached_features(Extractor(), "means", IMAGES, tmp_path), EXPECTED)


def test_unwritable_cache_folder_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert np.allclose(cached_features(Extractor(), "means", IMAGES, tmp_path / "file"), EXPECTED)


def test_cached_array_is_computed_once(tmp_path: Path) -> None:
    calls = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3, dtype=np.float32)

    for _ in range(2):
        assert cached_array(compute, "of these", tmp_path).tolist() == [0, 1, 2]
    assert len(calls) == 1

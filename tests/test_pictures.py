"""Sheets of images: every image where it belongs, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pictures import GAP, save_sheet, sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_in_its_place(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, channels, 5, 4), dtype=np.uint8)
    save_sheet(images, tmp_path / "deep" / "sheet.png", columns=3)
    found = np.asarray(Image.open(tmp_path / "deep" / "sheet.png"))
    assert found.shape[:2] == (2 * (3 * (5 + GAP) + GAP), 2 * (3 * (4 + GAP) + GAP))
    small = found[::2, ::2].reshape(found.shape[0] // 2, found.shape[1] // 2, channels)
    assert np.array_equal(np.asarray(sheet(images, 3, scale=1)).reshape(small.shape), small)
    for index, image in enumerate(images):
        top, left = GAP + index // 3 * (5 + GAP), GAP + index % 3 * (4 + GAP)
        assert np.array_equal(small[top : top + 5, left : left + 4], image.transpose(1, 2, 0))
    assert (small[:GAP] == 255).all() and (small[-5 - GAP :, 4 + 2 * GAP :] == 255).all()  # no eighth image
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["sheet.png"]

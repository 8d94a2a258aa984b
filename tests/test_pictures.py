"""Sheets of images, compared pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pictures import GAP, save_sheet, sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_sheet_has_every_image_at_its_position(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, channels, 5, 4), dtype=np.uint8)
    save_sheet(images, tmp_path / "deep" / "sheet.png", columns=3)
    saved = np.asarray(Image.open(tmp_path / "deep" / "sheet.png"))
    assert saved.shape[:2] == (2 * (3 * (5 + GAP) + GAP), 2 * (3 * (4 + GAP) + GAP))
    small = saved[::2, ::2].reshape(saved.shape[0] // 2, saved.shape[1] // 2, channels)
    assert np.array_equal(np.asarray(sheet(images, 3, scale=1)).reshape(small.shape), small)
    for index, image in enumerate(images):
        top, left = GAP + index // 3 * (5 + GAP), GAP + index % 3 * (4 + GAP)
        assert np.array_equal(small[top : top + 5, left : left + 4], image.transpose(1, 2, 0))
    assert (small[:GAP] == 255).all() and (small[-5 - GAP :, 4 + 2 * GAP :] == 255).all()  # no eighth image
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["sheet.png"]

"""Grids of small images as PNG files."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.files import atomic_path

GAP = 2  # white pixels between images
TOO_LARGE = "a picture of more pixels than a run writes"
MAX_PIXELS = 40_000_000  # per sheet; a sheet of 10,000 images of 28 × 28 at scale 2 has 36 million


def sheet(images: NDArray[np.uint8], columns: int, scale: int = 2) -> Image.Image:
    """Arrange images in a grid, row by row.

    Args:
        images: (N, C, H, W) uint8; C is 1 or 3.
        columns: Images per row.
        scale: Enlargement: each pixel becomes a square of this many pixels a side.
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8)
    for index, image in enumerate(images.transpose(0, 2, 3, 1)):
        top = GAP + index // columns * (height + GAP)
        left = GAP + index % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    canvas = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(canvas.squeeze(2) if channels == 1 else canvas)


def save_sheet(images: NDArray[np.uint8], path: Path, columns: int = 8) -> None:
    """Write ``sheet(images, columns)`` to ``path`` atomically."""
    with atomic_path(path) as partial:
        sheet(images, columns).save(partial, format="PNG")


def why_no_picture(path: Path, *, decoded: bool = True) -> str | None:
    """Return the reason why a file is not a displayable PNG picture; None if it is one.

    Args:
        path: The file.
        decoded: Whether to decode the pixels; False checks size and checksums only, which is faster.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return TOO_LARGE
                image.load() if decoded else image.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return TOO_LARGE
    except Exception as error:  # Pillow raises many exception types for damaged files; none may stop a report
        return f"no PNG picture ({type(error).__name__})"
    return None

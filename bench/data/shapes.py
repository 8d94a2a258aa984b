"""The embedded data sets: up to 100 classes of drawn RGB images, for machines without the real data sets.

A class is a pair of one of 10 outlines and one of 10 textures. Position, scale, rotation, the three colours, a
background gradient, clutter and noise are random and independent of the class. Pixels are computed from implicit
functions, which are positive inside, so that edges are antialiased at every size.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.images import LabelledImages
from bench.errors import DataError
from bench.seeding import derive_seed

VERSION = 2  # of the drawing code; part of the cache file's name
TRAIN_PER_CLASS, TEST_PER_CLASS = 200, 40
GREY = "-grey"
NAME = re.compile(r"shapes(\d+)(?:x(\d+))?(-grey)?")

# (n, H, W) float64. In float32, a few of 10 million pixels differ by one level between processors.
Field = Any


@dataclass(frozen=True)
class ShapesName:
    """A parsed name: ``shapes100`` is 100 classes of 32×32, ``shapes20x28-grey`` 20 classes of 28×28 in grey."""

    classes: int
    size: int
    grey: bool = False


def parse_name(name: str) -> ShapesName:
    """Parse classes and size from the name of a drawn data set.

    Raises:
        DataError: If ``name`` has another form, or classes or size are out of range.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise DataError(f"data set {name!r}: drawn sets are named shapes<classes>[x<size>][-grey]")
    shapes_name = ShapesName(int(match[1]), int(match[2] or 32), match[3] is not None)
    if not 2 <= shapes_name.classes <= 100 or not 8 <= shapes_name.size <= 128:
        raise DataError(f"data set {name!r}: use 2 to 100 classes and a size of 8 to 128 pixels")
    return shapes_name


def _star(u: Field, v: Field) -> Field:
    turn = np.arctan2(u, -v) * (5 / (2 * np.pi))
    return 1.05 - 0.62 * 2 * np.abs(turn - np.round(turn)) - np.hypot(u, v)


OUTLINES: tuple[Callable[[Field, Field], Any], ...] = (
    lambda u, v: 0.9 - np.hypot(u, v),  # disc
    lambda u, v: 0.8 - np.maximum(np.abs(u), np.abs(v)),  # square
    lambda u, v: 0.55 - np.maximum(v, 0.866 * np.abs(u) - 0.5 * v),  # triangle
    lambda u, v: np.maximum(  # plus
        np.minimum(0.95 - np.abs(u), 0.34 - np.abs(v)), np.minimum(0.34 - np.abs(u), 0.95 - np.abs(v))
    ),
    _star,
    lambda u, v: 0.27 - np.abs(np.hypot(u, v) - 0.7),  # ring
    lambda u, v: np.minimum(0.95 - np.hypot(u, v), np.hypot(u - 0.5, v) - 0.62),  # crescent
    lambda u, v: np.minimum(1.05 - np.abs(u), 0.38 - np.abs(v)),  # bar
    lambda u, v: np.maximum(  # corner
        np.minimum(0.3 - np.abs(u + 0.58), 0.88 - np.abs(v)),
        np.minimum(0.88 - np.abs(u), 0.3 - np.abs(v - 0.58)),
    ),
    lambda u, v: np.minimum(0.9 - np.abs(v), 0.12 + 0.85 * np.abs(v) - np.abs(u)),  # hourglass
)


def _wave(x: Field, turns: float) -> Field:
    """Compute a square wave with soft edges, in [0, 1], with ``turns`` periods per unit."""
    return np.clip(0.5 + 2.5 * np.sin(2 * np.pi * turns * x), 0, 1)


# (u, v, f) -> fraction of the second colour, in [0, 1]; f is the outline's implicit function.
TEXTURES: tuple[Callable[[Field, Field, Field], Any], ...] = (
    lambda u, v, f: np.zeros_like(u),  # plain
    lambda u, v, f: _wave(v, 1.4),  # horizontal stripes
    lambda u, v, f: _wave(u, 1.4),  # vertical stripes
    lambda u, v, f: _wave(u + v, 1.0),  # diagonal stripes
    lambda u, v, f: np.clip(0.5 + 3 * np.sin(6.6 * u) * np.sin(6.6 * v), 0, 1),  # checkerboard
    lambda u, v, f: np.clip(0.5 + 8 * u, 0, 1),  # left and right halves
    lambda u, v, f: np.clip(0.5 + 8 * v, 0, 1),  # top and bottom halves
    lambda u, v, f: _wave(np.hypot(u, v), 1.7),  # concentric rings
    lambda u, v, f: np.clip(0.5 + 12 * (f - 0.16), 0, 1),  # core in the second colour
    lambda u, v, f: np.zeros_like(u),  # hollow: _draw_class cuts out the inside
)
HOLLOW = 9
HOLLOW_WIDTH = 0.17


def draw(classes: int, size: int, part: str, per_class: int, seed: int = 0) -> LabelledImages:
    """Draw a split of a data set; the same arguments give the same images.

    Args:
        classes: 2 to 100.
        size: Side of the square images in pixels.
        part: "train" or "test"; they share no image.
        per_class: Images per class.
        seed: Another seed gives other images of the same classes.

    Returns:
        ``classes * per_class`` images, (N, 3, size, size), shuffled.
    """
    images = np.empty((classes * per_class, 3, size, size), np.uint8)
    for label in range(classes):
        generator = np.random.Generator(np.random.PCG64(derive_seed(seed, "shapes", VERSION, size, part, label)))
        images[label * per_class : (label + 1) * per_class] = _draw_class(label, size, per_class, generator)
    labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)
    shuffle = np.random.Generator(np.random.PCG64(derive_seed(seed, "shapes-order", VERSION, part)))
    order = shuffle.permutation(len(labels))
    return LabelledImages(images[order], labels[order])


def _draw_class(label: int, size: int, count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    def uniform(low: float, high: float) -> Field:
        return generator.uniform(low, high, (count, 1, 1))

    axis = (np.arange(size) + 0.5) / size * 2 - 1  # pixel centres in [-1, 1]
    y, x = np.broadcast_arrays(axis[None, :, None], axis[None, None, :])
    background, first, second, speck = _colours(count, generator)
    slope = uniform(-0.18, 0.18) * x + uniform(-0.18, 0.18) * y
    canvas = background + slope[:, None]
    for _ in range(3):
        canvas = _blend(canvas, speck, _disc(x, y, uniform(-1, 1), uniform(-1, 1), uniform(0.06, 0.14), size))
    scale, angle = uniform(0.58, 0.82), uniform(-0.3, 0.3)
    dx, dy = x - uniform(-0.22, 0.22), y - uniform(-0.22, 0.22)
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / scale
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / scale
    outline = OUTLINES[label % 10](u, v)
    texture = label // 10
    inside = np.clip(outline * scale * size / 2 + 0.5, 0, 1)
    if texture == HOLLOW:
        inside = inside * np.clip((HOLLOW_WIDTH - outline) * scale * size / 2 + 0.5, 0, 1)
    paint = _blend(np.broadcast_to(first, canvas.shape), second, TEXTURES[texture](u, v, outline))
    canvas = canvas + inside[:, None] * (paint - canvas)
    canvas = canvas + generator.normal(0, 0.03, canvas.shape)
    images: NDArray[np.uint8] = (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    return images


def _disc(x: Field, y: Field, cx: Field, cy: Field, radius: Field, size: int) -> Field:
    return np.clip((radius - np.hypot(x - cx, y - cy)) * size / 2 + 0.5, 0, 1)


def _blend(canvas: Any, colour: Any, share: Any) -> Any:
    return canvas + share[:, None] * (colour - canvas)


def _colours(count: int, generator: np.random.Generator) -> Any:
    """Draw four colours per image, (4, count, 3, 1, 1).

    The hues are a quarter turn apart; hues and brightness levels are shuffled independently.
    """
    hue = generator.uniform(0, 1, (1, count)) + generator.permuted(
        np.tile([[0.0], [0.25], [0.5], [0.75]], count), axis=0
    )
    value = generator.permuted(np.tile([[0.95], [0.45], [0.75], [0.2]], count), axis=0)
    value = value + generator.uniform(-0.08, 0.05, (4, count))
    saturation = generator.uniform(0.35, 0.95, (4, count))
    # HSV to RGB (Smith 1978), as one formula for the three channels.
    k = (np.array([5, 3, 1])[None, None] + hue[..., None] * 6) % 6
    colour = value[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1))
    return colour[..., None, None]

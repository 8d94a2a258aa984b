"""Bitmaps in records: one bit per image, packed with the first image as the highest bit, in base64."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray


def pack_bits(values: NDArray[np.bool_]) -> str:
    """Return (N,) booleans as base64 text of about N / 6 characters."""
    return base64.b64encode(np.packbits(values).tobytes()).decode()


def unpack_bits(text: str, count: int) -> NDArray[np.bool_]:
    """Return the (count,) booleans that ``pack_bits`` packed.

    Raises:
        ValueError: If ``text`` is not base64 or has another number of bits.
    """
    try:
        content = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except binascii.Error as error:
        raise ValueError(f"is not base64 ({error})") from None
    if len(content) != -(-count // 8) or np.unpackbits(content)[count:].any():
        raise ValueError(f"has {8 * len(content)} bits, for {count:,} images")
    return np.unpackbits(content, count=count).astype(bool)

"""A yes or no for each of many images, as text in a record: base64 of bits, the first image's the highest."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray


def pack_bits(values: NDArray[np.bool_]) -> str:
    """(N,) as text of about N / 6 characters."""
    return base64.b64encode(np.packbits(values).tobytes()).decode()


def unpack_bits(text: str, count: int) -> NDArray[np.bool_]:
    """(count,) again.

    Raises:
        ValueError: If ``text`` is not of so many.
    """
    try:
        content = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except binascii.Error as error:
        raise ValueError(f"is not base64 ({error})") from None
    if len(content) != -(-count // 8) or np.unpackbits(content)[count:].any():
        raise ValueError(f"is of {8 * len(content)} bits, for {count:,} images")
    return np.unpackbits(content, count=count).astype(bool)

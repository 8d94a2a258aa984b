"""Seeds of all random generators in a run, derived from (seed, purpose) only."""

import hashlib

_SALT = "capbench-1"


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed for one purpose, e.g. ``derive_seed(0, "order", epoch)``.

    Hashing makes the streams of consecutive seeds and of different purposes unrelated; ``seed + 1`` would not
    (Matsumoto et al. 2007, "Common defects in initialization of pseudorandom number generators").

    Args:
        seed: The run's seed (``--seeds``); at least 0.
        purpose: Purpose of the stream; its parts are joined by a separator: ("step", 12) and ("step1", 2) differ.

    Returns:
        An integer in [0, 2**63).
    """
    text = "\0".join([_SALT, str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

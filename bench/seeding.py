"""Every random number in a run comes from (seed, purpose), and from nowhere else."""

import hashlib

_SALT = "capbench-1"


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. ``derive_seed(0, "order", epoch)``.

    Hashing keeps the streams of neighbouring seeds and purposes unrelated, which ``seed + 1`` would not
    (Matsumoto et al. 2007, "Common defects in initialization of pseudorandom number generators").

    Args:
        seed: The run's seed, as given by ``--seeds``; at least 0.
        purpose: What the stream is for; parts are joined, so ("step", 12) and ("step1", 2) differ.

    Returns:
        An integer in [0, 2**63).
    """
    text = "\0".join([_SALT, str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

"""Closed forms of what layers cost: parameters and multiply-accumulates of one image."""

from typing import NamedTuple


class Counts(NamedTuple):
    """Of a layer or a network."""

    params: int
    macs: int

    def __add__(self, other: tuple[int, int]) -> "Counts":  # type: ignore[override]
        return Counts(self.params + other[0], self.macs + other[1])


def conv(c_in: int, c_out: int, kernel: int, positions: int, groups: int = 1, bias: bool = True) -> Counts:
    """Square kernels, laid on so many positions."""
    weights = c_in * c_out * kernel**2 // groups
    return Counts(weights + bias * c_out, weights * positions)


def linear(c_in: int, c_out: int, rows: int = 1, bias: bool = True) -> Counts:
    """Of so many rows of an image."""
    return Counts(c_in * c_out + bias * c_out, c_in * c_out * rows)


def norm(channels: int) -> Counts:
    """A scale and a shift of each channel."""
    return Counts(2 * channels, 0)


def params(count: int) -> Counts:
    """Of parameters that nothing is multiplied by in a matrix product."""
    return Counts(count, 0)


def macs(count: int) -> Counts:
    """Of products without parameters."""
    return Counts(0, count)


def attention(width: int, queries: int, keys: int | None = None, bias: bool = True) -> Counts:
    """Four projections of their own, and two products, which cost the same whatever the number of heads."""
    keys = queries if keys is None else keys
    projections = [linear(width, width, rows, bias) for rows in (queries, keys, keys, queries)]
    return total(*projections) + macs(2 * queries * keys * width)


def recurrent(c_in: int, hidden: int, steps: int, gates: int) -> Counts:
    """One direction of one layer, with two biases as torch has."""
    weights = gates * hidden * (c_in + hidden)
    return Counts(weights + 2 * gates * hidden, weights * steps)


def total(*parts: Counts) -> Counts:
    """Of all parts."""
    return Counts(sum(part.params for part in parts), sum(part.macs for part in parts))

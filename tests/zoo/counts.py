"""Costs of layers in closed form: parameters, and multiply-accumulates per image."""

from typing import NamedTuple


class Counts(NamedTuple):
    """The costs of a layer or a network."""

    params: int
    macs: int

    def __add__(self, other: tuple[int, int]) -> "Counts":  # type: ignore[override]
        return Counts(self.params + other[0], self.macs + other[1])


def conv(c_in: int, c_out: int, kernel: int, positions: int, groups: int = 1, bias: bool = True) -> Counts:
    """Return the costs of a convolution with square kernels at ``positions`` output positions."""
    weights = c_in * c_out * kernel**2 // groups
    return Counts(weights + bias * c_out, weights * positions)


def linear(c_in: int, c_out: int, rows: int = 1, bias: bool = True) -> Counts:
    """Return the costs of a linear layer, applied to ``rows`` vectors per image."""
    return Counts(c_in * c_out + bias * c_out, c_in * c_out * rows)


def norm(channels: int) -> Counts:
    """Return the costs of a normalisation with a scale and a shift per channel."""
    return Counts(2 * channels, 0)


def params(count: int) -> Counts:
    """Return the costs of parameters outside of matrix products."""
    return Counts(count, 0)


def macs(count: int) -> Counts:
    """Return the costs of matrix products without parameters."""
    return Counts(0, count)


def attention(width: int, queries: int, keys: int | None = None, bias: bool = True) -> Counts:
    """Return the costs of four projections and two matrix products; they do not depend on the number of heads."""
    keys = queries if keys is None else keys
    projections = [linear(width, width, rows, bias) for rows in (queries, keys, keys, queries)]
    return total(*projections) + macs(2 * queries * keys * width)


def recurrent(c_in: int, hidden: int, steps: int, gates: int) -> Counts:
    """Return the costs of one direction of one recurrent layer, with two biases like torch's."""
    weights = gates * hidden * (c_in + hidden)
    return Counts(weights + 2 * gates * hidden, weights * steps)


def total(*parts: Counts) -> Counts:
    """Return the sum of costs."""
    return Counts(sum(part.params for part in parts), sum(part.macs for part in parts))

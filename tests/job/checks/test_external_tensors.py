"""Tensors that a network reads from elsewhere, counted by storage; what it makes itself is its own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.checks.external_tensors import ALLOWED_SCALARS, check_external_tensors

TABLE = torch.ones(ALLOWED_SCALARS + 1)
SMALL = torch.ones(ALLOWED_SCALARS)


class Reads(nn.Module):
    """Adds the mean of something to what it is given."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("buffer", torch.ones(1000))
        self.plain = torch.ones(1000)
        self.where = where

    def forward(self, x: Tensor) -> Tensor:
        read: dict[str, Callable[[], Tensor]] = {
            "buffer": lambda: self.buffer,
            "plain": lambda: self.plain[3:],
            "made": lambda: torch.arange(5000.0),
            "weights": lambda: self.layer.weight.T,
            "global": lambda: TABLE,
            "part of it": lambda: TABLE[::2],
            "small": lambda: SMALL,
        }
        return self.layer(x) + read[self.where]().mean()  # type: ignore[no-any-return]


def check(where: str) -> None:
    model, x = Reads(where), torch.ones(1, 2)
    check_external_tensors(model, [x], lambda: model(x))


@pytest.mark.parametrize("where", ["buffer", "plain", "made", "weights", "small"])
def test_its_own_and_small_constants(where: str) -> None:
    check(where)


@pytest.mark.parametrize("where", ["global", "part of it"])
def test_a_table_from_elsewhere(where: str) -> None:
    with pytest.raises(ContractError, match=r"reads 257 scalars .* 256 are allowed"):
        check(where)

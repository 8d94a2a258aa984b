"""External tensors are counted by storage; a network's own tensors and computed ones are not external."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.checks.external_tensors import ALLOWED_SCALARS, check_external_tensors

TABLE = torch.ones(ALLOWED_SCALARS + 1)
SMALL = torch.ones(ALLOWED_SCALARS)


class Reads(nn.Module):
    """Adds the mean of a tensor to its input."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("buffer", torch.ones(1000))
        self.plain = torch.ones(1000)
        self.source = source

    def forward(self, x: Tensor) -> Tensor:
        read: dict[str, Callable[[], Tensor]] = {
            "buffer": lambda: self.buffer,
            "plain": lambda: self.plain[3:],
            "computed": lambda: torch.arange(5000.0),
            "weights": lambda: self.layer.weight.T,
            "global": lambda: TABLE,
            "view of global": lambda: TABLE[::2],
            "small": lambda: SMALL,
        }
        return self.layer(x) + read[self.source]().mean()  # type: ignore[no-any-return]


def check(source: str) -> None:
    model, x = Reads(source), torch.ones(1, 2)
    check_external_tensors(model, [x], lambda: model(x))


@pytest.mark.parametrize("source", ["buffer", "plain", "computed", "weights", "small"])
def test_own_tensors_and_small_constants_are_allowed(source: str) -> None:
    check(source)


@pytest.mark.parametrize("source", ["global", "view of global"])
def test_large_external_tensor_is_refused(source: str) -> None:
    with pytest.raises(ContractError, match=r"reads 257 scalars .* 256 are allowed"):
        check(source)

"""How a phase computes: on which device, with which rounding, and by kernels that repeat themselves or may not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.contract.jobs import Phase, Precision
from bench.errors import ContractError

EXACT_PHASES: tuple[Phase, ...] = ("score", "floor")  # TF32 would move features in the third digit
# torch's setting -> what a submission that changes it should do instead.
ROUNDING = ("torch.backends.cuda.matmul.allow_tf32", "torch.backends.cudnn.allow_tf32")
PRODUCTS = "torch.set_float32_matmul_precision"


def settle(phase: Phase, device: str, precision: Precision) -> None:
    """Choose the current device and the rounding of float32, before anything is computed.

    torch's own default is TF32 in convolutions and not in products; here both follow ``precision``.

    Args:
        phase: Scoring is always exact; verifying asks cuBLAS for the same result twice.
        device: "cpu", "cuda" or "cuda:1", which becomes the one that is meant where none is named.
        precision: "tf32" lets tensor cores round the factors of products and convolutions to 10 bits.
    """
    rounds = precision == "tf32" and phase not in EXACT_PHASES
    torch.backends.cudnn.allow_tf32 = rounds
    torch.backends.cuda.matmul.allow_tf32 = rounds
    if not device.startswith("cuda"):
        return
    if phase == "verify":  # read when the first product is computed
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.cuda.set_device(torch.device(device).index or 0)


def rounding() -> dict[str, bool | str]:
    """The settings that decide how float32 is rounded, by the names that torch gives them."""
    products, convolutions = ROUNDING
    return {
        products: torch.backends.cuda.matmul.allow_tf32,
        convolutions: torch.backends.cudnn.allow_tf32,
        PRODUCTS: torch.get_float32_matmul_precision(),
    }


def refuse_other_rounding(before: dict[str, bool | str]) -> None:
    """Refuse a submission that has changed how float32 is rounded: its record would say otherwise.

    Raises:
        ContractError: Naming the setting, and the option that is there for it.
    """
    for name, value in rounding().items():
        if value != before[name]:
            raise ContractError(
                f"{name} was {before[name]} and is now {value}; leave it to `bench run --precision`, which "
                "records what it was"
            )


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On a GPU, kernels that give the same bits each time, where there are such.

    What has none runs all the same, and says so in the log.
    """
    if device.type == "cpu":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])


def may_vary(device: torch.device) -> bool:
    """Whether the same kernel on the same numbers may give other bits: on a GPU some add in any order."""
    return device.type != "cpu"

"""Configure the numerics of a phase: current device, float32 rounding, and deterministic kernels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.contract.jobs.files import Phase
from bench.contract.jobs.spec import Precision
from bench.errors import ContractError

EXACT_PHASES: tuple[Phase, ...] = ("score", "score_real")  # TF32 would move features in the third digit
TRAINING_PHASES: tuple[Phase, ...] = ("verify", "train")
# Names of torch's settings for products, convolutions, and both.
ROUNDING = ("torch.backends.cuda.matmul.allow_tf32", "torch.backends.cudnn.allow_tf32")
PRODUCTS = "torch.set_float32_matmul_precision"


def configure_numerics(phase: Phase, device: str, precision: Precision) -> None:
    """Set the current device and the float32 rounding, before the first computation.

    torch's default is TF32 for convolutions but not for matrix products; here both follow ``precision``. On a GPU,
    training steps use the convolution algorithms that cuDNN measures to be fastest, because all batches have the
    same shape; they differ from its other algorithms by rounding.

    Args:
        phase: Scoring phases never round to TF32; the verify phase makes cuBLAS deterministic.
        device: "cpu", "cuda" or "cuda:1"; a GPU becomes torch's current device.
        precision: "tf32" allows tensor cores to round the factors of products and convolutions to 10 bits.
    """
    rounds = precision == "tf32" and phase not in EXACT_PHASES
    torch.backends.cudnn.allow_tf32 = rounds
    torch.backends.cuda.matmul.allow_tf32 = rounds
    if not device.startswith("cuda"):
        return
    if phase == "verify":  # cuBLAS reads it at the first product
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = phase in TRAINING_PHASES
    torch.cuda.set_device(torch.device(device).index or 0)


def rounding() -> dict[str, bool | str]:
    """Return torch's settings of float32 rounding: name -> value."""
    products, convolutions = ROUNDING
    return {
        products: torch.backends.cuda.matmul.allow_tf32,
        convolutions: torch.backends.cudnn.allow_tf32,
        PRODUCTS: torch.get_float32_matmul_precision(),
    }


def check_rounding(before: dict[str, bool | str]) -> None:
    """Refuse a submission that changed the float32 rounding, which would contradict its record.

    Args:
        before: The result of ``rounding`` before the submission was loaded.

    Raises:
        ContractError: Naming the changed setting, and the option to use instead.
    """
    for name, value in rounding().items():
        if value != before[name]:
            raise ContractError(
                f"{name} was {before[name]} and is now {value}; leave it to `bench run --precision`, which "
                "records the precision"
            )


@contextmanager
def deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Use deterministic kernels on a GPU for the duration of the block.

    An operator without a deterministic kernel runs anyway, and torch warns about it in the log.
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


def may_be_nondeterministic(device: torch.device) -> bool:
    """Return whether repeating a kernel may give different bits: some GPU kernels add in varying order."""
    return device.type != "cpu"

"""``python -m benchmarks.sampling METHOD STEPS COUNT THREADS``: samples of ``convnext_ddpm``, untrained.

``harness`` is the submission's ``sample`` as the harness calls it. ``plain`` is a loop with two evaluations of
the network per step, one with labels and one without, in torch's default memory format. Input and output have the
format of ``bench.job.speed``.
"""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.contract.submission import DataSpec
from bench.job.inference.prediction import sample
from bench.job.loading import build_network, load_submission
from bench.job.speed import answer, reserve_stdout
from benchmarks.specs import DEVICE
from reference_models import signal_shares, to_bytes

SUBMISSION = Path(__file__).resolve().parents[1] / "submissions" / "convnext_ddpm"
DATA = DataSpec(image_shape=(3, 32, 32), num_classes=100, channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3)
GUIDANCE, TIME_STEPS = 1.5, 1000


@torch.no_grad()
def plain(model: nn.Module, labels: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Take ``steps`` steps of ancestral sampling (Ho et al. 2020, algorithm 2) with classifier-free guidance."""
    shares = signal_shares("linear", TIME_STEPS).float().to(DEVICE)
    betas = 1 - shares[1:] / shares[:-1]
    x = torch.randn(len(labels), 3, 32, 32, generator=generator, device=DEVICE)
    for time in range(TIME_STEPS - 1, TIME_STEPS - 1 - steps, -1):
        times = torch.full((len(labels),), time, device=DEVICE)
        conditional, free = model(x, times, labels), model(x, times, None)
        noise = free + GUIDANCE * (conditional - free)
        beta, share = betas[time - 1], shares[time]
        x = (x - beta / torch.sqrt(1 - share) * noise) / math.sqrt(1 - beta)
        x = x + torch.sqrt(beta) * torch.randn(x.shape, generator=generator, device=DEVICE)
    return to_bytes(x, -1, 1)


if __name__ == "__main__":
    method, steps, count, threads = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    submission = load_submission(SUBMISSION, "generation", {"sampling_steps": steps})
    labels = torch.arange(count, device=DEVICE) % 100
    if method == "plain":
        network = submission.build_model(DATA).eval().to(DEVICE)
        work = lambda: plain(network, labels, steps, torch.Generator(DEVICE).manual_seed(0))  # noqa: E731
    else:
        ours = build_network(submission, DATA, torch.device(DEVICE)).eval().requires_grad_(False)
        work = lambda: sample(submission, ours, labels, 0, (3, 32, 32))  # type: ignore[arg-type]  # noqa: E731
    answer({"sample": work}, DEVICE, reserve_stdout())

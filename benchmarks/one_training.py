"""``python -m benchmarks.one_training THREADS STEPS``: start ``se_dsconv`` and take STEPS training steps."""

import sys

import torch

from bench.job.speed import timed_calls
from benchmarks.specs import spec_of

if __name__ == "__main__":
    threads, steps = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    work = timed_calls(spec_of("se_dsconv"))
    for _ in range(steps):
        work["train"]()

"""``python -m benchmarks.one_training THREADS STEPS``: the start, and so many training steps of ``se_dsconv``."""

import sys

import torch

from bench.job.speed import work_of
from benchmarks.specs import spec_of

if __name__ == "__main__":
    threads, steps = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    work = work_of(spec_of("se_dsconv"))
    for _ in range(steps):
        work["train"]()

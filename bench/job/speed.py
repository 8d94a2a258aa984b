"""``python -m bench.job.speed SPEC``: a submission at work in pieces, timed, as another process asks for them.

A line ``train 3`` or ``infer 3`` on standard input is answered on standard output by the seconds that three steps,
or three predictions or samplings of a batch, took. Two such processes asked by turns are measured under the same
conditions, which two measurements one after the other never are.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench.contract.jobs import JobSpec, read_report
from bench.contract.submission import Classifier
from bench.job.main import die_with_parent
from bench.job.training import start_training
from bench.job.verification import Verifier


def work_of(spec: JobSpec) -> dict[str, Callable[[], object]]:
    """What can be asked for."""
    verifier = Verifier(spec)
    model = start_training(verifier.submission, spec, verifier.budget, verifier.device)
    model.eval()
    classifies = isinstance(verifier.submission, Classifier)
    evaluations = 1 if classifies else verifier.sampling_cost(model).evaluations
    return {"train": verifier.training_step(), "infer": verifier.inference_call(model, evaluations).run}


def seconds(function: Callable[[], object], calls: int, device: str) -> float:
    """The time that ``calls`` calls take, the device's work included."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Answer until standard input ends."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the submission prints is no answer
    spec = read_report(Path(sys.argv[1]), JobSpec)
    torch.set_num_threads(spec.threads)
    work = work_of(spec)
    for function in work.values():
        function()  # allocators, caches and algorithm searches
    print("ready", file=answers)
    for line in sys.stdin:
        what, calls = line.split()
        print(repr(seconds(work[what], int(calls), spec.device)), file=answers)


if __name__ == "__main__":
    main()

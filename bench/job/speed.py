"""``python -m bench.job.speed SPEC``: a submission at work in pieces, timed, as another process asks for them.

A line ``train 3`` or ``infer 3`` on standard input is answered on standard output by the seconds that three steps,
or three predictions or samplings of a batch, took. Two such processes asked by turns are measured under the same
conditions, which two measurements one after the other never are.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from pydantic import BaseModel

from bench.contract.jobs import JobSpec
from bench.contract.submission import Classifier
from bench.job.main import die_with_parent
from bench.job.numerics import settle
from bench.job.workload import Workload


def work_of(spec: JobSpec) -> dict[str, Callable[[], object]]:
    """What can be asked for."""
    work = Workload(spec)
    model = work.start()
    model.eval()
    evaluations = 1 if isinstance(work.submission, Classifier) else work.sampling_cost(model).evaluations
    return {
        "train": work.training_step(spec.execution),
        "infer": work.inference_call(model, evaluations).run,
    }


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


def known_fields(schema: type[BaseModel], content: dict[str, Any]) -> dict[str, Any]:
    """``content`` without what this version of the harness does not know: a later one may have written it."""
    kept = {}
    for name, field in schema.model_fields.items():
        if name in content:
            inner = field.annotation
            nested = isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(content[name], dict)
            kept[name] = known_fields(inner, content[name]) if nested else content[name]  # type: ignore[arg-type]
    return kept


def own_output() -> TextIO:
    """Standard output, for answers alone: what is printed from now on goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def answer(work: Mapping[str, Callable[[], object]], device: str, answers: TextIO) -> None:
    """Say ``ready``, and answer each line ``WHAT CALLS`` until standard input ends."""
    for function in work.values():
        function()  # allocators, caches and algorithm searches
    print("ready", file=answers)
    for line in sys.stdin:
        what, calls = line.split()
        print(repr(seconds(work[what], int(calls), device)), file=answers)


def main() -> None:
    """What ``check --measure`` asks."""
    die_with_parent()
    answers = own_output()
    spec = JobSpec.model_validate(known_fields(JobSpec, json.loads(Path(sys.argv[1]).read_text())))
    torch.set_num_threads(spec.threads)
    settle("train", spec.device, spec.execution.precision)
    answer(work_of(spec), spec.device, answers)


if __name__ == "__main__":
    main()

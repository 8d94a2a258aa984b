"""``python -m bench.job.speed SPEC``: time training steps and inference of a submission on request.

For a line ``train 3`` or ``infer 3`` on standard input, the process prints the seconds that three training steps,
or three predictions or samplings of a batch, took. A caller that alternates between two such processes measures
both under the same background load; two measurements one after the other do not have that property.
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

from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Classifier
from bench.job.main import die_with_parent
from bench.job.steps.numerics import configure_numerics
from bench.job.steps.workload import Workload


def timed_calls(spec: JobSpec) -> dict[str, Callable[[], object]]:
    """Return the calls that can be timed: request name ("train", "infer") -> function of no arguments."""
    work = Workload(spec)
    model = work.start()
    model.eval()
    evaluations = 1 if isinstance(work.submission, Classifier) else work.sampling_cost(model).evaluations
    return {
        "train": work.training_step(spec.execution),
        "infer": work.inference_call(model, evaluations).run,
    }


def seconds(function: Callable[[], object], calls: int, device: str) -> float:
    """Return the seconds that ``calls`` calls take, including the GPU's work."""
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
    """Drop the fields of ``content`` that this version of the harness does not know.

    A later version of the harness may have written ``content``.
    """
    fields = {}
    for name, field in schema.model_fields.items():
        if name in content:
            inner = field.annotation
            nested = isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(content[name], dict)
            fields[name] = known_fields(inner, content[name]) if nested else content[name]  # type: ignore[arg-type]
    return fields


def reserve_stdout() -> TextIO:
    """Return a stream to standard output, and redirect all other output of the process to standard error.

    Output that the submission prints cannot mix with the answers.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def answer(work: Mapping[str, Callable[[], object]], device: str, answers: TextIO) -> None:
    """Print ``ready``, then answer each line ``NAME CALLS`` until standard input ends.

    Args:
        work: Request name -> function to time.
        device: "cpu", "cuda" or "cuda:1".
        answers: Stream that receives the seconds, one line per request.
    """
    for function in work.values():
        function()  # warm-up: allocators, caches and algorithm searches
    print("ready", file=answers)
    for line in sys.stdin:
        name, calls = line.split()
        print(repr(seconds(work[name], int(calls), device)), file=answers)


def main() -> None:
    """Serve the requests of ``bench check --measure``."""
    die_with_parent()
    answers = reserve_stdout()
    spec = JobSpec.model_validate(known_fields(JobSpec, json.loads(Path(sys.argv[1]).read_text())))
    torch.set_num_threads(spec.threads)
    configure_numerics("train", spec.device, spec.execution.precision)
    answer(timed_calls(spec), spec.device, answers)


if __name__ == "__main__":
    main()

"""``python -m benchmarks``: run all benchmarks for docs/performance.md. Arguments are passed to pytest.

``python -m benchmarks --on-a-gpu`` runs in about three minutes (``BENCH_BENCHMARK_SECONDS``) the benchmarks that a
GPU affects most. It writes ``benchmarks/gpu.json``, which is committed, because a GPU is available only for short
times.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.contract.jobs.files import PARENT_PID
from bench.files import REPOSITORY
from bench.harness.executors.local import environment
from benchmarks import page
from benchmarks.specs import SECONDS

OPTIONS = ("--benchmark-sort=fullname", "--benchmark-columns=median,iqr,rounds", "--durations=0")
ON_A_GPU = "by_hand or (authors and fp32) or a_step or order or augmentation or that_go_on or plain_loop"
IN_ORDER = [f"benchmarks/test_{name}.py" for name in ("steps", "augment", "seeds", "sampling")]
GPU_SECONDS = "150"  # benchmarks that have not begun by then are skipped


def main() -> None:
    """Run the benchmarks in the environment of the harness's processes, and update the page."""
    variables = {name: value for name, value in environment(1).items() if name != PARENT_PID}
    options = sys.argv[1:]
    if "--on-a-gpu" in options:
        variables.setdefault("BENCH_BENCHMARK_DEVICE", "cuda")
        variables.setdefault(SECONDS, GPU_SECONDS)
        options.remove("--on-a-gpu")
        _measure(page.ON_GPU, [*IN_ORDER, "-k", ON_A_GPU, *options], variables)
    else:
        _measure(page.MEASURED, ["benchmarks", *options], variables)
        command = [sys.executable, "-m", "benchmarks.growth"]
        completed = subprocess.run(command, check=True, cwd=REPOSITORY, env=variables, capture_output=True)
        page.GROWTH.write_bytes(completed.stdout)
    page.main()


def _measure(output: Path, options: list[str], variables: dict[str, str]) -> None:
    output.parent.mkdir(exist_ok=True)
    command = ["pytest", f"--benchmark-json={output}", *OPTIONS, *options]
    # check=False: a failed benchmark is shown in the output, and the results of the others are kept.
    subprocess.run([sys.executable, "-m", *command], check=False, cwd=REPOSITORY, env={**os.environ, **variables})


if __name__ == "__main__":
    main()

"""``python -m benchmarks``: measure everything, for docs/performance.md. Arguments go to pytest."""

import subprocess
import sys

from bench.contract.jobs import PARENT_PID
from bench.files import REPOSITORY
from bench.run.executors.local import environment
from benchmarks import page

OPTIONS = ("--benchmark-sort=fullname", "--benchmark-columns=median,iqr,rounds", "--durations=0")


def main() -> None:
    """Under the environment that the harness gives to its processes."""
    variables = {name: value for name, value in environment(1).items() if name != PARENT_PID}
    page.MEASURED.parent.mkdir(exist_ok=True)
    command = ["pytest", "benchmarks", f"--benchmark-json={page.MEASURED}", *OPTIONS, *sys.argv[1:]]
    subprocess.run([sys.executable, "-m", *command], check=True, cwd=REPOSITORY, env=variables)
    command = [sys.executable, "-m", "benchmarks.growth"]
    done = subprocess.run(command, check=True, cwd=REPOSITORY, env=variables, capture_output=True)
    page.GROWTH.write_bytes(done.stdout)
    page.main()


if __name__ == "__main__":
    main()

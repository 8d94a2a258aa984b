"""The configuration of runs: the requested options and, after ``resolved``, the values for this machine."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from bench.contract.documents.schema import DIGITS
from bench.contract.jobs.spec import Compile, Precision
from bench.contract.tracks import OFFICIAL, choose_tracks
from bench.data.store import data_root
from bench.errors import UsageError
from bench.harness.executors.limits import default_memory
from bench.harness.executors.sandbox import BUBBLEWRAP, NO_SANDBOX, Sandbox, choose_sandbox
from bench.harness.planning.devices import choose_device, choose_jobs
from bench.text import one_line

ExecutorName = Literal["local", "ray", "slurm"]
Speeds = Literal["auto", "alone", "shared"]
MAX_SEEDS = 10_000
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
GPU_ONLY = {  # value of an option -> reason why it does not work on a CPU
    "tf32": "TF32 needs an NVIDIA GPU, but the device is the CPU; give fp32 or bf16",
    "graph": "CUDA graphs need an NVIDIA GPU, but the device is the CPU; give auto",
}

# Seconds of each of the two speed measurements (training, inference), and images per inference call. Profiles
# other than the official one need speeds only to estimate their run time.
OFFICIAL_SPEED = (2.0, 256)
ROUGH_SPEED = (0.2, 32)


def checkpoint_seconds() -> float:
    """Read $BENCH_CHECKPOINT_SECONDS: the seconds between checkpoints, for machines that may be preempted.

    Raises:
        UsageError: If it is not a finite number.
    """
    text = os.environ.get("BENCH_CHECKPOINT_SECONDS", "30")
    try:
        seconds = float(text)
        if not math.isfinite(seconds):
            raise ValueError
        return max(0.0, seconds)
    except ValueError:
        raise UsageError(f"$BENCH_CHECKPOINT_SECONDS is {text!r}; it must be a number of seconds") from None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The parsed options of ``bench run``. Other commands that run submissions use some of them."""

    paths: Sequence[Path] = ()  # submission folders, or folders of them
    profile: str = OFFICIAL
    seeds: str | None = None  # count, list or range, see ``parse_seeds``; None for the profile's seeds
    variants: str = "base"  # "base", "all", or names separated by commas
    track: Path | None = None  # a track's name, or the file of a custom track; absolute once resolved
    embedded: bool = False  # use the synthetic stand-in data sets
    data_root: Path = field(default_factory=lambda: data_root(None))
    results: Path = Path("results")
    dry_run: bool = False
    retry_failed: bool = False
    force: bool = False  # repeat finished runs

    device: str = "auto"  # or cpu, cuda, cuda:N; never "auto" once resolved
    jobs: Count | None = None  # parallel runs; None to choose automatically
    jobs_chosen: bool = False  # whether ``jobs`` was chosen automatically; if so, it may change during the command
    threads: Count | None = None  # per run; None for an equal share of the cores
    timeout_seconds: Positive | None = None  # per phase; None for 20 times the estimate
    memory_bytes: Count | None = None  # per run; None for an equal share of 90 % of RAM
    sandbox: str = "auto"  # or bwrap, none; never "auto" once resolved

    precision: Precision = "fp32"
    compile: Compile = "auto"
    speeds: Speeds = "auto"
    checkpoint_seconds: float = field(default_factory=checkpoint_seconds)  # 0: a checkpoint after every step

    executor: ExecutorName = "local"
    address: str | None = None  # of a Ray cluster
    gpus_per_run: Positive = 1.0  # on a Ray cluster
    log_format: str = "auto"

    def resolved(self, remote_device: str | None = None) -> "RunConfig":
        """Return a copy with device and sandbox chosen, after checking all options.

        Args:
            remote_device: The device of a cluster's nodes; each node chooses its own sandbox. None here.

        Raises:
            UsageError: If an option is invalid, or not supported on the device.
        """
        self._check_types()
        device = remote_device or choose_device(self.device)
        check_choice(Precision, self.precision, "--precision", device)
        check_choice(Compile, self.compile, "--compile", device)
        check_choice(Speeds, self.speeds, "--speeds")
        is_sandboxed = remote_device is None and choose_sandbox(self.sandbox, device) == BUBBLEWRAP
        file = choose_tracks(self.track).file
        return replace(
            self,
            device=device,
            sandbox="bwrap" if is_sandboxed else "none",
            track=None if file is None else file.resolve(),
        )

    def _check_types(self) -> None:
        """Check the types and ranges of all options but choices, which the command line has checked already.

        Raises:
            UsageError: If a value has another type, or is out of range.
        """
        for name, adapter in _type_adapters().items():
            value = getattr(self, name)
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                reason = error.errors()[-1]["msg"]
                raise UsageError(f"{name}={one_line(repr(value), 60)}: {reason[0].lower()}{reason[1:]}") from None

    def with_parallelism(self, runs: int, remote_slots: int | None = None) -> "RunConfig":
        """Return a copy with ``jobs`` and ``threads`` chosen.

        Args:
            runs: Number of runs to do.
            remote_slots: Number of runs that a cluster takes at once; None on this machine.
        """
        if remote_slots is not None:
            return replace(self, jobs=self.jobs or remote_slots, threads=self.threads or 1)
        jobs, threads = choose_jobs(self.jobs, self.device, runs)
        return replace(self, jobs=jobs, threads=self.threads or threads, jobs_chosen=self.jobs is None)

    @property
    def side_by_side(self) -> int:
        """Number of parallel runs, while enough runs remain."""
        return self.jobs or 1

    @property
    def threads_per_run(self) -> int:
        """CPU threads per run."""
        return self.threads or 1

    @property
    def is_remote(self) -> bool:
        """Whether the runs are executed on a cluster."""
        return self.executor != "local"

    @property
    def confinement(self) -> Sandbox:
        """The sandbox of submissions' processes on this machine, once resolved."""
        return BUBBLEWRAP if self.sandbox == "bwrap" else NO_SANDBOX

    def jobs_at_once(self, unfinished: int) -> int:
        """Return the number of parallel runs while ``unfinished`` runs remain.

        The last runs share all cores if some cores would be idle otherwise: five runs on two cores take as long as
        two and a half runs, not three. Single-threaded runs lose nothing by sharing.
        """
        jobs = self.side_by_side
        may_share = self.jobs_chosen and self.device == "cpu" and jobs > 1
        return unfinished if may_share and unfinished < 2 * jobs else jobs

    @property
    def limits_jobs_to_gpu(self) -> bool:
        """Whether fewer runs are parallel than ``jobs`` if they would wait for each other on a GPU."""
        return self.jobs_chosen and self.device != "cpu"

    @property
    def speed_measurement(self) -> tuple[float, int]:
        """Seconds of each of the two speed measurements, and images per inference call."""
        return OFFICIAL_SPEED if self.profile == OFFICIAL else ROUGH_SPEED

    @property
    def measures_speed_alone(self) -> bool:
        """Whether speeds are measured one at a time, before any run of this command starts.

        ``auto`` measures those of official runs alone: parallel runs share the memory bus or the GPU, and some
        seconds per submission are short against the training. On a cluster the runs are on many machines.
        """
        if self.speeds == "auto":
            return self.profile == OFFICIAL and not self.is_remote
        return self.speeds == "alone"

    @property
    def memory_per_run(self) -> int | None:
        """Memory limit per run in bytes; by default an equal share of RAM at the largest number of parallel runs.

        None on a GPU unless it is set: CUDA reserves more memory than it uses, and containers with GPUs may report
        less memory than they have.
        """
        if self.memory_bytes is not None or self.is_remote or self.device != "cpu":
            return self.memory_bytes
        return default_memory(self.jobs_at_once(2 * self.side_by_side - 1))


@cache
def _type_adapters() -> dict[str, TypeAdapter[Any]]:
    """Return the type adapter of each option that is not a choice (see ``check_choice``)."""
    hints = get_type_hints(RunConfig, include_extras=True)
    names = [option.name for option in fields(RunConfig) if get_origin(hints[option.name]) is not Literal]
    return {name: TypeAdapter(hints[name], config=ConfigDict(strict=True)) for name in names}


def check_choice(kind: Any, text: str, option: str, device: str | None = None) -> None:
    """Check that ``text`` is a value of the ``Literal`` type ``kind``, and that ``device`` supports it.

    Raises:
        UsageError: If it is invalid or not supported.
    """
    allowed = get_args(kind)
    if text not in allowed:
        raise UsageError(f"{option} {text!r}: give {', '.join(allowed[:-1])} or {allowed[-1]}")
    if device == "cpu" and text in GPU_ONLY:
        raise UsageError(f"{option} {text}: {GPU_ONLY[text]}")


def parse_seeds(text: str | None, default: int) -> list[int]:
    """Parse ``--seeds``.

    Args:
        text: A count (``5`` means seeds 0 to 4), a list (``0,3,7``) or a range (``3-5``); None for ``default``.
        default: The profile's number of seeds.

    Raises:
        UsageError: If the syntax is wrong, there is no seed or more than ``MAX_SEEDS``, or one occurs twice.
    """
    if text is None:
        return list(range(default))
    shown = one_line(text, 60)
    try:
        ranges = [range(_seed(text))] if text.strip().isdecimal() else [*map(_seed_range, _parts(text))]
    except ValueError:
        raise UsageError(
            f"--seeds {shown!r}: give a count (5), a list (0,3,7) or a range (0-4), of seeds below 10^{DIGITS}"
        ) from None
    count = sum(map(len, ranges))
    if count > MAX_SEEDS:
        raise UsageError(f"--seeds {shown!r}: {count:,} seeds, at most {MAX_SEEDS:,}; for one seed give --seed N")
    seeds = [seed for seed_range in ranges for seed in seed_range]
    if not seeds:
        hint = "; a single number is a count, for the seed 0 give --seed 0" if text.strip().isdecimal() else ""
        raise UsageError(f"--seeds {shown!r}: no seed{hint}")
    if len(set(seeds)) != len(seeds):
        raise UsageError(
            f"--seeds {shown!r}: {len(seeds)} seeds, but only {len(set(seeds))} distinct; give each once"
        )
    return seeds


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seed(text: str) -> int:
    if not text.strip().isdecimal() or not text.isascii() or len(text.strip()) > DIGITS:
        raise ValueError
    return int(text)


def _seed_range(part: str) -> range:
    first, dash, last = part.partition("-")
    return range(_seed(first), (_seed(last) if dash else _seed(first)) + 1)

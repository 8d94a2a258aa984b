"""What a command line asks for, once its options are understood."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.contract.jobs import Compile, Precision
from bench.contract.plain import DIGITS
from bench.contract.tracks import OFFICIAL
from bench.errors import UsageError
from bench.run.executors.limits import default_memory
from bench.run.executors.sandbox import OPEN, Walls
from bench.text import one_line

MOST_SEEDS = 10_000
Speeds = Literal["auto", "alone", "beside"]

# Seconds of each of two measurements of speed, and images a call. Those of other profiles are for the estimate
# of time only.
OFFICIAL_SPEED = (2.0, 256)
ROUGH_SPEED = (0.2, 32)


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    profile: str
    seeds: str | None  # as given: a count, or a list
    variants: str
    device: str
    results: Path
    data_root: Path
    embedded: bool = False
    track_file: Path | None = None  # of the user's own contest, absolute
    jobs: int = 1
    crowded: bool = False  # whether the last runs may be more than there are cores
    fitted: bool = False  # whether there are fewer where they would wait for one another on a GPU
    threads: int = 1
    checkpoint_seconds: float = 30.0
    force: bool = False
    retry_failed: bool = False
    timeout_seconds: float | None = None  # of a run; None for many times what it should take
    memory_bytes: int | None = None  # of a run; None for its share of the machine
    walls: Walls = OPEN
    elsewhere: bool = False  # whether other machines carry out the runs: each shares its own memory out
    precision: Precision = "fp32"
    compile: Compile = "auto"
    speeds: Speeds = "auto"
    compiled: Path | None = (
        None  # what torch's compiler makes, for other runs of the same entry; gone with the command
    )

    def with_jobs(self, jobs: int, threads: int, *, crowded: bool = False, fitted: bool = False) -> "Settings":
        """The same with so many runs side by side, and threads each."""
        return replace(self, jobs=jobs, threads=threads, crowded=crowded, fitted=fitted)

    def jobs_at_once(self, left: int) -> int:
        """How many runs go on at once while ``left`` are not done.

        Where the last ones would leave cores idle, they share them all instead: five runs on two cores take the
        time of two and a half, not of three. Runs of one thread each lose nothing by that.
        """
        return left if self.crowded and left < 2 * self.jobs else self.jobs

    @property
    def speed(self) -> tuple[float, int]:
        """Seconds of each of two measurements of speed, and images a call."""
        return OFFICIAL_SPEED if self.profile == OFFICIAL else ROUGH_SPEED

    @property
    def speeds_alone(self) -> bool:
        """Whether nothing else of this command goes on while speeds are measured.

        By themselves those that are reported are, on a CPU: there two runs share a memory bus, and training takes
        hours. A GPU is lent by the minute.
        """
        if self.speeds == "auto":
            return self.profile == OFFICIAL and self.device == "cpu" and not self.elsewhere
        return self.speeds == "alone"

    @property
    def memory_per_run(self) -> int | None:
        """What a run may use, if nothing is said: its share when most are at work.

        Where CUDA is, that is for the user to say: it reserves more than it uses, and the machines that have it
        may show less memory than there is.
        """
        if self.memory_bytes is not None or self.elsewhere or self.device != "cpu":
            return self.memory_bytes
        return default_memory(self.jobs_at_once(2 * self.jobs - 1))


def parse_seeds(text: str | None, default: int) -> list[int]:
    """``5`` means seeds 0 to 4, ``0,3,7`` those three, ``3-5`` a range, and None the profile's number.

    Raises:
        UsageError: If it is none of these, or names a seed twice.
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
    if count > MOST_SEEDS:
        raise UsageError(f"--seeds {shown!r}: names {count:,} seeds, at most {MOST_SEEDS:,}; --seed N is one")
    seeds = [seed for some in ranges for seed in some]
    if not seeds:
        hint = "; it is a count, the seed 0 is --seed 0" if text.strip().isdecimal() else ""
        raise UsageError(f"--seeds {shown!r}: names no seed{hint}")
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds {shown!r}: names {len(seeds)} seeds, {len(set(seeds))} of them distinct")
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

"""The interface of all progress displays, and the texts that they share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.records.advice import over_advice
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan, Planned


class Display(ABC):
    """A progress display. Its methods may be called from any thread."""

    @abstractmethod
    def planned(self, plan: Plan) -> None:
        """Show the plan, before anything runs."""

    @abstractmethod
    def verified(self, entry: Entry, verification: Verification) -> None:
        """Show the result of a verification."""

    @abstractmethod
    def estimated(self, runs: int, seconds: float | None) -> None:
        """Show how many jobs will run and how long they will take, once all entries are verified."""

    @abstractmethod
    def started(self, job: Job) -> None:
        """Show that a job's first process is about to start."""

    @abstractmethod
    def progress(self, job: Job, event: Progress) -> None:
        """Show the progress of a job's phase."""

    @abstractmethod
    def finished(self, job: Job, record: Record) -> None:
        """Show the record of a finished job."""

    @abstractmethod
    def message(self, text: str) -> None:
        """Show a notice, one line of text."""

    def problem(self, text: str) -> None:
        """Show an error that is in no record, one line of text."""
        self.message(f"✗ {text}")

    @abstractmethod
    def tick(self) -> None:
        """Redraw. The main thread calls this twice per second."""

    @abstractmethod
    def close(self) -> None:
        """Close the display after the last event."""


def duration(seconds: float | None) -> str:
    """Format seconds: ``75`` as ``1:15``, ``4000`` as ``1:06:40``, None as a dash."""
    if seconds is None:
        return "–"
    minutes, remainder = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{remainder:02}" if hours else f"{minutes}:{remainder:02}"


def headline(job: Job, record: Record) -> str:
    """Summarise a finished run in one line: its main metric, or the reason of a failure and the log's path."""
    if record.status == "pruned":
        return f"{record.status}: {record.reason}"
    if record.status != "ok":
        return f"{record.status}: {record.reason}; log: {job.log}"
    metrics = record.evaluation.metrics if record.evaluation else {}
    score, protocol = record.protocol.metric, record.protocol
    if score.name not in metrics:
        return ", ".join(["ok", *over_advice(record)])
    value = f"{score.label} {score.scale * metrics[score.name]:.{score.digits}f}{score.unit.strip()}"
    of_samples = "on" if protocol.samples is None else f"of {protocol.samples:,} against"
    return ", ".join([f"ok, {value} {of_samples} {protocol.evaluate}", *over_advice(record)])


class RefusedEntries:
    """The entries that verification refused: none of their runs starts, so one line names the log of all."""

    def __init__(self) -> None:
        self._logged: dict[str, bool] = {}  # label of the entry -> whether its log was named

    def add(self, entry: Entry) -> None:
        """Note that the runs of ``entry`` do not start."""
        self._logged[entry.label] = False

    def text(self, job: Job, record: Record) -> str | None:
        """Return the line for a finished run: "" for none, None if its entry was not refused."""
        label = job.entry.label
        if label not in self._logged:
            return None
        first, self._logged[label] = not self._logged[label], True
        return f"{label}: not run; log: {job.log}" if first and record.status == "error" else ""


def counted(number: int, noun: str) -> str:
    """Return "1 run" or "2 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plan_text(plan: Plan) -> str:
    """Summarise a plan: the number of runs, profile, data, device and parallelism."""
    to_do, done, failed = (len(plan.in_state(state)) for state in Planned)
    counts = [
        counted(to_do, "run") + " to do",
        "and real images to score" if plan.real_images else "",
        f"{done} done" if done else "",
        f"{failed} failed earlier" if failed else "",
    ]
    data = ", ".join(sorted({entry.protocol.data for entry in plan.entries}))
    config = plan.config
    return (
        f"{', '.join(filter(None, counts))}; profile {config.profile}, data {data}, {config.device}, "
        f"{config.side_by_side} side by side with {counted(config.threads_per_run, 'thread')} each"
    )


def verified_text(entry: Entry, verification: Verification) -> str:
    """Summarise a verification without problems: parameters, compared with the paper's, and MACs."""
    assert verification.cost is not None
    cost, claim = verification.cost, entry.claims.params
    if claim is None:
        paper = ""
    elif claim == cost.params:
        paper = ", as in the paper"
    else:
        paper = f", paper {claim:,} with {entry.source.track.data_name}"
    return f"{cost.params:,} params{paper}, {cost.bound}{cost.macs_per_image / 1e6:.2f} MMACs"


def estimate_text(runs: int, seconds: float | None) -> str:
    """Return the number of runs and their estimated duration."""
    return f"{counted(runs, 'run')}, about {duration(seconds)} at the speed just measured"


@dataclass
class Pace:
    """The progress and speed of a job's current phase."""

    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    rate: float | None = None  # steps or images of the phase per second
    since: float = 0.0
    since_done: int = 0

    def update(self, event: Progress, now: float) -> None:
        """Update from an event received at time ``now``, in seconds of any monotonic clock."""
        if event.phase != self.phase:
            self.phase, self.since, self.since_done, self.rate = event.phase, now, event.done, None
        elif now > self.since and event.done > self.since_done:
            self.rate = (event.done - self.since_done) / (now - self.since)
        self.done, self.total = event.done, event.total
        self.loss = self.loss if event.loss is None else event.loss

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds until this phase ends; None while its speed is unknown."""
        return (self.total - self.done) / self.rate if self.rate else None

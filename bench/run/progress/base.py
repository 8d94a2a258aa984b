"""What every display is told, and the words that they share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bench.contract.jobs import Progress
from bench.contract.records import Record, fid_name
from bench.run.plan import Entry, Job, Plan, State


class Display(ABC):
    """Told what happens, from any thread."""

    @abstractmethod
    def planned(self, plan: Plan) -> None:
        """Before anything runs: what there is to do, and whether any of it is done."""

    @abstractmethod
    def verified(self, entry: Entry) -> None:
        """An entry was verified; ``entry.verification`` says how."""

    @abstractmethod
    def estimated(self, plan: Plan) -> None:
        """All is verified: what will run, and how long that will take."""

    @abstractmethod
    def started(self, job: Job) -> None:
        """A job's first process is about to start."""

    @abstractmethod
    def progress(self, job: Job, event: Progress) -> None:
        """A phase of a job got further."""

    @abstractmethod
    def finished(self, job: Job, record: Record) -> None:
        """A job has its record."""

    @abstractmethod
    def message(self, text: str) -> None:
        """One line for the user."""

    @abstractmethod
    def tick(self) -> None:
        """Called twice a second from the main thread."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will happen."""


def duration(seconds: float | None) -> str:
    """``75`` as ``1:15``, ``4000`` as ``1:06:40``; a dash for None."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def headline(job: Job, record: Record) -> str:
    """A finished run in a few words; of a failed one also where its log is."""
    if record.status == "pruned":
        return f"{record.status}: {record.reason}"
    if record.status != "ok":
        return f"{record.status}: {record.reason}; log: {job.log}"
    metrics = record.evaluation.metrics if record.evaluation else {}
    fid = fid_name(record.protocol.samples)
    if "top1_accuracy" in metrics:
        return f"ok, top-1 {metrics['top1_accuracy']:.2%} on {record.protocol.evaluate}"
    if fid in metrics:
        return f"ok, FID {metrics[fid]:.2f} of {record.protocol.samples:,} against {record.protocol.evaluate}"
    return "ok"


def plan_text(plan: Plan) -> str:
    """What there is to do, and how."""
    to_do, done, failed = (len(plan.jobs(state)) for state in State)
    counts = [f"{to_do} runs to do", f"{done} done" if done else "", f"{failed} failed earlier" if failed else ""]
    data = ", ".join(sorted({entry.protocol.data for entry in plan.entries}))
    settings = plan.settings
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    return (
        f"{', '.join(filter(None, counts))}; profile {settings.profile}, data {data}, {settings.device}, "
        f"{settings.jobs} side by side with {threads} each"
    )


def verified_text(entry: Entry) -> str:
    """What a verification without problems found."""
    assert entry.verification is not None and entry.verification.cost is not None
    cost, claim = entry.verification.cost, entry.claims.params
    if claim is None:
        paper = ""
    elif claim == cost.params:
        paper = ", as in the paper"
    else:
        paper = f", paper {claim:,} with {entry.found.track.data}"
    return f"{cost.params:,} params{paper}, {cost.bound}{cost.macs_per_image / 1e6:.2f} MMACs"


def estimate_text(plan: Plan) -> str:
    """How long what is to do will take."""
    runs = len(plan.jobs(State.TO_DO))
    return f"{runs} runs, about {duration(plan.estimate_seconds())} at the speed just measured"


@dataclass
class Pace:
    """How far a job is, and how fast it gets on."""

    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    rate: float | None = None  # of the phase, per second
    since: float = 0.0
    since_done: int = 0

    def update(self, event: Progress, now: float) -> None:
        """Take in an event that came at ``now``, in seconds of any clock."""
        if event.phase != self.phase:
            self.phase, self.since, self.since_done, self.rate = event.phase, now, event.done, None
        elif now > self.since and event.done > self.since_done:
            self.rate = (event.done - self.since_done) / (now - self.since)
        self.done, self.total = event.done, event.total
        self.loss = self.loss if event.loss is None else event.loss

    @property
    def seconds_left(self) -> float | None:
        """Of this phase; None while its speed is not known."""
        return (self.total - self.done) / self.rate if self.rate else None

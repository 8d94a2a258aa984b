"""From records, one a seed, to rows, one a (submission, variant, protocol)."""

import gc
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contract.manifest import label_of
from bench.contract.records import (
    REAL_IMAGES,
    Rate,
    Record,
    exceeded,
    fid_name,
    read_record,
    record_name,
    record_paths,
)
from bench.errors import ResultsError
from bench.files import canonical_json
from bench.report.index import WORTH, brief, record_index
from bench.stats import Spread, spread


@dataclass(frozen=True)
class Row:
    """The newest records of one (submission, variant) under one protocol and one version of its code."""

    records: tuple[Record, ...]  # by seed; at least one

    @property
    def first(self) -> Record:
        """A record to read what all seeds share from: one that finished, if any did."""
        return next((record for record in self.records if record.status == "ok"), self.records[0])

    @property
    def label(self) -> str:
        """The submission's name, with the variant's if it is not the base, and the precision's if not float32."""
        return label_of(self.first.identity.submission, self.first.identity.variant) + self._at_precision

    @property
    def setting(self) -> str:
        """The variant's name, with the precision's if not float32."""
        return self.first.identity.variant + self._at_precision

    @property
    def _at_precision(self) -> str:
        precision = self.first.identity.precision
        return "" if precision == "fp32" else f" {precision}"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it a row of its own, whatever the version of its code."""
        return _key(self.first, self.first.protocol.hash)

    @property
    def finished(self) -> list[Record]:
        """The records that have results."""
        return [record for record in self.records if record.status == "ok"]

    @property
    def score_name(self) -> str:
        """The metric that submissions are ranked by."""
        record = self.first
        return "top1_accuracy" if record.task == "classification" else fid_name(record.protocol.samples)

    @property
    def published_score_name(self) -> str:
        """The figure that stands for it among those measured as the author did: another resize, another name."""
        record = self.first
        if record.task == "classification":
            return self.score_name
        resize = record.as_published.resize if record.as_published else None
        if record.identity.submission == REAL_IMAGES:
            resize = "clean"
        return fid_name(record.protocol.samples, resize)

    def by_seed(self, name: str, *, as_published: bool = False) -> dict[int, float]:
        """A metric of each finished run that has it, or a figure measured the way the paper's author did."""
        found = {}
        for record in self.finished:
            evaluation = record.evaluation
            figures = {} if evaluation is None else evaluation.as_published if as_published else evaluation.metrics
            if name in figures:
                found[record.identity.seed] = figures[name]
        return found

    def metric(self, name: str) -> Spread | None:
        """Mean ± std over seeds of a metric; None where no seed has it."""
        return spread(list(self.by_seed(name).values()))

    def as_published(self, name: str) -> Spread | None:
        """The same for a figure measured the way the paper's author did."""
        return spread(list(self.by_seed(name, as_published=True).values()))

    def end_of_curve(self, name: str) -> Spread | None:
        """The same for what training logged as ``name``, as a mean over the last tenth of a run's steps."""
        ends = [end for record in self.finished if (end := _end_of_curve(record, name)) is not None]
        return spread(ends)

    @property
    def steps(self) -> int:
        """Steps of a run: the protocol's, unless the submission or its variant takes others."""
        return self.first.identity.steps

    @property
    def outside(self) -> list[str]:
        """In what a variant leaves the contest; it is measured and never ranks."""
        cost = self.first.cost
        return [] if cost is None else list(exceeded(self.first.protocol, cost, self.steps))

    @property
    def speeds(self) -> list[Rate]:
        """Inference throughputs, slowest first: those measured undisturbed if there are any, else all."""
        rates = [r.timing.inference_images_per_s for r in self.finished if r.timing.inference_images_per_s]
        undisturbed = [rate for rate in rates if not rate.disturbed]
        return sorted(undisturbed or rates, key=lambda rate: rate.median_per_s)

    @property
    def images_per_s(self) -> float | None:
        """Inference throughput: the median over seeds' measurements."""
        speeds = self.speeds
        return speeds[len(speeds) // 2].median_per_s if speeds else None

    @property
    def disturbed(self) -> bool:
        """Whether every speed was measured while other programs kept the machine busy."""
        return any(rate.disturbed for rate in self.speeds)

    @property
    def status(self) -> str:
        """``ok``, or how many of the seeds failed and why."""
        failed = [record for record in self.records if record.status != "ok"]
        if not failed:
            outside = ", ".join(self.outside)
            return f"ok, {outside}" if outside else "ok" if self.first.ranked else "ok, unranked"
        kinds = ", ".join(sorted({record.status for record in failed}))
        return kinds if len(failed) == len(self.records) else f"{len(failed)}/{len(self.records)} {kinds}"


def _end_of_curve(record: Record, name: str) -> float | None:
    curves = None if record.training is None else record.training.curves
    if curves is None or name not in curves.values:
        return None
    last = curves.steps[-1]
    values = [value for step, value in zip(curves.steps, curves.values[name], strict=True) if step > 0.9 * last]
    return math.fsum(values) / len(values)


def read_all(results: Path) -> tuple[list[Record], list[str]]:
    """Every readable record under ``results``, and a line for each that is not, or is not where its run belongs.

    A copy of a record under another name would count as another seed.
    """
    return _read(results, list(record_paths(results)), read_record)


def say_unreadable(problems: Iterable[str]) -> None:
    """Print on standard error which records a command goes without."""
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)


def read_brief(results: Path) -> tuple[list[Record], list[str]]:
    """The same without curves and per-class figures, and quickly: what was checked before is not checked again."""
    paths = list(record_paths(results))
    if len(paths) < WORTH:
        return _read(results, paths, lambda path: brief(read_record(path)))
    place = results.resolve()
    with record_index() as index:
        return _read(results, paths, lambda path: index.read(place / path.relative_to(results)))


def _read(results: Path, paths: list[Path], read: Callable[[Path], Record]) -> tuple[list[Record], list[str]]:
    records, problems = [], []
    with _without_garbage_collection():
        for path in paths:
            try:
                record = read(path)
            except ResultsError as error:
                problems.append(str(error))
                continue
            own = record_name(record.identity, record.protocol)
            if str(path) == f"{results}/{own}":
                records.append(record)
            else:
                problems.append(f"{path}: is the record of {own}; a copy does not count, remove it")
    return records, problems


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Nothing that is read becomes garbage; looking for it, now or later, takes longer the more there is."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _key(record: Record, protocol_hash: str) -> tuple[str, ...]:
    identity = record.identity
    return (
        record.protocol.track,
        protocol_hash,
        identity.submission,
        identity.variant,
        identity.device_type,
        identity.precision,
    )


def summarize(records: Iterable[Record]) -> list[Row]:
    """Group records into rows; of a submission whose code changed, only the newest version is shown."""
    versions: dict[tuple[str, ...], dict[str, list[Record]]] = {}
    hashes: dict[int, str] = {}  # of protocols, most of which are one object; ``versions`` keeps them alive
    for record in records:
        number = id(record.protocol)
        if number not in hashes:
            hashes[number] = record.protocol.hash
        key = _key(record, hashes[number])
        version = canonical_json(record.identity.model_dump(mode="json", exclude={"seed"}))
        versions.setdefault(key, {}).setdefault(version, []).append(record)
    rows = []
    for _, by_version in sorted(versions.items()):
        newest = max(by_version.values(), key=lambda group: max(record.timing.finished_at for record in group))
        rows.append(Row(tuple(sorted(newest, key=lambda record: record.identity.seed))))
    return rows

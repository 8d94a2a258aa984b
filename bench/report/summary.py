"""From records, one a seed, to rows, one a (submission, variant, protocol)."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from bench.contract.manifest import BASE_VARIANT, Claims, label_of
from bench.contract.records import (
    REAL_IMAGES,
    Rate,
    Record,
    exceeded,
    fid_name,
)
from bench.contract.tracks import load_tracks
from bench.files import canonical_json
from bench.stats.spreads import Spread, spread


class RowKey(NamedTuple):
    """What makes a row one of its own, whatever the version of its code."""

    track: str
    protocol: str
    data: tuple[tuple[str, str], ...]  # part -> fingerprint
    submission: str
    variant: str
    device_type: str
    precision: str


@dataclass(frozen=True)
class Row:
    """The records of one (submission, variant) under one protocol and one version of its code."""

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

    @cached_property
    def key(self) -> RowKey:
        """What makes it a row of its own, whatever the version of its code."""
        return _key(self.first, self.first.protocol.hash)

    @property
    def claims(self) -> Claims:
        """What the paper reports."""
        return self.first.claims

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
    def grain(self) -> float:
        """The least that a share of images, such as an accuracy, can change by; 0 where that is not known."""
        record = self.first
        images = record.data.images.get(record.protocol.evaluate, 0) if record.data is not None else 0
        return 1 / images if images > 0 else 0.0

    @property
    def seeds_wanted(self) -> int | None:
        """How many seeds the profile asks for: of a track that ships, else as the record says; None: not known."""
        record = self.first
        return _seeds_of_shipped().get((record.protocol.track, record.protocol.profile)) or record.profile_seeds

    @property
    def seeds_missing(self) -> list[int]:
        """Of the seeds that the profile asks for, from 0 on, those that it lacks."""
        own = {record.identity.seed for record in self.finished}
        return [seed for seed in range(self.seeds_wanted or 0) if seed not in own]

    @property
    def seeds_left_out(self) -> bool:
        """Whether it has seeds from beyond a gap: some may have been picked."""
        return {record.identity.seed for record in self.finished} != set(range(len(self.finished)))

    @property
    def steps(self) -> int:
        """Steps of a run: the protocol's, unless the submission or its variant takes others."""
        return self.first.identity.steps

    @property
    def outside(self) -> list[str]:
        """In what a variant leaves the contest; it is measured and never ranks."""
        found: dict[str, str] = {}
        for record in self.finished:
            if record.cost is not None:
                found |= exceeded(record.protocol, record.cost, record.identity.steps)
        return list(found)

    @property
    def speeds(self) -> list[Rate]:
        """Inference throughputs, slowest first: those measured undisturbed if there are any, else all.

        One per verification: the records of all seeds that were run after it have the same.
        """
        rates: list[Rate] = []
        for record in self.finished:
            rate = record.timing.inference_images_per_s
            if rate is not None and rate not in rates:
                rates.append(rate)
        undisturbed = [rate for rate in rates if not rate.disturbed]
        return sorted(undisturbed or rates, key=lambda rate: rate.median_per_s)

    @property
    def images_per_s(self) -> float | None:
        """Inference throughput: the median over measurements."""
        return statistics.median(rate.median_per_s for rate in speeds) if (speeds := self.speeds) else None

    @property
    def disturbed(self) -> bool:
        """Whether every speed was measured while other programs kept the machine busy."""
        return any(rate.disturbed for rate in self.speeds)

    @property
    def _remarks(self) -> Iterator[str]:
        """What a reader of a finished row should know."""
        if self.outside or not self.first.ranked:
            yield from self.outside or ["unranked"]
        elif self.first.identity.variant == BASE_VARIANT and self.seeds_wanted:
            if self.seeds_missing:
                yield f"{self.seeds_wanted - len(self.seeds_missing)} of {self.seeds_wanted} seeds"
            elif self.seeds_left_out:
                yield "seeds left out"
        elsewhere = sum(not record.made_here for record in self.records)
        if elsewhere:
            whole = elsewhere == len(self.records)
            yield "not made here" if whole else f"{elsewhere} of {len(self.records)} not made here"

    @property
    def status(self) -> str:
        """``ok``, or how many of the seeds failed and why."""
        failed = [record for record in self.records if record.status != "ok"]
        if not failed:
            return ", ".join(["ok", *self._remarks])
        kinds = ", ".join(sorted({record.status for record in failed}))
        return kinds if len(failed) == len(self.records) else f"{len(failed)}/{len(self.records)} {kinds}"


@cache
def _seeds_of_shipped() -> dict[tuple[str, str], int]:
    """(track, profile) -> seeds, of the tracks that ship."""
    return {
        (name, profile): content.seeds
        for name, track in load_tracks().items()
        for profile, content in track.profiles.items()
    }


def _end_of_curve(record: Record, name: str) -> float | None:
    curves = None if record.training is None else record.training.curves
    if curves is None or not curves.steps:
        return None
    last = curves.steps[-1]
    values = [value for step, value in curves.of(name) if step > 0.9 * last]
    return math.fsum(values) / len(values) if values else None


def _key(record: Record, protocol_hash: str) -> RowKey:
    identity = record.identity
    return RowKey(
        record.protocol.track,
        protocol_hash,
        tuple(sorted(identity.data_fingerprints.items())),
        identity.submission,
        identity.variant,
        identity.device_type,
        identity.precision,
    )


def summarize(records: Iterable[Record]) -> list[Row]:
    """Group records into rows; of a submission whose code changed, only one version is shown.

    That is the one that the submission's folder holds now; where that is not known, the last one, by clocks
    that may have been wrong.
    """
    versions: dict[RowKey, dict[str, list[Record]]] = {}
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
        shown = max(by_version.values(), key=_standing)
        rows.append(Row(tuple(sorted(shown, key=lambda record: record.identity.seed))))
    return rows


def _standing(version: list[Record]) -> tuple[bool, str]:
    present = any(record.of_present_code for record in version)
    return present, max(record.timing.finished_at for record in version)

"""Aggregation of records (one per seed) into rows (one per submission, variant and protocol)."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES, Claims, label_of
from bench.contract.metrics import PRIMARY, WORST_CLASS, Metric, primary_metric
from bench.contract.records.advice import over_advice
from bench.contract.records.caps import exceeded
from bench.contract.records.record import Record, Throughput
from bench.contract.tracks import Protocol, load_tracks
from bench.files import canonical_json
from bench.report.records.track_data import is_of_tracks_data
from bench.stats.spreads import Spread, spread


class RowKey(NamedTuple):
    """The key of a row; it does not depend on the version of the submission's code."""

    track: str
    protocol: str
    data: tuple[tuple[str, str], ...]  # split -> fingerprint
    submission: str
    variant: str
    device_type: str
    precision: str


@dataclass(frozen=True)
class Row:
    """The records of one (submission, variant) under one protocol and one version of its code."""

    records: tuple[Record, ...]  # by seed; at least one

    @cached_property
    def representative(self) -> Record:
        """A record that stands for all seeds: the first finished one, else the first one."""
        return next((record for record in self.records if record.status == "ok"), self.records[0])

    @property
    def label(self) -> str:
        """The name of the submission, with the variant unless it is the base, and the precision unless fp32."""
        return (
            label_of(self.representative.identity.submission, self.representative.identity.variant)
            + self._at_precision
        )

    @property
    def setting(self) -> str:
        """The name of the variant, with the precision unless fp32."""
        return self.representative.identity.variant + self._at_precision

    @property
    def _at_precision(self) -> str:
        precision = self.representative.identity.precision
        return "" if precision == "fp32" else f" {precision}"

    @cached_property
    def key(self) -> RowKey:
        """The row's key, which does not depend on the version of the code."""
        return _key(self.representative, self.representative.protocol.hash)

    @property
    def claims(self) -> Claims:
        """The paper's claims."""
        return self.representative.claims

    @cached_property
    def finished(self) -> list[Record]:
        """The records with a result."""
        return [record for record in self.records if record.status == "ok"]

    @cached_property
    def ranking_metric(self) -> Metric:
        """The metric that submissions are ranked by."""
        return self.representative.protocol.metric

    @cached_property
    def claimed_score(self) -> Metric:
        """The metric that papers report, which ranks too unless the track has `rank_by`: top-1 accuracy or FID."""
        protocol = self.representative.protocol
        return primary_metric(protocol.task, protocol.samples)

    @property
    def ranks_by_claimed(self) -> bool:
        """Whether the metric that ranks is the one that papers report."""
        return self.ranking_metric == self.claimed_score

    @cached_property
    def published_score(self) -> Metric:
        """``claimed_score`` as the paper's author measured it; FID's name depends on the resize."""
        record = self.representative
        resize = record.as_published.resize if record.as_published else None
        if record.identity.submission == REAL_IMAGES:
            resize = "clean"
        return PRIMARY[record.protocol.task].at(record.protocol.samples, resize)

    def by_seed(self, name: str, *, as_published: bool = False) -> dict[int, float]:
        """Map each seed to a metric of its finished run, or to the metric as published; others are omitted."""
        values = {}
        for record in self.finished:
            evaluation = record.evaluation
            metrics = {} if evaluation is None else evaluation.as_published if as_published else evaluation.metrics
            if name in metrics:
                values[record.identity.seed] = metrics[name]
        return values

    def metric(self, name: str) -> Spread | None:
        """Return mean ± std of a metric over seeds; None if no seed has it."""
        return spread(list(self.by_seed(name).values()))

    def as_published(self, name: str) -> Spread | None:
        """Return mean ± std of a metric measured as the paper's author did; None if no seed has it."""
        return spread(list(self.by_seed(name, as_published=True).values()))

    def end_of_curve(self, name: str) -> Spread | None:
        """Return mean ± std over seeds of a logged training curve, averaged over the last 10 % of the steps."""
        ends = [end for record in self.finished if (end := _end_of_curve(record, name)) is not None]
        return spread(ends)

    def grain(self, metric: Metric | None) -> float:
        """The smallest possible change of an accuracy, 1 / number of images; 0 if the number is not known.

        For the accuracy of one class, it is 1 / number of images per class; other metrics count as accuracies.
        """
        record = self.representative
        images = record.data.images.get(record.protocol.evaluate, 0) if record.data is not None else 0
        if record.data is not None and metric is not None and metric.key == WORST_CLASS.key:
            images = images // max(1, record.data.num_classes)
        return 1 / images if images > 0 else 0.0

    @cached_property
    def seeds_wanted(self) -> int | None:
        """The profile's number of seeds, from the known track, else from the record; None if not known."""
        record = self.representative
        return _seeds_of(record.protocol) or record.profile_seeds

    @property
    def seeds_missing(self) -> list[int]:
        """The seeds of the profile, counted from 0, that have no result."""
        finished = {record.identity.seed for record in self.finished}
        return [seed for seed in range(self.seeds_wanted or 0) if seed not in finished]

    @property
    def seeds_skipped(self) -> bool:
        """Whether its seeds have a gap: they may have been selected by their results."""
        return {record.identity.seed for record in self.finished} != set(range(len(self.finished)))

    @property
    def steps(self) -> int:
        """Training steps per run: the protocol's, unless the submission or its variant sets others."""
        return self.representative.identity.steps

    @cached_property
    def cap_violations(self) -> tuple[str, ...]:
        """The caps and budgets that the row exceeds; such a row is measured but never ranked."""
        violations: dict[str, str] = {}
        for record in self.finished:
            cost, training = record.cost, record.training
            if cost is not None and training is not None:
                violations |= exceeded(record.protocol, cost, record.identity.steps, training.batch_size)
        return tuple(violations)

    @cached_property
    def speeds(self) -> list[Throughput]:
        """Inference throughputs, slowest first: those without background load if there are any, else all.

        One per verification: all seeds that were run after one verification share its measurement.
        """
        rates: list[Throughput] = []
        for record in self.finished:
            rate = record.timing.inference_images_per_s
            if rate is not None and rate not in rates:
                rates.append(rate)
        quiet = [rate for rate in rates if not rate.noisy]
        return sorted(quiet or rates, key=lambda rate: rate.median_per_s)

    @cached_property
    def images_per_s(self) -> float | None:
        """Inference throughput in images per second: the median over measurements."""
        return statistics.median(rate.median_per_s for rate in self.speeds) if self.speeds else None

    @cached_property
    def noisy(self) -> bool:
        """Whether every speed was measured under background load."""
        return bool(self.speeds) and all(rate.noisy for rate in self.speeds)

    @property
    def _remarks(self) -> Iterator[str]:
        """Yield the remarks on a finished row."""
        if self.cap_violations or self.representative.unranked_because:
            yield from self.cap_violations or ("unranked",)
        elif self.representative.identity.variant == BASE_VARIANT and self.seeds_wanted:
            if self.seeds_missing:
                yield f"{self.seeds_wanted - len(self.seeds_missing)} of {self.seeds_wanted} seeds"
            elif self.seeds_skipped:
                yield "seeds skipped"
        yield from dict.fromkeys(remark for record in self.finished for remark in over_advice(record))
        elsewhere = sum(not record.made_here for record in self.records)
        if elsewhere:
            count = "" if elsewhere == len(self.records) else f"{elsewhere} of {len(self.records)} "
            yield f"{count}made elsewhere, unranked"
        if not is_of_tracks_data(self.representative):
            yield "on other data than the track's, unranked"

    @cached_property
    def failures(self) -> list[str]:
        """The kinds of its failed runs, sorted; empty if every run has a result."""
        return sorted({record.status for record in self.records if record.status != "ok"})

    @property
    def reason(self) -> str:
        """Why the first of its failed runs failed; empty if every run has a result."""
        return next((record.reason or "" for record in self.records if record.status != "ok"), "")

    @property
    def remarks(self) -> list[str]:
        """The remarks on a row whose runs all have a result, as in its status."""
        return [] if self.failures else list(self._remarks)

    @property
    def status(self) -> str:
        """``ok`` with remarks, or the failures and the number of failed seeds."""
        failed = [record for record in self.records if record.status != "ok"]
        if not failed:
            return ", ".join(["ok", *self._remarks])
        kinds = ", ".join(self.failures)
        return kinds if len(failed) == len(self.records) else f"{len(failed)}/{len(self.records)} {kinds}"


def _seeds_of(protocol: Protocol) -> int | None:
    """Return the number of seeds of a profile of a known track; None if the track is not known."""
    track = load_tracks().get(protocol.track)
    profile = None if track is None else track.profiles.get(protocol.profile)
    return None if profile is None else profile.seeds


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
    """Group records into rows, with one version of the code per row.

    This is the version in the submission's folder; if that is not known, the version whose last run finished
    latest.
    """
    versions: dict[RowKey, dict[str, list[Record]]] = {}
    hashes: dict[int, str] = {}  # id of a protocol -> its hash; ``versions`` keeps the protocols alive
    for record in records:
        address = id(record.protocol)
        if address not in hashes:
            hashes[address] = record.protocol.hash
        key = _key(record, hashes[address])
        version = canonical_json(record.identity.model_dump(mode="json", exclude={"seed"}))
        versions.setdefault(key, {}).setdefault(version, []).append(record)
    rows = []
    for _, by_version in sorted(versions.items()):
        shown = max(by_version.values(), key=_precedence)
        rows.append(Row(tuple(sorted(shown, key=lambda record: record.identity.seed))))
    return rows


def _precedence(version: list[Record]) -> tuple[bool, str]:
    is_current = any(record.of_current_code for record in version)
    return is_current, max(record.timing.finished_at for record in version)

"""Columns from per-image results: intervals over seeds and test images, and accuracies without some images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.documents.bitmap import unpack_bits
from bench.contract.metrics import TOP1
from bench.data import cifair, store
from bench.errors import UsageError
from bench.report.records.aggregate import Row
from bench.report.tables.columns import Column
from bench.report.tables.comparison import MakeColumns
from bench.report.tables.text import MISSING, difference_text, interval_text, spread_text, value_text
from bench.stats.images import crossed_mean, mcnemar_p_value
from bench.stats.pairs import PairedDifference, paired_by_seed
from bench.stats.spreads import Spread, spread

NOT_RECORDED = "not recorded"  # older records have no per-image results


def correct_by_seed(row: Row) -> dict[int, NDArray[np.bool_]]:
    """Map each seed to (N,) booleans, True for a correctly classified test image.

    Only finished runs that recorded it; empty if their numbers of images differ.
    """
    correct = {}
    for record in row.finished:
        if record.evaluation is not None and record.evaluation.correct is not None and record.data is not None:
            count = record.data.images.get(record.protocol.evaluate, 0)
            correct[record.identity.seed] = unpack_bits(record.evaluation.correct, count)
    sizes = {len(per_image) for per_image in correct.values()}
    return correct if len(sizes) == 1 else {}


def interval_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the column of a classifier's score and its 95 % interval over new seeds and new test images."""

    def value(row: Row) -> PairedDifference | None:
        correct = correct_by_seed(row)
        return None if len(correct) < 2 else _crossed(np.stack(list(correct.values()))).within(0, 1)

    def text(row: Row) -> str:
        accuracy = value(row)
        if accuracy is None:
            return NOT_RECORDED if not correct_by_seed(row) and row.finished else MISSING
        interval = interval_text(accuracy.low, accuracy.high, TOP1)
        return f"{value_text(accuracy.mean, TOP1)} {interval} (n={accuracy.n})"

    return (
        [Column("interval", f"{TOP1.title} [95 %, seeds × images]", value, text)] if _are_classifiers(rows) else []
    )


def _are_classifiers(rows: Sequence[Row]) -> bool:
    return rows[0].representative.protocol.task == "classification"


@dataclass(frozen=True)
class ExcludedImages:
    """Test images to exclude from an accuracy."""

    name: str
    indices: NDArray[np.int64]  # in the data set's order, from 0
    data: str | None = None  # the data set that the indices refer to; None for any

    def remaining(self, row: Row) -> NDArray[np.bool_] | None:
        """Return (N,) booleans, True for the row's remaining test images.

        None if the row is on another data set, has too few images, or none would remain.
        """
        record = row.representative
        count = 0 if record.data is None else record.data.images.get(record.protocol.evaluate, 0)
        if self.data not in (None, record.protocol.data) or self.indices.max() >= count:
            return None
        remaining = np.ones(count, np.bool_)
        remaining[self.indices] = False
        return remaining if remaining.any() else None


def parse_excluded(source: str) -> ExcludedImages:
    """Parse ``--without``: ``cifair``, or a file with one image index per line.

    Raises:
        DataError: If ciFAIR's list is damaged.
        UsageError: If the file or the list is missing, or a line is not an index.
    """
    if source == cifair.NAME:
        duplicates = cifair.near_duplicates(store.data_root(None))
        if duplicates is None:
            raise UsageError(
                f"--without {source}: the list is missing; download it with `bench data fetch {cifair.NAME}`"
            )
        return ExcludedImages(source, np.flatnonzero(duplicates), "cifar100")
    try:
        indices = sorted({int(line) for line in Path(source).read_text(encoding="utf-8").split()})
    except (OSError, ValueError) as error:
        raise UsageError(f"--without {source!r}: give cifair, or a file of image indices ({error})") from None
    if not indices or indices[0] < 0:
        raise UsageError(f"--without {source}: must contain image indices, counted from 0, one per line")
    return ExcludedImages(Path(source).name, np.array(indices))


def without_columns(images: ExcludedImages) -> MakeColumns:
    """Return the function that adds the score of classifiers without the excluded test images."""

    def by_seed(row: Row) -> dict[int, float]:
        remaining = images.remaining(row)
        if remaining is None:
            return {}
        return {seed: float(correct[remaining].mean()) for seed, correct in correct_by_seed(row).items()}

    def value(row: Row) -> Spread | None:
        return spread(list(by_seed(row).values()))

    def text(row: Row) -> str:
        accuracy = value(row)
        if accuracy is not None or images.remaining(row) is None:
            return spread_text(accuracy, TOP1)
        return NOT_RECORDED if row.finished else MISSING

    title = f"{TOP1.title} without {len(images.indices):,} ({images.name})"
    column = Column("without", title, value, text, TOP1.better, by_seed=by_seed, optional=True)
    return lambda rows: [column] if _are_classifiers(rows) else []


def entry_columns(label: str) -> MakeColumns:
    """Return the function that adds each row's difference from one row of the table.

    Top-1 accuracies are paired by image, other metrics by seed.
    """

    def columns(rows: Sequence[Row]) -> list[Column]:
        other = next((row for row in rows if row.label == label), None)
        if other is not None and rows[0].ranking_metric != TOP1:
            return [_difference_by_seed(other)]

        def value(row: Row) -> PairedDifference | None:
            return None if other is None or row is other else _difference(row, other)

        def text(row: Row) -> str:
            if other is None or row is other:
                return MISSING
            return _difference_text(row, other)

        column = Column("difference", f"minus {label} [95 %, seeds × images]", value, text)
        return [column] if other is not None else []

    return columns


def _difference_by_seed(other: Row) -> Column:
    """Return the column of the differences of the ranking metric from the row ``other``."""
    metric = other.ranking_metric
    baseline = other.by_seed(metric.name)

    def value(row: Row) -> PairedDifference | None:
        difference = None if row is other else paired_by_seed(row.by_seed(metric.name), baseline)
        return difference.within(-1, 1) if difference is not None and metric.is_percentage else difference

    title = f"{metric.title} minus {other.label} [95 %, seeds]"
    return Column("difference", title, value, lambda row: difference_text(value(row), metric))


def _shared(row: Row, other: Row) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return the (n, N) results of both rows for their n common seeds; None if there are none."""
    ours, theirs = correct_by_seed(row), correct_by_seed(other)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds or len(ours[seeds[0]]) != len(theirs[seeds[0]]):
        return None
    return np.stack([ours[seed] for seed in seeds]), np.stack([theirs[seed] for seed in seeds])


def _crossed(values: NDArray[np.generic]) -> PairedDifference:
    result = crossed_mean(values)
    return PairedDifference(result.mean, result.low, result.high, result.seeds)


def _difference(row: Row, other: Row) -> PairedDifference | None:
    shared = _shared(row, other)
    if shared is None:
        return None
    differences = shared[0].astype(np.int8) - shared[1].astype(np.int8)
    if len(differences) < 2:
        return PairedDifference(float(differences.mean()), None, None, 1)
    return _crossed(differences).within(-1, 1)


def _difference_text(row: Row, other: Row) -> str:
    difference, shared = _difference(row, other), _shared(row, other)
    if difference is None or shared is None:
        return MISSING if correct_by_seed(row) and correct_by_seed(other) else NOT_RECORDED
    if difference.low is None or difference.high is None:
        p_value = mcnemar_p_value(shared[0][0], shared[1][0])
        mean = value_text(difference.mean, TOP1, sign=True)
        return f"{mean} (n=1; these two networks: McNemar p = {p_value:.2g})"
    return difference_text(difference, TOP1)

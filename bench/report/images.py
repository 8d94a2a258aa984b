"""Columns from which test images each run got right: intervals over images too, and accuracies without some."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.bits import unpack_bits
from bench.data import cifair, store
from bench.errors import UsageError
from bench.report.columns import Column
from bench.report.comparison import MakeColumns
from bench.report.summary import Row
from bench.report.tables import NOTHING, spread_text
from bench.stats.images import crossed_mean, mcnemar_p_value
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread, spread

NOT_RECORDED = "not recorded"  # of records that were made before


def correct_by_seed(row: Row) -> dict[int, NDArray[np.bool_]]:
    """Seed -> (N,) which images were classified right, of each finished run that recorded it."""
    found = {}
    for record in row.finished:
        if record.evaluation is not None and record.evaluation.correct is not None and record.data is not None:
            count = record.data.images.get(record.protocol.evaluate, 0)
            found[record.identity.seed] = unpack_bits(record.evaluation.correct, count)
    sizes = {len(correct) for correct in found.values()}
    return found if len(sizes) == 1 else {}


def interval_columns(rows: Sequence[Row]) -> list[Column]:
    """The score of classifiers and its 95 % interval, had both seeds and test images been drawn anew."""

    def value(row: Row) -> PairedDifference | None:
        found = correct_by_seed(row)
        return None if len(found) < 2 else _crossed(np.stack(list(found.values())))

    def text(row: Row) -> str:
        found = value(row)
        if found is None:
            return NOT_RECORDED if not correct_by_seed(row) and row.finished else NOTHING
        return (
            f"{100 * found.mean:.2f} [{100 * (found.low or 0):.2f}, {100 * (found.high or 0):.2f}] (n={found.n})"
        )

    return [Column("interval", "top-1 % [95 %, seeds × images]", value, text)] if _classify(rows) else []


def _classify(rows: Sequence[Row]) -> bool:
    return rows[0].first.task == "classification"


@dataclass(frozen=True)
class LeftOut:
    """Test images that an accuracy is to go without."""

    named: str
    numbers: NDArray[np.int64]  # in the data set's order, from 0
    data: str | None = None  # only of this set; None for any

    def kept(self, row: Row) -> NDArray[np.bool_] | None:
        """(N,) the others of the row's test images; None where these are not meant, or not so many."""
        record = row.first
        count = 0 if record.data is None else record.data.images.get(record.protocol.evaluate, 0)
        if self.data not in (None, record.protocol.data) or self.numbers.max() >= count:
            return None
        kept = np.ones(count, np.bool_)
        kept[self.numbers] = False
        return kept if kept.any() else None


def left_out(named: str) -> LeftOut:
    """What ``--without`` means: ``cifair``, or a file with the number of an image on every line.

    Raises:
        DataError: If ciFAIR's list is damaged.
        UsageError: If there is no such file or list, or it has other lines.
    """
    if named == cifair.NAME:
        found = cifair.near_duplicates(store.data_root(None))
        if found is None:
            raise UsageError(f"--without {named}: its list is not there; `bench data fetch {cifair.NAME}` gets it")
        return LeftOut(named, np.flatnonzero(found), "cifar100")
    try:
        numbers = sorted({int(line) for line in Path(named).read_text(encoding="utf-8").split()})
    except (OSError, ValueError) as error:
        raise UsageError(f"--without {named!r}: give cifair, or a file of image numbers ({error})") from None
    if not numbers or numbers[0] < 0:
        raise UsageError(f"--without {named}: needs the numbers of images, counted from 0, one a line")
    return LeftOut(Path(named).name, np.array(numbers))


def without_columns(images: LeftOut) -> MakeColumns:
    """The score of classifiers without some test images."""

    def by_seed(row: Row) -> dict[int, float]:
        kept = images.kept(row)
        if kept is None:
            return {}
        return {seed: float(correct[kept].mean()) for seed, correct in correct_by_seed(row).items()}

    def value(row: Row) -> Spread | None:
        return spread(list(by_seed(row).values()))

    def text(row: Row) -> str:
        found = value(row)
        if found is not None or images.kept(row) is None:
            return spread_text(found, 100)
        return NOT_RECORDED if row.finished else NOTHING

    title = f"top-1 % without {len(images.numbers):,} ({images.named})"
    column = Column("without", title, value, text, "higher", by_seed=by_seed, optional=True)
    return lambda rows: [column] if _classify(rows) else []


def against_entry(label: str) -> MakeColumns:
    """The difference of each row from one of the same table, image by image."""

    def columns(rows: Sequence[Row]) -> list[Column]:
        other = next((row for row in rows if row.label == label), None)

        def value(row: Row) -> PairedDifference | None:
            return None if other is None or row is other else _difference(row, other)

        def text(row: Row) -> str:
            if other is None or row is other:
                return NOTHING
            return _difference_text(row, other)

        column = Column("difference", f"less {label} [95 %, seeds × images]", value, text)
        return [column] if other is not None and _classify(rows) else []

    return columns


def _shared(row: Row, other: Row) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """(n, N) of either, of the seeds that both have."""
    ours, theirs = correct_by_seed(row), correct_by_seed(other)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds or len(ours[seeds[0]]) != len(theirs[seeds[0]]):
        return None
    return np.stack([ours[seed] for seed in seeds]), np.stack([theirs[seed] for seed in seeds])


def _crossed(values: NDArray[np.generic]) -> PairedDifference:
    found = crossed_mean(values)
    return PairedDifference(found.mean, found.low, found.high, found.seeds)


def _difference(row: Row, other: Row) -> PairedDifference | None:
    shared = _shared(row, other)
    if shared is None:
        return None
    differences = shared[0].astype(np.int8) - shared[1].astype(np.int8)
    if len(differences) < 2:
        return PairedDifference(float(differences.mean()), None, None, 1)
    return _crossed(differences)


def _difference_text(row: Row, other: Row) -> str:
    found, shared = _difference(row, other), _shared(row, other)
    if found is None or shared is None:
        return NOTHING if correct_by_seed(row) and correct_by_seed(other) else NOT_RECORDED
    if found.low is None or found.high is None:
        p_value = mcnemar_p_value(shared[0][0], shared[1][0])
        return f"{100 * found.mean:+z.2f} (n=1; these two networks: McNemar p = {p_value:.2g})"
    return f"{100 * found.mean:+z.2f} [{100 * found.low:+z.2f}, {100 * found.high:+z.2f}] (n={found.n})"

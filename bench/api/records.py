"""Records of runs as a list, with a selection and exports to pandas and Parquet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from bench.contract.contest import results_folder, submissions_folder
from bench.contract.records.record import Record
from bench.errors import ResultsError, UsageError
from bench.files import atomic_path
from bench.report.records.current_claims import with_current_claims
from bench.report.records.flatten import flat_record
from bench.report.records.load import read_all

if TYPE_CHECKING:
    from typing import SupportsIndex

    import pandas as pd


class Records(list[Record]):
    """A list of records.

    Attributes:
        problems: One line per file that could not be read.
    """

    def __init__(self, records: Iterable[Record] = (), problems: Sequence[str] = ()) -> None:
        super().__init__(records)
        self.problems = list(problems)

    def where(
        self,
        *,
        track: str | None = None,
        submission: str | None = None,
        variant: str | None = None,
        profile: str | None = None,
        seed: int | None = None,
        status: str | None = None,
    ) -> "Records":
        """Return the records that have all of the given values.

        Args:
            track: Name of the track.
            submission: Name of the submission.
            variant: Name of the variant; ``"base"`` for the submission itself.
            profile: Name of the profile, such as ``"official"``.
            seed: Seed of the run.
            status: ``"ok"``, or the kind of failure (``"cap"``, ``"contract"``, ``"nan"``, ``"timeout"``, ...).
        """
        wanted = {
            "track": track, "submission": submission, "variant": variant,
            "profile": profile, "seed": seed, "status": status,
        }  # fmt: skip
        given = {name: value for name, value in wanted.items() if value is not None}
        return Records((record for record in self if given.items() <= _selectors(record).items()), self.problems)

    @overload
    def __getitem__(self, index: "SupportsIndex") -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: "SupportsIndex | slice") -> "Record | Records":
        if isinstance(index, slice):
            return Records(super().__getitem__(index), self.problems)
        return super().__getitem__(index)

    def __add__(self, others: Iterable[Record]) -> "Records":  # type: ignore[override]
        return Records([*self, *others], [*self.problems, *getattr(others, "problems", ())])

    def __repr__(self) -> str:
        counts = Counter(f"{identity.submission}/{identity.variant}" for identity in (r.identity for r in self))
        names = ", ".join(f"{name} ({count})" for name, count in counts.items())
        return f"{len(self)} records: {names}" if self else "no records"

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per run, with a column per setting, metric, cost and time (``metrics.top1_accuracy``).

        Values have full precision; accuracies are fractions. Fields that hold a list, such as training curves, are
        left out. Values that were not measured are missing.

        Raises:
            UsageError: If pandas is not installed (``pip install 'capbench[frame]'``).
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise UsageError("to_frame: pandas is not installed; `pip install 'capbench[frame]'`") from None
        return pandas.DataFrame([flat_record(record) for record in self])

    def to_parquet(self, path: str | Path) -> None:
        """Write ``to_frame`` to a Parquet file. A column that mixes types, such as a setting, is written as text.

        Raises:
            UsageError: If pandas or pyarrow is not installed (``pip install 'capbench[frame]'``), or if the file
                cannot be written; an existing file is then unchanged.
        """
        frame, path = self.to_frame(), Path(path)
        from pandas.api.types import infer_dtype

        for name in frame.columns:
            if infer_dtype(frame[name], skipna=True).startswith("mixed"):
                frame[name] = frame[name].map(str, na_action="ignore")
        try:
            with atomic_path(path) as partial:
                frame.to_parquet(partial)
        except ImportError:
            raise UsageError("to_parquet: pyarrow is not installed; `pip install 'capbench[frame]'`") from None
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _selectors(record: Record) -> dict[str, str | int]:
    identity, protocol = record.identity, record.protocol
    return {
        "track": protocol.track,
        "submission": identity.submission,
        "variant": identity.variant,
        "profile": protocol.profile,
        "seed": identity.seed,
        "status": record.status,
    }


def load_records(results: str | Path | None = None, *, submissions: str | Path | None = None) -> Records:
    """Read all records of a results folder.

    Args:
        results: The results folder, whose records are in ``runs/``; None for the contest's, elsewhere ``results``.
        submissions: Folder of the submissions, whose manifests have the papers' current claims; None for the
            contest's, elsewhere ``submissions``. If it does not exist, records
            keep the claims that they were written with.

    Returns:
        The checked records, sorted by path. A damaged file is left out, and named in ``problems``.

    Raises:
        ResultsError: If the results folder does not exist.
    """
    results = results_folder(results)
    if not results.is_dir():
        raise ResultsError(f"{results}: no such folder; `bench run` or `bench.run` writes records")
    records, problems = read_all(results)
    records, unread = with_current_claims(records, submissions_folder(submissions))
    return Records(records, [*problems, *unread])

"""A contest: the file ``capbench.yaml`` at the root of its repository.

It names the contest's tracks and folders. Every command that is run in the repository, also in a folder inside,
knows these tracks and no others.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from bench.contract.documents.schema import Strict
from bench.contract.documents.validation import describe_validation_error
from bench.contract.documents.yaml_files import read_yaml
from bench.errors import ManifestError
from bench.text import one_line

CONTEST_FILE = "capbench.yaml"


class ContestFile(Strict):
    """The content of ``capbench.yaml``; paths are relative to it."""

    title: str = Field(min_length=1, max_length=200)  # heads the leaderboard and the site
    organiser: str = ""  # a person, a course or a lab
    url: str | None = None  # of the contest's page
    tracks: list[str] = Field(min_length=1)  # files (*.yaml), or names of tracks that ship with the package
    submissions: Path = Path("submissions")  # folder of the submissions
    results: Path = Path("results")  # folder of the records
    data_root: Path | None = None  # folder of the data sets; None for $BENCH_DATA, else the cache folder
    about: str = ""  # a paragraph below the title of leaderboard and site
    rules: str = ""  # further rules in words, for `bench rules`: deadline, teams, what is forbidden

    @property
    def byline(self) -> str:
        """The organiser and the address, in one line; empty without both."""
        facts = [f"Organised by {self.organiser}."] if self.organiser else []
        return one_line(" ".join([*facts, *([self.url] if self.url else [])]), 400)


@dataclass(frozen=True)
class Contest:
    """A contest on disk."""

    root: Path  # absolute, of the folder with ``capbench.yaml``
    content: ContestFile

    @property
    def file(self) -> Path:
        """The path of ``capbench.yaml``."""
        return self.root / CONTEST_FILE

    @property
    def submissions(self) -> Path:
        """The folder of the submissions, relative to the current folder."""
        return self._relative(self.content.submissions)

    @property
    def results(self) -> Path:
        """The folder of the records, relative to the current folder."""
        return self._relative(self.content.results)

    @property
    def data_root(self) -> Path | None:
        """The folder of the data sets; None if the contest names none."""
        return None if self.content.data_root is None else self.root / self.content.data_root

    def _relative(self, path: Path) -> Path:
        return Path(os.path.relpath(self.root / path))


def find_contest() -> Contest | None:
    """Return the contest in whose repository the current folder is; None if it is in none.

    Raises:
        ManifestError: If ``capbench.yaml`` violates the schema.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / CONTEST_FILE
        try:
            status = path.stat()
        except OSError:
            continue
        return Contest(folder, _read(path, status.st_mtime_ns, status.st_size))
    return None


def results_folder(given: str | Path | None = None) -> Path:
    """Return ``given`` or, for None, the contest's folder of records; outside of a contest it is ``results``."""
    if given is not None:
        return Path(given)
    contest = find_contest()
    return Path("results") if contest is None else contest.results


def submissions_folder(given: str | Path | None = None) -> Path:
    """Return ``given`` or, for None, the contest's folder of submissions; elsewhere it is ``submissions``."""
    if given is not None:
        return Path(given)
    contest = find_contest()
    return Path("submissions") if contest is None else contest.submissions


@cache
def _read(path: Path, modified: int, size: int) -> ContestFile:
    """Read a contest's file; ``modified`` and ``size`` tell versions of it apart."""
    try:
        return ContestFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ManifestError(describe_validation_error(path, error, ContestFile)) from None

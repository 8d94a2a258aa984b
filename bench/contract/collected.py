"""What `bench collect` leaves beside submissions: where each came from, and what it refused.

``collected.yaml`` in a submission's folder has its source and team; ``refused.json`` beside the submissions has
the uploads that were refused. Reports show team and refusals; no other command decides anything by them.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import Field, ValidationError

from bench.contract.documents.schema import Strict, parse_json
from bench.contract.documents.yaml_files import read_yaml
from bench.errors import ManifestError
from bench.files import hash_json, write_bytes
from bench.text import one_line

COLLECTED = "collected.yaml"
REFUSED = "refused.json"


class Origin(Strict):
    """The content of ``collected.yaml``."""

    source: str  # folder, archive or address, without credentials and without this user's home folder
    folder: str = "."  # of the submission in the source
    ref: str | None = None  # branch, tag or commit that was asked for
    commit: str | None = None  # of a repository
    team: str | None = None
    collected: str  # date and time in UTC, ISO 8601
    sha256: str  # over the files, see ``hash_files``
    files: int = Field(ge=0)

    def is_of_same_team(self, other: "Origin") -> bool:
        """Return whether both are of one team, or, unless both state a team, from one folder of one source."""
        if self.team is not None and other.team is not None:
            return same_team(self.team, other.team)
        return (self.source, self.folder) == (other.source, other.folder)

    def __str__(self) -> str:
        return self.source if self.team is None else f"{self.source} (team {self.team})"

    def to_yaml(self) -> str:
        """Return the file's text; JSON's quoted texts are YAML that no version reads as numbers."""
        lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in self.model_dump().items()]
        return "# Written by `bench collect`; reports show the team.\n" + "\n".join(lines) + "\n"


def read_origin(folder: Path) -> Origin | None:
    """Read a submission's ``collected.yaml``; return None if there is none that can be read."""
    try:
        return Origin.model_validate(read_yaml(folder / COLLECTED))
    except (ManifestError, ValidationError):
        return None


class Refusal(Strict):
    """An upload that `bench collect` refused. It is published: no text has a path of the organiser's machine."""

    upload: str  # file, folder or repository, as it is named below what was given
    team: str | None = None
    date: str  # and time in UTC, ISO 8601
    reason: str

    def is_superseded_by(self, team: str | None, upload: str) -> bool:
        """Return whether a later upload is of the same team, or unless both state a team, the same upload."""
        if self.team is not None and team is not None:
            return same_team(self.team, team)
        return self.upload == upload or self.upload.startswith(f"{upload}/")


class Refused(Strict):
    """The content of ``refused.json``."""

    refused: list[Refusal]


def same_team(one: str, other: str) -> bool:
    """Return whether two names are of one team; capitals make no difference."""
    return one.casefold() == other.casefold()


def read_refused(folder: Path) -> list[Refusal]:
    """Read the refused uploads beside the submissions; empty if there is no such file.

    Raises:
        ManifestError: If the file cannot be read or violates the schema.
    """
    path = folder / REFUSED
    if not path.exists():
        return []
    try:
        return Refused.model_validate(parse_json(path.read_bytes())).refused
    except (OSError, ValueError) as error:
        reason = one_line(str(error), 200)
        raise ManifestError(f"{path}: not a list of refused uploads ({reason}); correct or delete it") from None


def write_refused(folder: Path, refusals: Iterable[Refusal]) -> None:
    """Write the refused uploads beside the submissions; delete the file if there are none.

    Raises:
        OSError: If the folder cannot be written.
    """
    content = Refused(refused=list(refusals))
    if content.refused:
        text = json.dumps(content.model_dump(), indent=1, ensure_ascii=False)
        write_bytes(folder / REFUSED, f"{text}\n".encode())
    else:
        (folder / REFUSED).unlink(missing_ok=True)


def read_teams(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the teams of the named submissions that have one."""
    origins = {name: read_origin(folder / name) for name in names}
    return {name: origin.team for name, origin in origins.items() if origin is not None and origin.team}


def printable(text: str, limit: int = 1_000) -> str:
    """Return ``text`` in one line, without characters that YAML cannot hold."""
    return "".join(character if character.isprintable() else "?" for character in one_line(text, limit))


def hash_files(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over the files: that of the JSON of path -> sha256 of the content, with sorted paths."""
    return hash_json({path: sha256(content).hexdigest() for path, content in files.items()})

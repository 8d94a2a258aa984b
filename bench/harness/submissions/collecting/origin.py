"""``collected.yaml``: where a collected submission came from. No other command reads it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import Field, ValidationError

from bench.contract.documents.schema import Strict
from bench.contract.documents.yaml_files import read_yaml
from bench.errors import ManifestError
from bench.files import hash_json
from bench.text import one_line

COLLECTED = "collected.yaml"


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
            return self.team.casefold() == other.team.casefold()
        return (self.source, self.folder) == (other.source, other.folder)

    def __str__(self) -> str:
        return self.source if self.team is None else f"{self.source} (team {self.team})"

    def to_yaml(self) -> str:
        """Return the file's text; JSON's quoted texts are YAML that no version reads as numbers."""
        lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in self.model_dump().items()]
        return "# Written by `bench collect`; no other command reads it.\n" + "\n".join(lines) + "\n"


def read_origin(folder: Path) -> Origin | None:
    """Read a submission's ``collected.yaml``; return None if there is none that can be read."""
    try:
        return Origin.model_validate(read_yaml(folder / COLLECTED))
    except (ManifestError, ValidationError):
        return None


def printable(text: str, limit: int = 1_000) -> str:
    """Return ``text`` in one line, without characters that YAML cannot hold."""
    return "".join(character if character.isprintable() else "?" for character in one_line(text, limit))


def hash_files(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over the files: that of the JSON of path -> sha256 of the content, with sorted paths."""
    return hash_json({path: sha256(content).hexdigest() for path, content in files.items()})

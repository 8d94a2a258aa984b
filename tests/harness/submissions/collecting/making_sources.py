"""Sources of submissions for tests: folders, archives and git repositories."""

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bench.contract.collected import REFUSED
from bench.harness.submissions.collecting.command import CollectOptions, collect_command

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")


def model(number: int = 0) -> str:
    """A model.py that differs from that of another number; it would leave a trace if it was run."""
    return f"import pathlib\npathlib.Path('was-run').touch()\nwidth = {number}\n"


def files(number: int = 0, folder: str = "") -> dict[str, str]:
    """The two files of a submission in a folder of a source."""
    prefix = f"{folder}/" if folder else ""
    return {f"{prefix}submission.yaml": "track: tiny\n", f"{prefix}model.py": model(number)}


def write_files(root: Path, content: Mapping[str, str]) -> Path:
    for path, text in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def write_zip(path: Path, content: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def member(
    name: str, content: bytes | None = None, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content or b"")
    return info


def write_tar(path: Path, content: Mapping[str, str], *special: tarfile.TarInfo) -> Path:
    """Write an archive of files, and of members without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    compression = {".gz": "gz", ".tgz": "gz", ".xz": "xz"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, text in content.items():
            archive.addfile(member(name, text.encode()), io.BytesIO(text.encode()))
        for info in special:
            archive.addfile(info)
    return path


def git(folder: Path, *words: str, given: bytes = b"") -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    result = subprocess.run(
        [*GIT, "-C", str(folder), *words], check=True, capture_output=True, input=given, env=variables
    )
    return result.stdout.decode().strip()


def commit(folder: Path, content: Mapping[str, str], message: str = "x") -> str:
    """Commit files to a repository, which is made if there is none; return the commit's hash."""
    write_files(folder, content)
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


def collect(into: Path, *sources: object, **options: object) -> int:
    """Collect sources and return the exit code."""
    return int(collect_command(CollectOptions([str(source) for source in sources], into, **options)))  # type: ignore[arg-type]


def collected(into: Path) -> dict[str, set[str]]:
    """Return all files in the folder of submissions: name -> paths; temporary ones would be among them.

    The report of refused uploads is not.
    """
    return {
        folder.name: {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in (into.iterdir() if into.exists() else ())
        if folder.name != REFUSED
    }

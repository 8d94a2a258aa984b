"""The cost of submissions at another revision."""

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT
from bench.contract.records.record import Cost
from bench.contract.tracks import Track
from bench.errors import NothingToDo
from bench.git import GitFailed, git
from bench.harness.commands.verify import verify_entries
from bench.harness.executors.sandbox import Sandbox
from bench.harness.submissions.discovery import MODEL, SubmissionSource, discover


def costs_before(
    commit: str, sources: Sequence[SubmissionSource], tracks: dict[str, Track], sandbox: Sandbox
) -> dict[str, Cost]:
    """Verify the versions that submissions had at a commit, with the harness and the tracks of now.

    Args:
        commit: A commit of the repository that contains the submissions.
        sources: The submissions as they are now.
        tracks: The known tracks, by name.
        sandbox: Of the processes that run the submissions' code.

    Returns:
        Submission -> its cost, for those that existed and could be built.
    """
    with tempfile.TemporaryDirectory(prefix="capbench-base-") as folder:
        extracted = [path for source in sources if (path := _extract(commit, source.folder, Path(folder)))]
        if not extracted:
            return {}
        print(f"The same before, at {commit[:9]}:\n")
        try:
            before, _ = discover(extracted, tracks)
        except NothingToDo:
            return {}
        verified = verify_entries([(source, BASE_VARIANT) for source in before], "cpu", sandbox)
    return {source.name: result.cost for source, _, result in verified if result.cost is not None}


def _extract(commit: str, folder: Path, target: Path) -> Path | None:
    """Extract a folder's files at a commit below ``target``; return their folder, or None if there were none."""
    try:
        content = git(folder, "archive", "--format=tar", f"--prefix={folder.name}/", commit, ".")
    except GitFailed:
        return None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        try:
            archive.extractall(target, filter="data")
        except tarfile.FilterError:  # a link to another place
            return None
    extracted = target / folder.name
    return extracted if (extracted / MODEL).is_file() else None

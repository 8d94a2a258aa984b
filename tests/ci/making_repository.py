"""A contest's git repository, with a branch that changes it, as CI checks it out."""

import subprocess
from pathlib import Path

from tests.making import TRACK, write_submission

CONTEST = "title: The small contest\ntracks: [tiny.yaml]\n"
WITH_SMOKE = TRACK + "  smoke: {steps: 4, seeds: 1, train: train, evaluate: validation}\n"
IDENTITY = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
SYNTAX_ERROR = "def build_model(:\n"


class ContestRepository:
    """A repository whose branch ``main`` has the contest; ``merge`` makes the commit that CI examines."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.submissions = folder, folder / "submissions"
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "capbench.yaml").write_text(CONTEST)
        (folder / "tiny.yaml").write_text(WITH_SMOKE)
        (folder / "README.md").write_text("A contest\n")
        self.base = self.commit()

    def git(self, *words: str) -> str:
        result = subprocess.run(
            ["git", *IDENTITY, *words], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return result.stdout.strip()

    def commit(self) -> str:
        """Commit everything and return the commit's hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")

    def submit(self, name: str, changes: dict[str, str] | None = None) -> Path:
        """Write a submission to the working tree."""
        return write_submission(self.submissions, name, changes)

    def start_branch(self) -> None:
        """Commit to main what is in the working tree, and start the branch of a pull request."""
        if self.git("status", "--porcelain"):
            self.base = self.commit()
        self.git("checkout", "--quiet", "-b", "branch")

    def merge(self) -> str:
        """Commit the branch, merge it into main like GitHub's `refs/pull/N/merge`, and return the base commit."""
        self.commit()
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message=merge", "branch")
        return self.base

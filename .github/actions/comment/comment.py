"""Post a report as one comment on a pull request, or update the one from an earlier push.

Only the standard library, so that the job with the token installs nothing. The report comes from a job that runs
the code of the pull request: it is text to post, and decides neither the pull request nor the comment.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARKER = "<!-- capbench report -->"  # starts the comment
BOT = "github-actions[bot]"  # author of comments that are made with the job's token
MAX_CHARACTERS = 65_536  # of a comment
PER_PAGE = 100
TIMEOUT_SECONDS = 60


class CommentError(Exception):
    """The comment cannot be posted; the message says why."""


class Repository:
    """The REST interface of a repository on GitHub."""

    def __init__(self, api: str, name: str, token: str) -> None:
        self._address, self._token = f"{api}/repos/{name}", token

    def send(self, method: str, path: str, content: dict[str, str] | None = None) -> Any:
        """Send a request and return the parsed answer.

        Raises:
            CommentError: If the server refuses it, or is not reached.
        """
        request = urllib.request.Request(
            f"{self._address}{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/vnd.github+json",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            hint = "; the job needs `permissions: pull-requests: write`" if error.code == 403 else ""
            raise CommentError(f"{method} {path}: {error.code} {error.reason}{hint}") from None
        except OSError as error:
            raise CommentError(f"{method} {path}: {error}") from None

    def all(self, path: str, **query: str) -> Iterator[Any]:
        """Yield the entries of all pages of a list."""
        page = 1
        while True:
            words = urllib.parse.urlencode({**query, "per_page": str(PER_PAGE), "page": str(page)})
            entries = self.send("GET", f"{path}?{words}")
            yield from entries
            if len(entries) < PER_PAGE:
                return
            page += 1


def pull_request(repository: Repository, variables: dict[str, str]) -> int | None:
    """Return the number of the pull request, or None if none is open at the commit that was examined."""
    if variables.get("NUMBER"):
        return int(variables["NUMBER"])
    head = f"{variables['HEAD_OWNER']}:{variables['HEAD_BRANCH']}"
    for entry in repository.all("/pulls", state="open", head=head):
        if entry["head"]["sha"] == variables["HEAD_SHA"]:
            return int(entry["number"])
    return None


def read_report(path: Path) -> str:
    """Return the report, shortened to what a comment may have.

    Raises:
        CommentError: If it is not a regular file: a link could lead to the token.
    """
    if path.is_symlink() or not path.is_file():
        raise CommentError(f"{path.name}: not in the artifact")
    text = path.read_text(encoding="utf-8", errors="replace").removeprefix(MARKER)
    return f"{MARKER}{text}"[:MAX_CHARACTERS]


def post(repository: Repository, number: int, text: str) -> str:
    """Update the comment that an earlier push made, or make one; return its address."""
    for comment in repository.all(f"/issues/{number}/comments"):
        if comment["user"]["login"] == BOT and comment["body"].startswith(MARKER):
            return str(repository.send("PATCH", f"/issues/comments/{comment['id']}", {"body": text})["html_url"])
    return str(repository.send("POST", f"/issues/{number}/comments", {"body": text})["html_url"])


def main() -> int:
    """Post the report; return 1 after an error."""
    variables = dict(os.environ)
    repository = Repository(variables["GITHUB_API_URL"], variables["GITHUB_REPOSITORY"], variables["GITHUB_TOKEN"])
    try:
        text = read_report(Path(variables["REPORT"]))
        number = pull_request(repository, variables)
        if number is None:
            print("no open pull request has the commit that was examined; nothing to comment on")
            return 0
        print(post(repository, number, text))
    except CommentError as error:
        print(f"::error::{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The comment on a pull request, through a server that answers like GitHub's."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from bench.ci import report as report_module
from tests.action.composite import ROOT, ActionRun, Machine, load

ACTION = ROOT / ".github" / "actions" / "comment"
MARKER, BOT = report_module.MARKER, "github-actions[bot]"
TOKEN = "the-token-that-can-write"


class Server(ThreadingHTTPServer):
    """A repository `o/r` with pull requests and comments."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.is_allowed = True

    def comment(self, author: str, body: str) -> dict[str, Any]:
        made = {"id": len(self.comments) + 1, "user": {"login": author}, "body": body, "html_url": "https://c"}
        self.comments.append(made)
        return made


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        server, url = self.server, urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        server.requests.append((self.command, url.path))
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(content)["body"] if content else ""
        answer: Any = None
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._send(401, {})
        if self.command != "GET" and not server.is_allowed:
            return self._send(403, {})
        if self.command == "GET" and url.path == "/repos/o/r/pulls":
            answer = [pull for pull in server.pulls if pull["head"]["label"] == query["head"]]
        elif self.command == "GET" and url.path == "/repos/o/r/issues/7/comments":
            size, page = int(query["per_page"]), int(query["page"])
            answer = server.comments[size * (page - 1) : size * page]
        elif self.command == "POST" and url.path == "/repos/o/r/issues/7/comments":
            answer = server.comment(BOT, body)
        elif self.command == "PATCH" and url.path.startswith("/repos/o/r/issues/comments/"):
            answer = server.comments[int(url.path.rsplit("/", 1)[1]) - 1]
            answer["body"] = body
        return self._send(404 if answer is None else 200, answer)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - names of the library

    def _send(self, code: int, answer: Any) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def comment(server: Server, folder: Path, text: str | None, event: dict[str, Any] | None = None) -> ActionRun:
    """Carry out the action, with a report in its artifact unless ``text`` is None."""
    artifact = folder / "temp" / "capbench-comment"
    artifact.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (artifact / "report.md").write_text(text)
    (folder / "bin").mkdir(exist_ok=True)
    if not (folder / "bin" / "python3").exists():
        (folder / "bin" / "python3").symlink_to(sys.executable)
    api = f"http://127.0.0.1:{server.server_address[1]}"
    github = {"event": event or {"pull_request": {"number": 7}}, "token": TOKEN, "run_id": "1"}
    variables = {"GITHUB_API_URL": api, "GITHUB_REPOSITORY": "o/r"}
    box = Machine(folder, folder, f"{folder / 'bin'}:{os.environ['PATH']}", github, variables=variables)
    return box.run(ACTION)


def test_comment_is_made_once_and_then_updated(server: Server, tmp_path: Path) -> None:
    server.comment("mallory", f"{MARKER}\nmine")  # not to be touched, nor another one of the bot's
    server.comment(BOT, "another workflow's")
    for index in range(120):  # more than one page
        server.comment("alice", f"comment {index}")
    assert comment(server, tmp_path, f"{MARKER}\nfirst").passed
    run = comment(server, tmp_path, f"{MARKER}\nsecond ü | `x`")
    assert run.passed and "https://c" in run.output and TOKEN not in run.output
    bodies = [entry["body"] for entry in server.comments]
    assert bodies[-1] == f"{MARKER}\nsecond ü | `x`" and len(bodies) == 123
    assert bodies[:2] == [f"{MARKER}\nmine", "another workflow's"]
    assert [method for method, _ in server.requests if method != "GET"] == ["POST", "PATCH"]


def test_report_of_others_gets_the_marker_and_is_shortened(server: Server, tmp_path: Path) -> None:
    assert comment(server, tmp_path, "x" * 100_000).passed
    (made,) = server.comments
    assert made["body"].startswith(MARKER) and len(made["body"]) == 65_536


def fork_event(sha: str = "abc") -> dict[str, Any]:
    run = {"id": 5, "head_repository": {"owner": {"login": "student"}}, "head_branch": "net", "head_sha": sha}
    return {"workflow_run": run}


def test_pull_request_of_a_fork_is_found_by_its_commit(server: Server, tmp_path: Path) -> None:
    server.pulls = [
        {"number": 6, "head": {"label": "student:net", "sha": "old"}},
        {"number": 7, "head": {"label": "student:net", "sha": "abc"}},
        {"number": 8, "head": {"label": "other:net", "sha": "abc"}},
    ]
    run = comment(server, tmp_path, "report of 8", fork_event())
    assert run.passed and len(server.comments) == 1, run.output
    assert run.used["actions/download-artifact@v4"]["run-id"] == "5"
    later = comment(server, tmp_path, "x", fork_event(sha="newer"))
    assert later.passed and "no open pull request" in later.output and len(server.comments) == 1


def test_missing_report_and_links_are_not_posted(server: Server, tmp_path: Path) -> None:
    run = comment(server, tmp_path, None)
    assert not run.passed and "::error::report.md: not in the artifact" in run.output
    (tmp_path / "temp" / "capbench-comment" / "report.md").symlink_to("/proc/self/environ")
    assert not comment(server, tmp_path, None).passed and server.comments == []


def test_refusal_names_the_permission(server: Server, tmp_path: Path) -> None:
    server.is_allowed = False
    run = comment(server, tmp_path, "x")
    assert not run.passed and "pull-requests: write" in run.output and "Traceback" not in run.output


def test_token_is_given_to_the_download_only_for_another_run() -> None:
    (download, _) = load(ACTION / "action.yml")["runs"]["steps"]
    assert download["with"]["github-token"] == "${{ github.event_name == 'workflow_run' && inputs.token || '' }}"


def test_marker_is_that_of_the_report() -> None:
    assert f'MARKER = "{MARKER}"' in (ACTION / "comment.py").read_text()

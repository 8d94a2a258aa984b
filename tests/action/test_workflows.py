"""Workflows and actions are safe by construction, and the documented ones fit the action."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.composite import ROOT, load

ACTION, COMMENT = load(ROOT / "action.yml"), load(ROOT / ".github" / "actions" / "comment" / "action.yml")
GUIDE = (ROOT / "docs" / "contest.md").read_text()
SNIPPETS = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if "\njobs:\n" in block
]
FILES = {path.name: load(path) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
WORKFLOWS = {**FILES, **{f"documented {index}": content for index, content in enumerate(SNIPPETS)}}
INPUTS = {
    "OWNER/capbench@main": ACTION,
    "./": ACTION,
    "OWNER/capbench/.github/actions/comment@main": COMMENT,
    "./.github/actions/comment": COMMENT,
}


def steps_of(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "runs" in content:
        yield from content["runs"]["steps"]
    for job in content.get("jobs", {}).values():
        yield from job["steps"]


STEPS = [
    (name, step)
    for name, content in {**WORKFLOWS, "action": ACTION, "comment": COMMENT}.items()
    for step in steps_of(content)
]


def test_documented_workflows_are_found() -> None:
    assert len(SNIPPETS) == 2 and len(STEPS) > 15


@pytest.mark.parametrize(("name", "step"), STEPS, ids=lambda value: str(value)[:40])
def test_step(name: str, step: dict[str, Any]) -> None:
    assert "${{" not in step.get("run", ""), "an expression in a script is code: pass it by `env`"
    if "uses" in step:
        used, given = step["uses"], step.get("with", {})
        assert used in INPUTS or re.fullmatch(r"actions/[a-z-]+@v\d+", used), "not pinned, or not known"
        assert used not in INPUTS or given.keys() <= INPUTS[used]["inputs"].keys()
        if used.startswith("actions/checkout@") and "pull_request" in str(WORKFLOWS[name].get(True)):
            assert given["persist-credentials"] is False


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_jobs_that_run_no_submission_have_a_token_that_can_write(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert "pull_request_target" not in str(workflow[True])
    if name == "leaderboard.yml":  # runs on pushes to main only
        return
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        writes = "write" in job["permissions"].values()
        comments = [step["uses"] for step in job["steps"] if INPUTS.get(step.get("uses", "")) is COMMENT]
        others = [step for step in job["steps"] if INPUTS.get(step.get("uses", "")) is ACTION or "run" in step]
        assert writes == bool(comments) and not (writes and others)
        assert job["timeout-minutes"] <= 60 and "secrets." not in str(job)


def test_companion_follows_the_first_workflow() -> None:
    first, companion = SNIPPETS
    assert companion[True]["workflow_run"]["workflows"] == [first["name"]]


def test_only_the_step_that_comments_gets_the_token() -> None:
    assert "token" not in str(ACTION)
    with_token = [step for step in steps_of(COMMENT) if "inputs.token" in str(step)]
    assert [step.get("uses", "run") for step in with_token] == ["actions/download-artifact@v4", "run"]


def table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace("|  |", "|  |")


def test_tables_of_inputs_and_outputs_are_those_of_the_action() -> None:
    inputs = [
        [f"`{name}`", f"`{item['default']}`" if item["default"] else "", item["description"]]
        for name, item in ACTION["inputs"].items()
    ]
    outputs = [[f"`{name}`", item["description"]] for name, item in ACTION["outputs"].items()]
    expected = table([["input", "default", "meaning"], *inputs]).replace("\n", "\n|---|---|---|\n", 1)
    assert f"{expected}\n\n" in GUIDE
    expected = table([["output", "meaning"], *outputs]).replace("\n", "\n|---|---|\n", 1)
    assert f"{expected}\n\n" in GUIDE


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_stop_at_an_error(path: Path) -> None:
    assert "\nset -euo pipefail\n" in path.read_text()

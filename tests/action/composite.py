"""Composite actions, carried out like GitHub's runner does: run steps with bash, in order; used actions are noted.

Only what the actions of this repository need: contexts, ``&&``, ``||``, ``!``, ``==``, ``!=`` and ``always()``.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"'[^']*'|&&|\|\||!=|==|!|[a-z_]+(?:\.[\w-]+)+|null|always\(\)|[()]|\s+")
OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "null": "None", "always()": "True"}


def load(path: Path) -> dict[str, Any]:
    """Read a workflow or an action; YAML 1.1 takes the key ``on`` for True."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression; a name that does not exist is an empty text."""

    def value(name: str) -> Any:
        found: Any = contexts
        for part in name.split("."):
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return found

    words = TOKEN.findall(expression)
    assert "".join(words) == expression, f"the runner of the tests cannot read {expression!r}"
    code = "".join(
        OPERATORS.get(word, word)
        if word.startswith("'") or word in OPERATORS or not re.match(r"[a-z]", word)
        else f"value({word!r})"
        for word in words
    )
    return eval(code.strip(), {"value": value})


def substitute(text: str, contexts: Mapping[str, Any]) -> str:
    """Replace each ``${{ expression }}``."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(evaluate(match[1].strip(), contexts) or ""), text)


@dataclass
class ActionRun:
    """What an action did."""

    passed: bool = True
    output: str = ""  # of all steps
    summary: str = ""  # of the job
    outputs: dict[str, str] = field(default_factory=dict)
    used: dict[str, dict[str, str]] = field(default_factory=dict)  # action -> its inputs


@dataclass
class Machine:
    """A machine for one job."""

    folder: Path
    workspace: Path
    path: str  # $PATH
    github: dict[str, Any]  # the context
    skipped: tuple[str, ...] = ()  # ids of steps that are not carried out
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, action: Path, **inputs: str) -> ActionRun:
        """Carry out the steps of an action with these inputs, and its defaults for others."""
        content = load(action / "action.yml")
        assert inputs.keys() <= content["inputs"].keys()
        (self.folder / "temp").mkdir(exist_ok=True)
        contexts: dict[str, Any] = {
            "github": {**self.github, "action_path": str(action)},
            "runner": {"temp": str(self.folder / "temp")},
            "steps": {},
        }
        defaults = {
            name: substitute(item.get("default", ""), contexts) for name, item in content["inputs"].items()
        }
        contexts["inputs"] = {**defaults, **inputs}
        run = ActionRun()
        for step in content["runs"]["steps"]:
            condition = step.get("if", "")
            wanted = not condition or bool(evaluate(condition, contexts))
            if wanted and (run.passed or "always()" in condition) and step.get("id") not in self.skipped:
                self._step(step, contexts, run)
        run.outputs = {
            name: substitute(item["value"], contexts) for name, item in content.get("outputs", {}).items()
        }
        return run

    def _step(self, step: dict[str, Any], contexts: dict[str, Any], run: ActionRun) -> None:
        if "uses" in step:
            run.used[step["uses"]] = {
                name: substitute(str(item), contexts) for name, item in step.get("with", {}).items()
            }
            return
        assert step["shell"] == "bash"
        files = {name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        script = self.folder / "step.sh"
        script.write_text(substitute(step["run"], contexts))
        result = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=self.workspace / substitute(step.get("working-directory", ""), contexts),
            env={
                "PATH": self.path,
                "HOME": str(self.folder),
                "RUNNER_TEMP": contexts["runner"]["temp"],
                "GITHUB_WORKSPACE": str(self.workspace),
                **self.variables,
                **{name: str(path) for name, path in files.items()},
                **{name: substitute(str(item), contexts) for name, item in step.get("env", {}).items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        run.passed = run.passed and result.returncode == 0
        run.output += result.stdout
        run.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        pairs = (line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        if "id" in step:
            contexts["steps"][step["id"]] = {"outputs": dict(pairs)}

"""``bench ci`` in contests: what it verifies, runs and compares, what it reports, and its exit code."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.contract.records.files import read_record, record_paths, write_record
from bench.errors import ExitCode
from tests.ci.making_repository import CONTEST, SYNTAX_ERROR, WITH_SMOKE, ContestRepository
from tests.making import TRACK, bench

WIDE = {"network": "self.wide = nn.Linear(width, 400)", "forward": "logits = logits + self.wide(features)[:, :4]"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContestRepository:
    made = ContestRepository(tmp_path / "contest")
    monkeypatch.chdir(made.folder)
    return made


class Outcome:
    """The exit code and the files of a command."""

    def __init__(self, folder: Path, *options: str) -> None:
        result = bench("ci", *options, "--report", folder / "r.md", "--junit", folder / "j.xml")
        self.code, self.output = result.returncode, result.stdout + result.stderr
        assert "Traceback" not in self.output, self.output
        self.report = (folder / "r.md").read_text()
        self.junit = ElementTree.parse(folder / "j.xml").getroot()

    @property
    def rows(self) -> dict[str, str]:
        """The name in the first column of the first table -> the text of the last column."""
        table = self.report.split("### Verification")[-1].split("\n\n")[1]
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
        return {row[0].strip("` "): row[-1].strip("| ") for row in cells}

    @property
    def headline(self) -> str:
        return self.report.splitlines()[1].replace("\\", "")


def test_new_submission_is_verified_and_run(repository: ContestRepository, tmp_path: Path) -> None:
    repository.submit("old")
    repository.start_branch()
    repository.submit("net")
    found = Outcome(tmp_path, "--base", repository.merge())
    assert found.code == 0 and found.headline == "## ✓ The small contest: 1 of 1 submission passed"
    assert found.rows == {"net": "✓"}
    assert re.search(r"\| `net` .*\| 276 .*\| 2,000 ", found.report)
    steps = found.report.split("### A few steps")[1]
    assert "`tiny`, 4 steps:" in steps and re.search(r"\| net +\| \d+\.\d+ \(n=1\)", steps)
    suites = {suite.get("name"): [case.get("name") for case in suite] for suite in found.junit}
    assert suites == {"verification": ["net"], "smoke runs": ["net seed 0"]}


def test_faults_of_some_cost_no_other(repository: ContestRepository, tmp_path: Path) -> None:
    repository.start_branch()
    repository.submit("good")
    repository.submit("wide", WIDE)
    repository.submit("broken", {"step": SYNTAX_ERROR})
    repository.submit(
        "raises", {"step": "if step == 3: raise ValueError('[x](http://example.org) @everyone ```')"}
    )
    repository.submit("a|`$(touch pwned)")
    (repository.submissions / "empty").mkdir()
    (repository.submissions / "empty" / "notes.txt").touch()
    (repository.submissions / "link").symlink_to("good")
    (repository.submissions / "_draft").mkdir()
    (repository.submissions / "_draft" / "model.py").touch()
    found = Outcome(tmp_path, "--base", repository.merge())
    assert found.code == ExitCode.CONTRACT and found.headline.startswith(
        "## ✗ The small contest: 1 of 7 submissions passed"
    )
    rows = found.rows
    assert (rows["good"], rows["raises"], rows["wide"]) == ("✓", "✓", "✗ cap")
    assert {name for name, state in rows.items() if state == "✗ unreadable"} >= {"broken", "empty", "link"}
    assert re.search(r"✗ 3,876 params, cap 2,000", found.report)
    assert "model.py, line " in found.report and "has no submission.yaml" in found.report
    assert str(repository.folder) not in found.report and "submissions/broken/model.py, line" in found.report
    assert re.search(r'^  File ".*model.py", line ', found.report, re.MULTILINE)  # the log, indented
    assert "is a link" in found.report and r"\_draft\: skipped" in found.report
    assert not list(repository.folder.rglob("pwned"))
    # The message of the exception is inside of a longer fence.
    block = re.search(r"^(`{4,})text\n✗ error: .*@everyone.*?^\1$", found.report, re.MULTILINE | re.DOTALL)
    assert block is not None
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", found.report, flags=re.MULTILINE | re.DOTALL)
    assert "@everyone" not in outside and "](" not in outside
    failed = {
        case.get("name") for kind in ("failure", "error") for case in found.junit.findall(f".//testcase[{kind}]")
    }
    assert failed == {"wide", "raises seed 0", "broken", "empty", "link", "a|`$(touch pwned)"}


def test_nothing_to_verify_passes(repository: ContestRepository, tmp_path: Path) -> None:
    assert Outcome(tmp_path).code == 0  # an empty contest, on a push
    repository.submit("broken", {"step": SYNTAX_ERROR})
    repository.start_branch()
    (repository.folder / "README.md").write_text("other\n")
    found = Outcome(tmp_path, "--base", repository.merge())
    assert found.code == 0 and found.headline == "## ✓ The small contest: no submission to verify"
    assert Outcome(tmp_path, "--base", repository.base, "--all").code == ExitCode.CONTRACT


def test_first_pull_request_that_brings_the_contest_itself(repository: ContestRepository, tmp_path: Path) -> None:
    for name in ("capbench.yaml", "tiny.yaml"):
        (repository.folder / name).unlink()
    repository.start_branch()
    (repository.folder / "capbench.yaml").write_text(CONTEST)
    (repository.folder / "tiny.yaml").write_text(WITH_SMOKE)
    found = Outcome(tmp_path, "--base", repository.merge())
    assert (
        found.code == 0 and "**Changes the rules of the contest** (`capbench.yaml`, `tiny.yaml`)" in found.report
    )


def test_change_of_the_cap_is_named_and_all_are_verified(repository: ContestRepository, tmp_path: Path) -> None:
    repository.submit(
        "old", {"network": "self.more = nn.Linear(8, 4)", "forward": "logits = logits + self.more(features)"}
    )
    repository.start_branch()
    (repository.folder / "tiny.yaml").write_text(WITH_SMOKE.replace("params: 2000", "params: 300"))
    repository.submit("new")
    found = Outcome(tmp_path, "--base", repository.merge(), "--no-smoke")
    assert found.code == ExitCode.CONTRACT and found.rows == {"new": "✓", "old": "✗ cap"}
    assert "**Changes the rules of the contest** (`tiny.yaml`)" in found.report
    assert "A few steps" not in found.report


@pytest.mark.parametrize(("limits", "code"), [("accuracy:-1pp", 0), ("params:0", 1), ("params:+50%", 0), ("", 0)])
def test_counts_are_compared_with_the_base(
    limits: str, code: int, repository: ContestRepository, tmp_path: Path
) -> None:
    folder = repository.submit("net")
    repository.start_branch()
    model = folder / "model.py"
    model.write_text(model.read_text().replace("width: int = 8", "width: int = 9"))
    found = Outcome(tmp_path, "--base", repository.merge(), "--no-smoke", "--fail-on", limits)
    assert found.code == code
    assert re.search(r"\| 310 \(\+34\) ", found.report)  # 34 parameters per channel: 27 + 1, 2, and 4
    assert ("### Compared with the base branch" in found.report) == ("params" in limits)
    assert ("2 figures worse than allowed" in found.headline) == (code == 1)


def test_changed_records_are_compared_with_those_of_the_base(
    repository: ContestRepository, tmp_path: Path
) -> None:
    repository.submit("net")
    run = ("run", "--profile", "quick", "--embedded")
    assert bench(*run).returncode == 0
    (repository.folder / ".gitignore").write_text("results/runs/**/seed*/\n*.lock\n")
    repository.start_branch()
    paths = list(record_paths(repository.folder / "results"))
    assert len(paths) == 2
    for path in paths:
        record = read_record(path)
        assert record.evaluation is not None and record.training is not None
        metrics = {**record.evaluation.metrics, "top1_accuracy": 0.0}
        update = {
            "evaluation": record.evaluation.model_copy(update={"metrics": metrics}),
            "training": record.training.model_copy(update={"weights_sha256": "0" * 64}),
        }
        write_record(path, record.model_copy(update=update))
    base = repository.merge()
    found = Outcome(tmp_path, "--base", base, "--no-smoke")
    assert "**Changes the results**: 2 records." in found.report
    assert "### Compared with the base branch" in found.report and "| `net (quick)` " in found.report
    worse = Outcome(tmp_path, "--base", base, "--no-smoke", "--fail-on", "params:0")
    assert worse.code == 0 and "2 pass, 0 FAIL" in worse.report
    assert Outcome(tmp_path, "--base", base, "--no-smoke", "--fail-on", "").code == 0
    paths[0].write_text("{}")
    damaged = Outcome(tmp_path, "--base", base, "--no-smoke")
    assert damaged.code == ExitCode.USAGE and "1 error of the contest's files" in damaged.headline


def test_records_of_the_first_runs_have_nothing_to_compare_with(
    repository: ContestRepository, tmp_path: Path
) -> None:
    repository.submit("net")
    repository.start_branch()
    assert bench("run", "--profile", "quick", "--embedded").returncode == 0
    found = Outcome(tmp_path, "--base", repository.merge(), "--no-smoke")
    assert found.code == 0 and "no record of a finished run to compare" in found.report.replace("\\", "")


@pytest.mark.parametrize("file", ["capbench.yaml", "tiny.yaml"])
def test_faulty_contest_is_reported(file: str, repository: ContestRepository, tmp_path: Path) -> None:
    repository.start_branch()
    (repository.folder / file).write_text("title: [\n")
    found = Outcome(tmp_path, "--base", repository.merge())
    assert found.code == ExitCode.USAGE and file in found.report and "1 error of" in found.headline
    assert found.junit.find(".//testcase[error]") is not None


def test_unknown_base_is_reported(repository: ContestRepository, tmp_path: Path) -> None:
    found = Outcome(tmp_path, "--base", "nowhere")
    assert found.code == ExitCode.USAGE and "--base 'nowhere'" in found.report and "fetch-depth: 0" in found.report


def test_track_without_the_profile_is_not_run(repository: ContestRepository, tmp_path: Path) -> None:
    (repository.folder / "tiny.yaml").write_text(TRACK)
    repository.submit("net")
    found = Outcome(tmp_path)
    assert found.code == 0 and found.rows == {"net": "✓"}
    assert "no runs of a few steps" in found.report

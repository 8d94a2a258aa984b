"""The findings of the regression gate as text: tables for readers, JSON for programs, JUnit for CI services."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from bench.errors import UsageError
from bench.report.regression.findings import FAIL, OPEN, PASS, SKIPPED, Finding
from bench.report.tables.text import grid

FORMATS = ("simple", "markdown", "json", "junit")
HEADERS = ["submission", "metric", "before", "now", "change", "outcome", "reason"]


def check_gate_format(name: str) -> None:
    """Raise an error if ``name`` is not a format of the gate.

    Raises:
        UsageError: With the allowed ones.
    """
    if name not in FORMATS:
        raise UsageError(f"--table {name!r}: give {', '.join(FORMATS)}")


def gate_text(findings: Sequence[Finding], baseline: str, table: str) -> str:
    """Return the findings, and their number per outcome.

    Args:
        findings: At least one.
        baseline: The value of ``--baseline``.
        table: One of ``FORMATS``.
    """
    if table == "json":
        content = {"baseline": baseline, "outcomes": _counts(findings), "findings": [asdict(f) for f in findings]}
        return json.dumps(content, indent=1, ensure_ascii=False)
    if table == "junit":
        suite = junit_suite(findings, baseline)
        ElementTree.indent(suite)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
    cells = [list(vars(finding).values()) for finding in findings]
    return f"{grid(HEADERS, cells, table)}\n\n{count_text(findings)}"


def count_text(findings: Sequence[Finding]) -> str:
    """Return a line with the number of findings per outcome."""
    return ", ".join(f"{count} {outcome}" for outcome, count in _counts(findings).items())


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    outcomes = [finding.outcome for finding in findings]
    return {outcome: outcomes.count(outcome) for outcome in (PASS, FAIL, OPEN, SKIPPED)}


def junit_suite(findings: Sequence[Finding], baseline: str) -> ElementTree.Element:
    """Return a suite with one case per finding; what is open is an error, what was not compared is skipped."""
    counts = _counts(findings)
    suite = ElementTree.Element(
        "testsuite",
        name=f"bench check --baseline {baseline}",
        tests=str(len(findings)),
        failures=str(counts[FAIL]),
        errors=str(counts[OPEN]),
        skipped=str(counts[SKIPPED]),
    )
    for finding in findings:
        case = ElementTree.SubElement(suite, "testcase", classname=finding.name, name=finding.metric)
        kind = {FAIL: "failure", OPEN: "error", SKIPPED: "skipped"}.get(finding.outcome)
        if kind is not None:
            message = f"{finding.before} before, {finding.now} now, change {finding.change}"
            ElementTree.SubElement(
                case, kind, message=f"{message}; {finding.reason}" if finding.reason else message
            )
    return suite

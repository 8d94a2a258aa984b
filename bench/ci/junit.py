"""The report of ``bench ci`` as a JUnit file, which CI services show."""

from xml.etree import ElementTree

from bench.ci.examination import Examination
from bench.contract.manifest import label_of
from bench.report.regression.formats import junit_suite
from bench.text import harmless

Case = tuple[str, str, str, str]  # class name, name, "failure", "error" or "", message


def junit_text(found: Examination) -> str:
    """Return one suite for each part: verification, runs of a few steps, and the comparison with the base."""
    root = ElementTree.Element("testsuites", name="bench ci")
    verified = [
        (source.track.name, label_of(source.name, variant), *_outcome([p.message for p in result.problems]))
        for source, variant, result in found.verified
    ]
    unreadable = [
        ("submissions", harmless(name), "error", harmless(str(error))) for name, error in found.unreadable
    ]
    contest = [("contest", "files", "error", harmless(str(error))) for error in found.errors]
    runs = [
        (
            record.protocol.track,
            f"{label_of(record.identity.submission, record.identity.variant)} seed {record.identity.seed}",
            *_outcome([] if record.status == "ok" else [record.reason or record.status]),
        )
        for record in found.runs
    ]
    for name, cases in (("verification", verified + unreadable), ("smoke runs", runs), ("contest", contest)):
        if cases:
            root.append(_suite(name, cases))
    if found.findings:
        root.append(junit_suite(found.findings, found.base or ""))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _outcome(reasons: list[str]) -> tuple[str, str]:
    return ("failure", harmless("; ".join(reasons))) if reasons else ("", "")


def _suite(name: str, cases: list[Case]) -> ElementTree.Element:
    kinds = [kind for _, _, kind, _ in cases]
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
    )
    for class_name, case_name, kind, message in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=class_name, name=case_name)
        if kind:
            ElementTree.SubElement(case, kind, message=message)
    return suite

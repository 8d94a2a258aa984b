"""A site of made-up records, built once for all tests of it."""

from pathlib import Path

import pytest

from bench.contract.records.record import Record
from bench.report.leaderboard import leaderboard_command
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record

HOSTILE = "<script>document.title = 'owned'</script>"
MANIFEST = """
track: cifar100-classification
summary: A network & its `blocks`
paper: {title: "On <b>nets</b>", authors: [A. Author], url: "https://example.org/paper?a=1&b=2"}
claims: {params: 84194}
ablations:
  deep: {what: more layers, set: {depth: 3}, reports: {top1_accuracy: 0.6}}
choices: [{what: rate, chosen: "0.1", source: ours, why: because}]
faults: [{says: "it is 1 < 2", found: it is not, evidence: section 1}]
notes: ["`net` was found to be a net"]
"""


def hostile_failure() -> Record:
    """Return a failed run whose reason and output contain HTML."""
    failed = make_record("unlucky", 5, None, reason=f"ValueError: {HOSTILE}")
    return failed.model_copy(update={"log_tail": ["first line", f"</pre>{HOSTILE}"]})


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contest")
    write_contest(folder / "results", [*contest(), hostile_failure()])
    (folder / "submissions" / "wide").mkdir(parents=True)
    (folder / "submissions" / "wide" / "submission.yaml").write_text(MANIFEST)
    leaderboard_command(folder / "results", folder / "submissions", check=False, site=True)
    return folder / "results" / "site"

"""What ``bench ci`` finds out about a contest's repository."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.ci.changes import Changes
from bench.contract.records.record import Cost, Record
from bench.errors import BenchError, ExitCode
from bench.harness.commands.verify import exit_code_of_verification
from bench.harness.commands.verify_text import Verified
from bench.report.regression.findings import FAIL, Finding


@dataclass
class Examination:
    """The findings so far; a part that was not carried out is empty."""

    title: str = ""  # of the contest
    base: str | None = None  # the revision to compare with
    sandboxed: bool = True  # whether the submissions ran in a sandbox
    changes: Changes | None = None  # None without a base, or before they are known
    verified: list[Verified] = field(default_factory=list)
    before: dict[str, Cost] = field(default_factory=dict)  # submission -> its cost at the base
    unreadable: list[tuple[str, BenchError]] = field(default_factory=list)  # name of a folder, and why
    runs: list[Record] = field(default_factory=list)  # of a few steps on drawn images
    findings: list[Finding] = field(default_factory=list)  # of the comparison with the base
    errors: list[BenchError] = field(default_factory=list)  # why a part could not be carried out
    notes: list[str] = field(default_factory=list)

    @property
    def failed_runs(self) -> Sequence[Record]:
        """The runs of a few steps that did not finish."""
        return [record for record in self.runs if record.status != "ok"]

    @property
    def regressions(self) -> Sequence[Finding]:
        """The findings that are shown to be beyond their limit."""
        return [finding for finding in self.findings if finding.outcome == FAIL]

    @property
    def passing(self) -> int:
        """The number of submissions that were verified and, if they were run, ran."""
        failed = {record.identity.submission for record in self.failed_runs}
        return sum(1 for source, _, result in self.verified if not result.problems and source.name not in failed)

    @property
    def examined(self) -> int:
        """The number of submissions, unreadable ones included."""
        return len(self.verified) + len(self.unreadable)

    @property
    def exit_code(self) -> ExitCode:
        """The most severe exit code. What could not be judged for want of seeds or records is no failure."""
        codes = [exit_code_of_verification(result) for *_, result in self.verified]
        codes += [error.exit_code for error in (*self.errors, *(error for _, error in self.unreadable))]
        codes += [ExitCode.RUN_FAILED] * bool(self.failed_runs) + [ExitCode.REGRESSION] * bool(self.regressions)
        return max(codes, default=ExitCode.OK)

"""A training report is checked for plausible steps and times."""

import pytest

from bench.contract.jobs.reports import TrainingReport
from bench.contract.records.record import Curves
from bench.errors import ContractError
from bench.harness.results.recording import check_training


def report(steps: int = 12, seconds: float = 5.0, resumes: int = 0) -> TrainingReport:
    return TrainingReport(
        steps=steps,
        batch_size=16,
        epochs=1.0,
        params_after=1,
        curves=Curves(steps=[], values={}),
        weights_sha256="",
        updates={},
        seconds=seconds,
        resumes=resumes,
        peak_memory_bytes=1,
        environment={},
    )


def test_plausible_training_reports_are_accepted() -> None:
    check_training(report(), 12, 6.0)
    check_training(report(seconds=50.0, resumes=1), 12, 6.0)  # resumed: most of the time was in an earlier process
    check_training(report(seconds=50.0), 12, None)  # trained by an earlier command: no time to compare with


@pytest.mark.parametrize(
    ("implausible", "message"),
    [(report(steps=11), "11 steps, expected 12"), (report(seconds=7.0), "7.0 s, but its process took only 6.0 s")],
)
def test_impossible_training_reports_are_refused(implausible: TrainingReport, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_training(implausible, 12, 6.0)

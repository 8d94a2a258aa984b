"""Verdicts: equality of counts, equivalence of means, "inconclusive" without measurements, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.contract.manifest import Claims
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.claims.verdict import Verdict, tally, verdicts
from bench.report.claims.verdict_command import verdict_command, verdict_text
from bench.report.records.aggregate import summarize
from tests.report.making_contest import generator
from tests.report.making_records import make_record

CLAIM = {"params": 84_194, "top1_accuracy": {"mean": 0.5, "std": 0.042, "over": "batches of one run"}}


def runs(accuracies: list[float | None], **fields: Any) -> list[Record]:
    fields.setdefault("claims", CLAIM)
    return [make_record("net", seed, accuracy, **fields) for seed, accuracy in enumerate(accuracies)]


def judge(records: list[Record]) -> dict[str, Verdict]:
    return {item.cells()["claim"]: item for item in verdicts(summarize(records))}


def test_parameter_count_is_reproduced_if_equal() -> None:
    assert judge(runs([0.5, 0.51]))["parameters"].verdict == "reproduced"
    result = judge(runs([0.5, 0.51], params=84_195))["parameters"]
    assert (result.verdict, result.difference, result.margin) == ("not reproduced", 1, 0)
    assert result.cells()["difference [90 %]"] == "+1" and result.cells()["ours"] == "84,195"


@pytest.mark.parametrize(
    ("accuracies", "verdict", "why"),
    [
        ([0.501, 0.505, 0.497], "reproduced", ""),
        ([0.601, 0.605, 0.597], "not reproduced", ""),
        ([0.520, 0.5201, 0.5202], "inconclusive", "3 seeds are too few to decide"),
        ([0.520, 0.525, 0.515], "consistent", ""),
        ([0.40, 0.50, 0.60], "consistent", ""),
        ([0.5], "inconclusive", "one seed has no standard deviation"),
        ([None], "inconclusive", "not measured"),
    ],
)
def test_mean_accuracy_gives_verdict_and_reason(accuracies: list[float | None], verdict: str, why: str) -> None:
    result = judge(runs(accuracies))["top-1"]
    assert (result.verdict, result.why) == (verdict, why)
    assert result.cells()["paper"] == "50.00 ± 4.20 %" and result.cells()["margin"] == "2.00"


def test_claim_may_set_its_margin_and_protocol() -> None:
    with_margin = {"top1_accuracy": {"mean": 0.5, "margin": 0.12}}
    assert judge(runs([0.601, 0.605, 0.597], claims=with_margin))["top-1"].verdict == "reproduced"
    # Our as-published accuracy is 5 points higher than our accuracy.
    published = {"top1_accuracy": {"mean": 0.55, "protocol": "as-published"}}
    result = judge(runs([0.501, 0.505, 0.497], claims=published))["top-1"]
    assert result.verdict == "reproduced" and result.cells()["ours"].startswith("55.10 ± 0.40 %")


def test_fid_is_compared_as_published() -> None:
    # The claim is 44.46, as published. Our as-published FID is 4 lower; the margin is 5 % of the claim.
    result = judge([generator("gan", seed, fid) for seed, fid in enumerate((48.4, 48.5, 48.3))])["FID"]
    assert (result.verdict, result.cells()["margin"], result.cells()["ours"]) == (
        "reproduced",
        "2.22",
        "44.40 ± 0.10 (n=3)",
    )
    assert judge([generator("gan", seed, fid) for seed, fid in enumerate((60.4, 60.5, 60.3))])["FID"].verdict == (
        "not reproduced"
    )
    assert judge([generator("gan", 0, None)])["FID"].why == "not measured"


def test_claimed_best_of_k_is_compared_with_our_best_of_k() -> None:
    known_number = {"top1_accuracy": {"mean": 0.53, "selected": "ten runs by this accuracy", "best_of": 10}}
    # The mean is 3 points lower, which is 4 standard deviations.
    ours: list[float | None] = [0.49, 0.50, 0.51, 0.50, 0.505, 0.495]
    result = judge(runs(ours, claims=known_number))["top-1"]
    assert result.verdict == "consistent"
    assert result.cells()["paper"] == "53.00 %, best of 10" and "best of 10: 51." in result.cells()["ours"]
    single = judge(runs(ours, claims={"top1_accuracy": {"mean": 0.53}}))["top-1"]
    assert single.verdict == "not reproduced"
    unknown_number = judge(runs(ours, claims={"top1_accuracy": {"mean": 0.53, "selected": "some runs"}}))["top-1"]
    assert (unknown_number.verdict, unknown_number.why) == (
        "inconclusive",
        "the claim is the best of an unknown number of runs",
    )
    assert unknown_number.cells()["paper"] == "53.00 %, its best run" and unknown_number.low is None


def test_claimed_lowest_fid_of_k_is_compared_with_our_lowest() -> None:
    claim = {"fid": {"mean": 44.0, "protocol": "as-published", "selected": "nineteen trials", "best_of": 19}}
    records = [generator("gan", seed, 50.0 + shift) for seed, shift in enumerate((-1.0, 1.0, 0.0, 0.5, -0.5))]
    records = [r.model_copy(update={"claims": Claims.model_validate(claim)}) for r in records]
    result = judge(records)["FID"]  # as published 46.0 ± 0.79, so the lowest of 19 is about 44.5
    assert result.verdict in ("reproduced", "consistent") and result.ours == pytest.approx(44.43, abs=0.1)


def test_claimed_mean_of_several_runs_is_judged_with_its_deviation() -> None:
    mean_of_5 = {"top1_accuracy": {"mean": 0.52, "std": 0.02, "runs": 5}}
    result = judge(runs([0.501, 0.505, 0.497], claims=mean_of_5))["top-1"]
    assert (result.verdict, result.cells()["paper"]) == ("consistent", "52.00 ± 2.00 % (n=5)")
    assert judge(runs([0.501, 0.505, 0.497], claims={"top1_accuracy": 0.53}))["top-1"].verdict == "not reproduced"


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"mean": 0.5, "best_of": 10}, "needs `selected`"),
        ({"mean": 0.5, "best_of": 1, "selected": "one"}, "greater than or equal to 2"),
        ({"mean": 0.5, "best_of": 3, "selected": "three", "runs": 3}, "not both"),
        ({"mean": 0.5, "runs": 0}, "greater than or equal to 1"),
    ],
)
def test_inconsistent_claim_is_refused(claim: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Claims.model_validate({"top1_accuracy": claim})


def test_claim_of_0_needs_a_margin() -> None:
    claim_of_0 = {"train_loss": {"mean": 0.0}}
    assert judge(runs([0.5, 0.51], claims=claim_of_0))["train loss"].why == "a claim of 0 needs an explicit margin"
    negative = {"train_loss": {"mean": -2.0}}  # such as a log density; ours is 2.0
    assert judge(runs([0.5, 0.51], claims=negative))["train loss"].verdict == "not reproduced"


def test_tally_counts_parameters_and_other_claims_separately() -> None:
    with_assumption = {"params": 84_194, "top1_accuracy": {"mean": 0.5, "rests_on": "a mode inferred from it"}}
    rows = summarize([*runs([0.501, 0.505, 0.497], claims=with_assumption), *other_runs([0.6, 0.605, 0.595])])
    assert tally(list(verdicts(rows)), not_run=3) == (
        "Parameter counts of networks that were run: 2 of 2 equal. Other claims (5): 1 reproduced, 0 consistent, "
        "1 not reproduced, 0 inconclusive, 3 not run. 1 of those reproduced or consistent depends on an "
        "assumption that the paper does not state."
    )
    assert "rests on" in verdict_text(rows) and "a mode inferred from it" in verdict_text(rows)


def other_runs(accuracies: list[float]) -> list[Record]:
    return [make_record("other", seed, value, claims=CLAIM) for seed, value in enumerate(accuracies)]


def test_claims_of_the_manifest_take_precedence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record keeps the claims of its time; a later correction of the manifest takes precedence."""
    folder = tmp_path / "submissions" / "net"
    folder.mkdir(parents=True)
    for record in runs([0.501, 0.505, 0.497]):
        write_record(record_path(tmp_path, record.identity, record.protocol), record)
    (folder / "submission.yaml").write_text(
        "track: cifar100-classification\nsummary: a net\nclaims: {top1_accuracy: 0.7}\n"
    )
    assert (
        verdict_command(tmp_path, tmp_path / "submissions", table_format="json", strict=True)
        == ExitCode.REGRESSION
    )
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["claimed"], result["verdict"]) == (0.7, "not reproduced")
    (folder / "submission.yaml").write_text("track: [")
    assert verdict_command(tmp_path, tmp_path / "submissions", table_format="json", strict=True) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert "submission.yaml" in captured.err and json.loads(captured.out)[1]["claimed"] == 0.5


def test_short_trainings_are_not_judged() -> None:
    with pytest.raises(NothingToDo, match="no official record has a claim"):
        verdict_text(summarize(runs([0.5, 0.5], profile="quick")))


def test_every_format_has_the_verdict() -> None:
    rows = summarize(runs([0.501, 0.505, 0.497]))
    assert "| net" in verdict_text(rows, table_format="github") and "two one-sided" in verdict_text(rows)
    assert json.loads(verdict_text(rows, table_format="json"))[1]["verdict"] == "reproduced"
    assert "reason" not in verdict_text(rows, table_format="github").splitlines()[2]
    with pytest.raises(UsageError, match="--table 'csv'"):
        verdict_text(rows, table_format="csv")


@pytest.mark.parametrize(("params", "code"), [(84_194, ExitCode.OK), (84_195, ExitCode.REGRESSION)])
def test_strict_sets_the_exit_code(
    tmp_path: Path, params: int, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    for record in runs([0.501, 0.505, 0.497], params=params):
        write_record(record_path(tmp_path, record.identity, record.protocol), record)
    assert verdict_command(tmp_path, tmp_path, table_format="simple", strict=True) == code
    assert verdict_command(tmp_path, tmp_path, table_format="simple", strict=False) == ExitCode.OK
    assert "reproduced" in capsys.readouterr().out


def test_claims_are_tested_at_fp32_only() -> None:
    exact = runs([0.501, 0.505, 0.497])
    rounded = [
        record.model_copy(update={"identity": record.identity.model_copy(update={"precision": "bf16"})})
        for record in exact
    ]
    results = {(item.submission, item.claim): item for item in verdicts(summarize(exact + rounded))}
    assert results["net", "top1_accuracy"].verdict == "reproduced"
    at_bf16 = results["net bf16", "top1_accuracy"]
    assert (at_bf16.verdict, at_bf16.why) == ("inconclusive", "trained at bf16; claims are tested at fp32")

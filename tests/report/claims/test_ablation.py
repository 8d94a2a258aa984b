"""The ablation table: differences paired by seed, dashes for missing values, marks for ineligible rows."""

import json
from typing import Any

import pytest
import scipy.stats

from bench.contract.manifest import AsPublished, Claims
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.claims.ablation import ablation_text
from bench.report.records.aggregate import summarize
from tests.report.making_records import make_record

BASE = [0.480, 0.470, 0.490]
WIDE = [0.500, 0.492, 0.511]
NARROW = [0.481, 0.465, 0.493]
TEXTS = {"wide": "twice as wide", "narrow": "half as wide"}


def runs(variant: str, accuracies: list[float], paper: float | None = None, **fields: Any) -> list[Record]:
    claims: dict[str, Any] = (
        {} if paper is None else {"top1_accuracy": {"mean": paper, "protocol": "as-published"}}
    )
    records = [
        make_record(variant=variant, seed=seed, accuracy=value, claims=claims, **fields)
        for seed, value in enumerate(accuracies)
    ]
    published = AsPublished(mode="train", batch_size=128, why="nobody called eval()")
    return [record.model_copy(update={"as_published": published}) for record in records]


@pytest.fixture
def records() -> list[Record]:
    wide = runs("wide", WIDE, 0.53, params=104_804)
    return [*runs("base", BASE, 0.50), *wide, *runs("narrow", NARROW)]


def table_rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]


def test_table_has_differences_with_intervals(records: list[Record]) -> None:
    text = ablation_text(summarize(records), TEXTS, table_format="github")
    titles, _, base, wide, narrow = table_rows(text)
    assert titles == [
        *("change", "params", "steps", "top-1 %", "difference [95 %]", "as published", "difference [95 %]"),
        *("paper", "difference", "notes"),
    ]
    assert base[:5] == ["none (base)", "84,194", "10,000", "48.00 ± 1.00 (n=3)", "–"]
    interval = scipy.stats.ttest_rel(WIDE, BASE).confidence_interval(0.95)
    assert wide[0] == "twice as wide (`wide`)" and wide[-1] == "over the cap"
    assert wide[4] == f"+2.10 [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}] (n=3) *"
    assert wide[5] == "55.10 ± 0.95 (n=3)"  # make_record adds 5 points to as-published accuracies
    assert wide[7:9] == ["53", "+3.00"]
    assert narrow[4].endswith("] (n=3)") and narrow[7:9] == ["–", "–"]
    assert text.startswith("### net, official: cifar100, 10,000 steps, scored on test")
    assert "As published: measured in train mode at batch size 128." in text
    inside = ablation_text(summarize([*runs("base", BASE), *runs("narrow", NARROW)]), TEXTS, table_format="github")
    assert table_rows(inside)[0][-1] == "difference"  # no column of notes


def test_significance_is_corrected_for_all_differences() -> None:
    """A change with p = 0.03 is significant alone, but not among ten; only the asterisk differs."""
    low, high = 0.0, 0.1
    for _ in range(60):
        shift = (low + high) / 2
        changed = [value + shift + noise for value, noise in zip(BASE, (0.001, -0.001, 0.0), strict=True)]
        low, high = (low, shift) if scipy.stats.ttest_rel(changed, BASE).pvalue < 0.03 else (shift, high)

    def difference(other_changes: int) -> str:
        more = [record for index in range(other_changes) for record in runs(f"other{index}", [0.48, 0.471, 0.489])]
        rows = summarize([*runs("base", BASE), *runs("changed", changed), *more])
        return next(
            line[4]
            for line in table_rows(ablation_text(rows, {}, table_format="github"))
            if line[0] == "`changed`"
        )

    assert difference(0).endswith("] (n=3) *") and difference(9) == difference(0).removesuffix(" *")


def test_only_common_seeds_are_paired(records: list[Record]) -> None:
    failed = make_record(variant="narrow", seed=2, accuracy=None, reason="killed")
    remaining = [r for r in records if (r.identity.variant, r.identity.seed) != ("narrow", 2)] + [failed]
    narrow = table_rows(ablation_text(summarize(remaining), TEXTS, table_format="github"))[4]
    assert narrow[3] == "47.30 ± 1.13 (n=2)" and narrow[4].startswith("-0.20 [")
    assert narrow[-1] == "1 failed"
    one_seed = [r for r in records if r.identity.seed == 1]
    assert table_rows(ablation_text(summarize(one_seed), TEXTS, table_format="github"))[4][4] == "-0.50 (n=1)"


def test_short_profile_has_a_note_on_the_values_of_the_paper(records: list[Record]) -> None:
    short = [*runs("base", BASE, 0.5, profile="quick"), *runs("wide", WIDE, 0.53, profile="quick")]
    text = ablation_text(summarize(short), TEXTS)
    assert "The paper's values are of full trainings; profile quick trains for fewer steps." in text


def test_json_has_numbers(records: list[Record]) -> None:
    content = json.loads(ablation_text(summarize(records), TEXTS, table_format="json"))
    wide = next(row for row in content["rows"] if row["variant"] == "wide")
    assert wide["measured_significant"] is True and content["rows"][0]["measured_significant"] is None
    assert wide["measured_difference"]["mean"] == pytest.approx(0.021) and wide["measured"]["n"] == 3
    assert wide["paper_difference"] == pytest.approx(0.03) and wide["outside_of_contest"] == "over the cap"


@pytest.mark.parametrize("table", ["simple", "markdown", "latex", "html"])
def test_other_formats_have_every_row(records: list[Record], table: str) -> None:
    text = ablation_text(summarize(records), TEXTS, table_format=table)
    assert all(change in text for change in ("none (base)", "twice as wide", "half as wide"))


def test_missing_base_or_invalid_format_is_refused(records: list[Record]) -> None:
    without = [record for record in records if record.identity.variant != "base"]
    with pytest.raises(UsageError, match="the base has no record"):
        ablation_text(summarize(without), TEXTS)
    with pytest.raises(UsageError, match="--table 'csv'"):
        ablation_text(summarize(records), TEXTS, table_format="csv")


def test_generator_without_metrics_has_dashes() -> None:
    generation = [
        record.model_copy(
            update={
                "task": "generation",
                "protocol": record.protocol.model_copy(update={"task": "generation", "samples": 10_000}),
                "claims": Claims(fid=62.1),  # type: ignore[arg-type]
            }
        )
        for record in runs("base", BASE)
    ]
    cells = table_rows(ablation_text(summarize(generation), {}, table_format="github"))[2]
    assert cells[3:7] == ["–", "–", "62.1", "–"]

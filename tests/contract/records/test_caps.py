"""Caps on operations, bytes and images: exactly met, exceeded by one, and not counted."""

from typing import Any

import pytest

from bench.contract.records.caps import over_caps
from bench.contract.records.eligibility import reasons_against_ranking
from bench.contract.records.record import Record
from bench.contract.tracks import Caps
from bench.report.leaderboard import leaderboard_data
from bench.report.records.aggregate import summarize
from tests.report.making_records import make_record

# Of ``make_record``: 2,850,000 MACs, 4.47 GFLOPs per step, 10,000 steps of 128 images; and 340,764 bytes.
BYTES = 340_764
USED = {
    "macs_per_image": (2_850_000, "over the cap on MACs", "2,850,000 MACs per image, cap 2,849,999"),
    "training_flops": (
        44_700_000_000_000,
        "over the cap on training FLOPs",
        "44,700,000,000,000 training FLOPs (4,470,000,000 per step × 10,000 steps), cap 44,699,999,999,999",
    ),
    "weight_bytes": (BYTES, "over the cap on weight bytes", "340,764 bytes of weights, cap 340,763"),
    "images_seen": (
        1_280_000,
        "over the cap on images seen",
        "1,280,000 images seen (batch size 128 × 10,000 steps), cap 1,279,999",
    ),
}


def run_under(caps: Caps, seed: int = 0, weight_bytes: int | None = BYTES) -> Record:
    """Return a finished run under ``caps``, as recording writes it."""
    record = make_record("net", seed, 0.5)
    assert record.cost and record.data and record.training and record.evaluation
    protocol = record.protocol.model_copy(update={"caps": caps})
    cost = record.cost.model_copy(update={"weight_bytes": weight_bytes})
    reasons = reasons_against_ranking(protocol, record.data, cost, record.training, record.evaluation)
    return record.model_copy(
        update={
            "protocol": protocol,
            "identity": record.identity.model_copy(update={"protocol_hash": protocol.hash}),
            "cost": cost,
            "unranked_because": reasons,
        }
    )


def outcome(records: list[Record]) -> tuple[str, Any]:
    (row,) = leaderboard_data(summarize(records))["tables"][0]["rows"]
    return row["status"], row["columns"]["place"]


@pytest.mark.parametrize("cap", USED)
def test_cap_is_met_exactly_or_exceeded_by_one(cap: str) -> None:
    count, label, line = USED[cap]
    within = [run_under(Caps(**{cap: count}), seed) for seed in range(5)]
    assert within[0].unranked_because == [] and outcome(within) == ("ok", 1)
    beyond = [run_under(Caps(**{cap: count - 1}), seed) for seed in range(5)]
    assert beyond[0].unranked_because == [line] and not beyond[0].ranked
    assert outcome(beyond) == (f"ok, {label}", None)


def test_cap_is_applied_to_records_again() -> None:
    """A record that calls itself ranked is not, if its counts exceed a cap."""
    forged = [
        run_under(Caps(images_seen=1_279_999), seed).model_copy(update={"unranked_because": []})
        for seed in range(5)
    ]
    assert outcome(forged) == ("ok, over the cap on images seen", None)


def test_record_without_the_count_is_not_eligible_under_its_cap() -> None:
    old = [run_under(Caps(weight_bytes=10**9), seed, weight_bytes=None) for seed in range(5)]
    assert old[0].unranked_because == [
        "weight bytes not counted in this older record, cap 1,000,000,000; run it again"
    ]
    assert outcome(old) == ("ok, weight bytes not counted", None)
    assert outcome([run_under(Caps(params=10**9), seed, weight_bytes=None) for seed in range(5)]) == ("ok", 1)


def test_all_violations_are_listed_and_uncounted_operators_are_marked() -> None:
    record = run_under(Caps(**{cap: count - 1 for cap, (count, *_) in USED.items()}))
    assert record.unranked_because == [line for *_, line in USED.values()]
    assert record.cost is not None
    sampler = record.cost.model_copy(update={"uncounted_operators": {"fft": 1}, "evaluations_per_sample": 1_000})
    assert over_caps(record.protocol, sampler, 10_000, 1) == [
        "≥ 2,850,000 MACs per image in 1,000 network evaluations, cap 2,849,999",
        USED["training_flops"][2],
        USED["weight_bytes"][2],
    ]

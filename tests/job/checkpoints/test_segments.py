"""Parts of a training: what is one, and what is told of it."""

from bench.job.checkpoints.segments import earlier_segments, with_segment


def test_like_parts_are_one() -> None:
    parts = with_segment([], 0, {"threads": 1})
    assert with_segment(parts, 40, {"threads": 1}) == parts
    assert earlier_segments(parts) == []


def test_unlike_parts_are_told_by_what_was_otherwise() -> None:
    parts = with_segment([], 0, {"threads": 1, "python": "3.11", "cuda": "12"})
    parts = with_segment(parts, 40, {"threads": 2, "python": "3.11"})
    parts = with_segment(parts, 90, {"threads": 1, "python": "3.11"})
    assert earlier_segments(parts) == [
        {"from_step": 0, "to_step": 40, "cuda": "12"},
        {"from_step": 40, "to_step": 90, "threads": 2},
    ]


def test_of_an_older_checkpoint_it_is_told_that_nothing_is_known() -> None:
    parts = with_segment([], 40, {"threads": 2})
    assert earlier_segments(parts) == [{"from_step": 0, "to_step": 40, "conditions": "not recorded"}]

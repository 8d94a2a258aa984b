"""Segments of a resumed training: when a new one begins, and what is reported of earlier ones."""

from bench.job.checkpoints.segments import earlier_segments, with_segment


def test_resume_under_equal_conditions_continues_the_segment() -> None:
    segments = with_segment([], 0, {"threads": 1})
    assert with_segment(segments, 40, {"threads": 1}) == segments
    assert earlier_segments(segments) == []


def test_earlier_segments_report_the_conditions_that_differ() -> None:
    segments = with_segment([], 0, {"threads": 1, "python": "3.11", "cuda": "12"})
    segments = with_segment(segments, 40, {"threads": 2, "python": "3.11"})
    segments = with_segment(segments, 90, {"threads": 1, "python": "3.11"})
    assert earlier_segments(segments) == [
        {"from_step": 0, "to_step": 40, "cuda": "12"},
        {"from_step": 40, "to_step": 90, "threads": 2},
    ]


def test_segment_of_an_older_checkpoint_has_unrecorded_conditions() -> None:
    segments = with_segment([], 40, {"threads": 2})
    assert earlier_segments(segments) == [{"from_step": 0, "to_step": 40, "conditions": "not recorded"}]

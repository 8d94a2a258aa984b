"""Blocks and calls are as promised. Nothing here asserts how fast anything is."""

import pytest

from bench.measure.speed.throughput import measure_throughput


def test_calls_are_warmed_up_and_spread_over_ten_blocks() -> None:
    calls = []
    found = measure_throughput(lambda: calls.append(1), items_per_call=4, warmup_calls=3, max_seconds=0.0)
    assert found.blocks == 10 and found.calls_per_block == 1 and found.items_per_call == 4
    # Warm-up, one timed call, ten blocks; torch's timer runs up to two calls of its own before each.
    assert 3 + 1 + 10 <= len(calls) <= 3 + 3 * 11
    assert found.median_per_s > 0 and found.iqr_per_s >= 0
    assert 0 <= found.background_load <= 1


def test_a_slow_function_is_still_timed_ten_times() -> None:
    with pytest.raises(ValueError, match="`blocks` is 9"):
        measure_throughput(lambda: None, items_per_call=1, blocks=9)

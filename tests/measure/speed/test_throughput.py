"""The numbers of blocks and calls of a speed measurement. No assertion depends on a speed."""

import pytest

from bench.measure.speed.throughput import measure_throughput


def test_calls_are_warmed_up_and_spread_over_ten_blocks() -> None:
    calls = []
    rate = measure_throughput(lambda: calls.append(1), items_per_call=4, warmup_calls=3, max_seconds=0.0)
    assert rate.blocks == 10 and rate.calls_per_block == 1 and rate.items_per_call == 4
    # Warm-up, one timed call, ten blocks; torch's timer runs up to two calls of its own before each.
    assert 3 + 1 + 10 <= len(calls) <= 3 + 3 * 11
    assert rate.median_per_s > 0 and rate.iqr_per_s >= 0
    assert 0 <= rate.background_load <= 1


def test_fewer_than_ten_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="`blocks` is 9"):
        measure_throughput(lambda: None, items_per_call=1, blocks=9)

"""Derived seeds depend on every argument and are the same on every machine."""

from bench.seeding import derive_seed


def test_derived_seed_has_its_frozen_value() -> None:
    # Frozen: if it changes, older results cannot be reproduced. Computed with sha256sum:
    # printf 'capbench-1\0000\000order\0003' | sha256sum | cut -c1-16, halved.
    assert derive_seed(0, "order", 3) == 6741738091114292474


def test_purpose_and_numbers_are_not_concatenated() -> None:
    seeds = [
        derive_seed(0, "step", 12),
        derive_seed(0, "step1", 2),
        derive_seed(0, "step12"),
        derive_seed(1, "step", 12),
    ]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)

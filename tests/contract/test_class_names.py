"""Class names are those of the official files."""

from pathlib import Path

import pytest

from bench.data import cifar100
from bench.data.store import class_names


@pytest.mark.real_data
def test_cifar100_has_the_official_names_in_label_order(real_data: Path) -> None:
    assert class_names("cifar100") == tuple(cifar100.class_names(real_data))


def test_data_set_without_class_names_has_none() -> None:
    assert class_names("addnist") is None

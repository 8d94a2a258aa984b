"""KID against its definition in float64 and torch-fidelity; precision and recall on small known sets."""

import numpy as np
import pytest
import torch

from bench.measure.metrics.kernel_distance import kernel_distance, subset_size
from bench.measure.metrics.precision_recall import precision_recall


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (n, d)).astype(np.float32)


def unbiased_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 4 of Bińkowski et al., written out pair by pair."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a.astype(np.float64) @ b.astype(np.float64)) / len(a) + 1) ** 3

    m, n = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    xy = sum(kernel(a, b) for a in x for b in y) / (m * n)
    return xx + yy - 2 * xy


def test_kid_equals_its_definition() -> None:
    x, y = features(30, 6, 0), features(30, 6, 1, 0.5)
    kid = kernel_distance(x, y, size=30, subsets=3)
    assert kid.mean == pytest.approx(unbiased_mmd(x, y), abs=1e-6)
    assert kid.std == pytest.approx(0, abs=1e-6)  # every subset is the full set in another order


def test_kid_equals_torch_fidelity() -> None:
    torch_fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = features(500, 64, 0), features(700, 64, 1, 0.1)
    expected = torch_fidelity.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=20, kid_subset_size=200, verbose=False
    )
    kid = kernel_distance(x, y, size=200, subsets=20)
    assert kid.mean == pytest.approx(expected["kernel_inception_distance_mean"], abs=1e-7)
    assert kid.std == pytest.approx(expected["kernel_inception_distance_std"], abs=1e-7)


def test_kid_of_equal_distributions_is_unbiased() -> None:
    distances = [
        kernel_distance(features(100, 8, s), features(100, 8, s + 99), size=100, subsets=1).mean for s in range(40)
    ]
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(40)
    assert min(distances) < 0  # an unbiased estimate of 0 is negative half of the time


@pytest.mark.parametrize(("samples", "references", "size"), [(10_000, 10_000, 1000), (1000, 5000, 500), (3, 9, 2)])
def test_subset_size_leaves_room_for_different_subsets(samples: int, references: int, size: int) -> None:
    assert subset_size(samples, references) == size


def test_subset_larger_than_the_set_is_refused() -> None:
    with pytest.raises(ValueError, match="between 2 and 10"):
        kernel_distance(features(10, 4, 0), features(20, 4, 1), size=11)


def line(*positions: float) -> torch.Tensor:
    return torch.tensor(positions, dtype=torch.float32)[:, None]


def test_precision_and_recall_of_points_on_a_line() -> None:
    real = line(0, 1, 2, 3, 10, 11, 12, 13)
    # The radius is the distance to the third neighbour: 3 for 0 and 3, 2 for 1 and 2; likewise for 10 to 13.
    samples = line(-3, 1.5, 6.5, 16, 30)
    result = precision_recall(samples, real)
    assert result.precision == pytest.approx(3 / 5)  # 6.5 and 30 are in no ball
    same_set = precision_recall(real, real)
    assert (same_set.precision, same_set.recall) == (1, 1)


def test_collapsed_samples_have_full_precision_and_no_recall() -> None:
    real = torch.from_numpy(features(300, 4, 0))
    collapsed = real[:1].repeat(50, 1) + 1e-3 * torch.from_numpy(features(50, 4, 1))
    result = precision_recall(collapsed, real)
    assert result.precision == 1
    assert result.recall < 0.02
    scattered = precision_recall(10 * real, real)
    assert scattered.recall > 0.9
    assert scattered.precision < 0.2


def test_precision_and_recall_equal_torch_fidelity() -> None:
    torch_fidelity = pytest.importorskip("torch_fidelity.metric_prc")
    samples, real = torch.from_numpy(features(400, 32, 0, 0.1)), torch.from_numpy(features(500, 32, 1))
    expected = torch_fidelity.prc_features_to_metric(
        samples, real, prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=False, verbose=False
    )
    result = precision_recall(samples, real)
    assert (result.precision, result.recall) == pytest.approx(
        (expected["precision"], expected["recall"]), abs=1e-6
    )


def test_too_few_samples_for_three_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 8 members"):
        precision_recall(line(1, 2, 3), line(0, 1, 2, 3, 4, 5, 6, 7))

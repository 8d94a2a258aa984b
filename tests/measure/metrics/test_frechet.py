"""The Fréchet distance on Gaussians whose distance is known, and against scipy's square root of a matrix."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measure.metrics.frechet import (
    extrapolated_distance,
    frechet_distance,
    gaussian_of,
    half_sample_deviation,
    nuclear_norm,
)


def features(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def with_square_root(one: np.ndarray, other: np.ndarray) -> float:
    """The definition, with scipy's matrix square root in float64."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    difference = one.mean(0) - other.mean(0)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(difference @ difference + np.trace(first + second - 2 * root))


def exactly(mean: np.ndarray, covariance: np.ndarray, n: int = 400) -> np.ndarray:
    """Features whose sample mean and covariance are these to the last digits."""
    drawn = features(n, len(mean), 0)
    drawn -= drawn.mean(0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False)).T)
    return white @ np.linalg.cholesky(covariance).T + mean


def test_gaussians_of_known_distance() -> None:
    # Commuting covariances: the distance is Σ (μ₁ - μ₂)² + Σ (σ₁ - σ₂)².
    one = exactly(np.array([1.0, -2.0, 0.5]), np.diag([4.0, 9.0, 0.25]))
    other = exactly(np.array([0.0, 1.0, 0.5]), np.diag([1.0, 16.0, 1.0]))
    assert frechet_distance(gaussian_of(one), gaussian_of(other)) == pytest.approx(10 + 1 + 1 + 0.25, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 500, 20), (40, 500, 64), (30, 20, 64)])
def test_against_the_square_root_of_a_matrix(n: int, m: int, d: int) -> None:
    one, other = features(n, d, 1, 1.5, 0.3), features(m, d, 2)
    found = frechet_distance(gaussian_of(one), gaussian_of(other))
    # sqrtm of a singular product is itself good to some 1e-6 only.
    assert found == pytest.approx(with_square_root(one, other), rel=1e-9 if min(n, m) > d else 1e-4)


@pytest.mark.parametrize(("n", "m", "d"), [(2000, 3000, 256), (60, 500, 64), (30, 20, 64)])
def test_by_eigenvalues_as_a_gpu_computes_it(n: int, m: int, d: int) -> None:
    """Of activations like Inception's: not negative, their scales far apart, some hardly ever on."""
    scales = 10.0 ** np.linspace(-4, 0.5, d)
    one, other = (np.maximum(features(count, d, seed), 0) * scales for count, seed in ((n, 1), (m, 2)))
    cross = gaussian_of(one).root @ gaussian_of(other).root.T
    found, wide = (nuclear_norm(matrix, by_eigenvalues=True) for matrix in (cross, cross.T))
    expected = scipy.linalg.svdvals(cross.numpy()).sum()
    assert found == pytest.approx(expected, rel=1e-7)
    assert wide == pytest.approx(found, rel=1e-7)
    assert nuclear_norm(cross) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 1000))
def test_what_a_distance_is(n: int, d: int, seed: int) -> None:
    one, other = features(n, d, seed), features(n + 7, d, seed + 1, 2.0)
    a, b = gaussian_of(one), gaussian_of(other)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-9)
    assert frechet_distance(a, b) >= -1e-9
    shuffled = np.random.default_rng(seed).permutation(one)
    assert frechet_distance(gaussian_of(shuffled), b) == pytest.approx(frechet_distance(a, b), abs=1e-9)


def test_a_duplicated_set_has_the_same_distance_but_for_n_minus_1() -> None:
    one, other = features(200, 10, 0), features(300, 10, 1, 1.2)
    single, twice = (
        frechet_distance(gaussian_of(x), gaussian_of(other)) for x in (one, np.concatenate([one, one]))
    )
    # The covariance shrinks by 2 (n - 1) / (2 n - 1), here a quarter of a percent.
    assert twice == pytest.approx(single, rel=0.02)
    assert twice != single


@pytest.mark.parametrize("wrong", [np.zeros((1, 4)), np.zeros(4), np.full((5, 2), np.nan)])
def test_too_few_or_not_finite(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        gaussian_of(wrong)


def test_extrapolation_takes_the_bias_away() -> None:
    """Samples of the reference's own distribution: the distance is 0, every finite sample's is more."""
    d, n = 16, 1500
    reference = gaussian_of(exactly(np.zeros(d), np.eye(d), 5000))
    plain, infinite = [], []
    for seed in range(10):
        drawn = features(n, d, seed)
        plain.append(frechet_distance(gaussian_of(drawn), reference))
        infinite.append(extrapolated_distance(drawn, reference, seed))
    # tr(Σ)/n for the mean and about d²/(4n) for the covariance.
    assert np.mean(plain) == pytest.approx(d / n + d * d / (4 * n), rel=0.15)
    # What is left has no sign of its own: the reference is exact.
    assert abs(np.mean(infinite)) < 0.25 * np.mean(plain)


def test_half_samples_say_how_far_another_draw_would_be() -> None:
    """Against what can only be had in a test: the deviation over really drawing again, forty times."""
    d, n = 8, 600
    reference = gaussian_of(exactly(np.zeros(d), np.eye(d), 5000))
    drawn = [features(n, d, seed, 1.3, 0.2) for seed in range(40)]
    true = np.std([frechet_distance(gaussian_of(x), reference) for x in drawn], ddof=1)
    found = np.mean([half_sample_deviation(x, reference, seed) for seed, x in enumerate(drawn[:12])])
    assert found == pytest.approx(true, rel=0.3)

"""The Fréchet distance of Gaussians with a known distance, and against scipy's matrix square root."""

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


def distance_by_definition(one: np.ndarray, other: np.ndarray) -> float:
    """Compute the distance by its definition, with scipy's matrix square root in float64."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    difference = one.mean(0) - other.mean(0)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(difference @ difference + np.trace(first + second - 2 * root))


def with_moments(mean: np.ndarray, covariance: np.ndarray, n: int = 400) -> np.ndarray:
    """Return features with this sample mean and covariance, up to rounding."""
    drawn = features(n, len(mean), 0)
    drawn -= drawn.mean(0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False)).T)
    return white @ np.linalg.cholesky(covariance).T + mean


def test_distance_of_commuting_gaussians_equals_the_closed_form() -> None:
    # Commuting covariances: the distance is Σ (μ₁ - μ₂)² + Σ (σ₁ - σ₂)².
    one = with_moments(np.array([1.0, -2.0, 0.5]), np.diag([4.0, 9.0, 0.25]))
    other = with_moments(np.array([0.0, 1.0, 0.5]), np.diag([1.0, 16.0, 1.0]))
    assert frechet_distance(gaussian_of(one), gaussian_of(other)) == pytest.approx(10 + 1 + 1 + 0.25, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 500, 20), (40, 500, 64), (30, 20, 64)])
def test_distance_equals_the_definition_by_matrix_square_root(n: int, m: int, d: int) -> None:
    one, other = features(n, d, 1, 1.5, 0.3), features(m, d, 2)
    distance = frechet_distance(gaussian_of(one), gaussian_of(other))
    # sqrtm of a singular product is accurate to about 1e-6 only.
    assert distance == pytest.approx(distance_by_definition(one, other), rel=1e-9 if min(n, m) > d else 1e-4)


@pytest.mark.parametrize(("n", "m", "d"), [(2000, 3000, 256), (60, 500, 64), (30, 20, 64)])
def test_nuclear_norm_by_eigenvalues_equals_the_svd(n: int, m: int, d: int) -> None:
    """GPUs use this method. The features are like Inception's: non-negative, with scales from 1e-4 to 3."""
    scales = 10.0 ** np.linspace(-4, 0.5, d)
    one, other = (np.maximum(features(count, d, seed), 0) * scales for count, seed in ((n, 1), (m, 2)))
    cross = gaussian_of(one).root @ gaussian_of(other).root.T
    norm, transposed = (nuclear_norm(matrix, by_eigenvalues=True) for matrix in (cross, cross.T))
    expected = scipy.linalg.svdvals(cross.numpy()).sum()
    assert norm == pytest.approx(expected, rel=1e-7)
    assert transposed == pytest.approx(norm, rel=1e-7)
    assert nuclear_norm(cross) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 1000))
def test_distance_is_symmetric_non_negative_and_order_independent(n: int, d: int, seed: int) -> None:
    one, other = features(n, d, seed), features(n + 7, d, seed + 1, 2.0)
    a, b = gaussian_of(one), gaussian_of(other)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-9)
    assert frechet_distance(a, b) >= -1e-9
    shuffled = np.random.default_rng(seed).permutation(one)
    assert frechet_distance(gaussian_of(shuffled), b) == pytest.approx(frechet_distance(a, b), abs=1e-9)


def test_duplicated_samples_differ_only_by_the_n_minus_1_correction() -> None:
    one, other = features(200, 10, 0), features(300, 10, 1, 1.2)
    single, twice = (
        frechet_distance(gaussian_of(x), gaussian_of(other)) for x in (one, np.concatenate([one, one]))
    )
    # The covariance shrinks by 2 (n - 1) / (2 n - 1), here a quarter of a percent.
    assert twice == pytest.approx(single, rel=0.02)
    assert twice != single


@pytest.mark.parametrize("invalid", [np.zeros((1, 4)), np.zeros(4), np.full((5, 2), np.nan)])
def test_too_few_or_non_finite_features_are_refused(invalid: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        gaussian_of(invalid)


def test_extrapolation_removes_the_bias() -> None:
    """For samples from the reference distribution the distance is 0; that of any finite sample is larger."""
    d, n = 16, 1500
    reference = gaussian_of(with_moments(np.zeros(d), np.eye(d), 5000))
    finite, extrapolated = [], []
    for seed in range(10):
        drawn = features(n, d, seed)
        finite.append(frechet_distance(gaussian_of(drawn), reference))
        extrapolated.append(extrapolated_distance(drawn, reference, seed))
    # tr(Σ)/n for the mean and about d²/(4n) for the covariance.
    assert np.mean(finite) == pytest.approx(d / n + d * d / (4 * n), rel=0.15)
    # The remaining error has both signs, because the reference is exact.
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(finite)


def test_half_sample_deviation_equals_the_deviation_over_draws() -> None:
    """Against the standard deviation over forty independent draws."""
    d, n = 8, 600
    reference = gaussian_of(with_moments(np.zeros(d), np.eye(d), 5000))
    drawn = [features(n, d, seed, 1.3, 0.2) for seed in range(40)]
    expected = np.std([frechet_distance(gaussian_of(x), reference) for x in drawn], ddof=1)
    estimate = np.mean([half_sample_deviation(x, reference, seed) for seed, x in enumerate(drawn[:12])])
    assert estimate == pytest.approx(expected, rel=0.3)

"""The drawn data sets: deterministic, balanced, and neither trivial nor hopeless."""

import hashlib

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from bench.data import shapes
from bench.errors import DataError


def test_names() -> None:
    assert shapes.parse_name("shapes100") == shapes.ShapesName(100, 32)
    assert shapes.parse_name("shapes20x28") == shapes.ShapesName(20, 28)
    for bad in ("shapes", "shapes1", "shapes101", "shapes10x8", "shapes10x", "cifar"):
        with pytest.raises(DataError, match=repr(bad)):
            shapes.parse_name(bad)


def test_deterministic_balanced_and_without_repeats() -> None:
    first, again = (shapes.draw(20, 28, "train", 15) for _ in range(2))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.labels, again.labels)
    assert first.images.shape == (300, 3, 28, 28)
    assert (np.bincount(first.labels) == 15).all()
    other = shapes.draw(20, 28, "test", 15)
    assert len({image.tobytes() for image in [*first.images, *other.images]}) == 600
    assert not np.array_equal(shapes.draw(20, 28, "train", 15, seed=1).images, first.images)


def test_a_class_looks_the_same_in_any_number_of_classes() -> None:
    few, many = shapes.draw(4, 32, "train", 3), shapes.draw(6, 32, "train", 3)
    for label in range(4):
        images = [sorted(image.tobytes() for image in data.images[data.labels == label]) for data in (few, many)]
        assert images[0] == images[1]


def test_all_hundred_classes_differ() -> None:
    # Drawn without variation of any kind but the class, no two classes give the same picture.
    plain = [
        hashlib.sha256(
            shapes._draw_class(label, 32, 1, np.random.Generator(np.random.PCG64(0))).tobytes()
        ).digest()
        for label in range(100)
    ]
    assert len(set(plain)) == 100


def test_a_linear_classifier_stays_under_a_quarter() -> None:
    train, test = shapes.draw(100, 32, "train", 60), shapes.draw(100, 32, "test", 10)
    model = SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=0, alpha=1e-3)
    model.fit(train.images.reshape(6000, -1) / 255.0, train.labels)
    assert model.score(test.images.reshape(1000, -1) / 255.0, test.labels) < 0.25

"""The drawn data sets: deterministic, balanced, and neither trivial nor unlearnable."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier

from bench import Batch, Budget, DataSpec
from bench.data import shapes
from bench.data.batches import BatchStream
from bench.errors import DataError
from bench.job.loading import load_submission


def test_name_gives_classes_and_size() -> None:
    assert shapes.parse_name("shapes100") == shapes.ShapesName(100, 32)
    assert shapes.parse_name("shapes20x28") == shapes.ShapesName(20, 28)
    for invalid in ("shapes", "shapes1", "shapes101", "shapes10x7", "shapes10x", "cifar"):
        with pytest.raises(DataError, match=repr(invalid)):
            shapes.parse_name(invalid)


def test_images_are_deterministic_balanced_and_distinct() -> None:
    first, again = (shapes.draw(20, 28, "train", 15) for _ in range(2))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.labels, again.labels)
    assert first.images.shape == (300, 3, 28, 28)
    assert (np.bincount(first.labels) == 15).all()
    other = shapes.draw(20, 28, "test", 15)
    assert len({image.tobytes() for image in [*first.images, *other.images]}) == 600
    assert not np.array_equal(shapes.draw(20, 28, "train", 15, seed=1).images, first.images)


def test_images_of_a_class_do_not_depend_on_the_number_of_classes() -> None:
    few, many = shapes.draw(4, 32, "train", 3), shapes.draw(6, 32, "train", 3)
    for label in range(4):
        images = [sorted(image.tobytes() for image in data.images[data.labels == label]) for data in (few, many)]
        assert images[0] == images[1]


def test_all_hundred_classes_differ() -> None:
    # Drawn from the same random numbers, no two classes give the same image.
    plain = [
        hashlib.sha256(
            shapes._draw_class(label, 32, 1, np.random.Generator(np.random.PCG64(0))).tobytes()
        ).digest()
        for label in range(100)
    ]
    assert len(set(plain)) == 100


@pytest.mark.parametrize(("classes", "size"), [(100, 32), (20, 28)])
def test_linear_classifier_is_below_25_percent_accuracy(classes: int, size: int) -> None:
    per_class = 6000 // classes
    train, test = (
        shapes.draw(classes, size, "train", per_class),
        shapes.draw(classes, size, "test", per_class // 6),
    )
    model = SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=0, alpha=1e-3)
    model.fit(train.images.reshape(len(train.labels), -1) / 255.0, train.labels)
    assert model.score(test.images.reshape(len(test.labels), -1) / 255.0, test.labels) < 0.25


@pytest.mark.slow
def test_small_network_is_above_80_percent_accuracy() -> None:
    # se_dsconv's network without its augmentation: 84,194 parameters, 1,500 steps of 128.
    train, test = (shapes.draw(100, 32, part, count) for part, count in (("train", 200), ("test", 40)))
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    folder = Path(__file__).resolve().parents[2] / "submissions" / "se_dsconv"
    plain = {"flip": False, "crop": False, "rotation": False}
    submission = load_submission(folder, "classification", plain)
    torch.manual_seed(0)
    spec = DataSpec(image_shape=(3, 32, 32), num_classes=100, channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3)
    model = submission.build_model(spec).to(memory_format=torch.channels_last)
    submission.init_training(model, Budget(steps=1500, batch_size=128, train_images=len(labels)))
    batches = BatchStream(images, labels, batch_size=128, seed=0)
    for step in range(1500):
        submission.train_step(Batch(*batches.batch(step)), step)
    with torch.no_grad():
        predicted = torch.cat([model.eval()(part).argmax(1) for part in torch.from_numpy(test.images).split(500)])
    assert (predicted == torch.from_numpy(test.labels)).float().mean() > 0.8

"""Where a record contradicts itself: sums that do not add up, counts that differ, an accuracy its images deny.

A checksum only shows that a file was not altered after it was sealed, and anybody can seal. This makes a record
that was written by hand a little harder to get right; it proves nothing (docs/reliability.md says what does).
"""

import base64
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.contract.environment import Environment
from bench.contract.manifest import NAME, describe_validation_error
from bench.text import one_line

if TYPE_CHECKING:
    from bench.contract.records import Cost, Evaluation, Identity, Record, Training
    from bench.contract.tracks import Protocol

FRACTIONS = ("top1_accuracy", "top5_accuracy", "precision", "recall", "nearer_than_held_out", "ece")
ROUNDING = 1e-9
# As many images of each class in every part: the accuracies of classes average to the whole.
EVEN_CLASSES = ("cifar100",)


def contradictions(record: "Record") -> Iterator[str]:
    """What cannot be true of one run at once, a line each."""
    yield from odd_settings(record.identity, record.protocol, record.environment)
    whole = record.cost is not None and record.training is not None and record.evaluation is not None
    if record.status == "ok" and record.identity.steps > 0 and not whole:  # real images take no step
        yield "finished without cost, training or evaluation"
    if record.cost is not None:
        yield from _cost(record.cost)
    if record.training is not None:
        yield from _training(record.training, record)
    if record.evaluation is not None:
        yield from _evaluation(record.evaluation, record)


def odd_settings(identity: "Identity", protocol: "Protocol", environment: dict[str, Any]) -> Iterator[str]:
    """Names that are none, though paths and commands have them; another protocol; an environment of odd kinds."""
    for what, name in (
        ("submission", identity.submission),
        ("variant", identity.variant),
        ("track", protocol.track),
        ("profile", protocol.profile),
    ):
        if not NAME.fullmatch(name):
            yield f"{what} {one_line(name, 60)!r}, which is no name"
    try:
        Environment.model_validate(environment)
    except ValidationError as error:
        yield describe_validation_error("environment", error)
    if identity.protocol_hash != protocol.hash:
        yield f"protocol_hash {one_line(identity.protocol_hash, 60)} of a protocol with hash {protocol.hash}"
    if identity.seed < 0:
        yield f"seed {identity.seed}"


def _cost(cost: "Cost") -> Iterator[str]:
    for total, parts, what, rounded in (
        (cost.params, cost.params_by_module, "params", 0),
        # A mean over images that took different numbers of evaluations is rounded, and so is each part.
        (cost.macs_per_image, cost.macs_by_operator, "macs_per_image", len(cost.macs_by_operator)),
    ):
        if abs(sum(parts.values()) - total) > rounded:
            yield f"{what} {total:,}, the sum of its parts is {sum(parts.values()):,}"


def _training(training: "Training", record: "Record") -> Iterator[str]:
    if training.steps != record.identity.steps:
        yield f"trained for {training.steps:,} steps, in a run of {record.identity.steps:,}"
    if record.cost is not None and training.params_after != record.cost.params:
        yield f"{training.params_after:,} parameters after training, {record.cost.params:,} before"
    curves = training.curves
    if any(len(values) != len(curves.steps) for values in curves.values.values()):
        yield "curves of different lengths"
    if curves.steps and (curves.steps[-1] != training.steps or curves.steps != sorted(set(curves.steps))):
        yield f"curves that end at step {curves.steps[-1]:,} of {training.steps:,}, or go back"
    images = record.data.images.get(record.protocol.train) if record.data is not None else None
    seen = training.steps * training.batch_size
    if images and not math.isclose(training.epochs, seen / images):
        yield f"{training.epochs:g} epochs, where steps and batches make {seen / images:g}"


def _evaluation(evaluation: "Evaluation", record: "Record") -> Iterator[str]:
    for name, value in evaluation.metrics.items():
        if not math.isfinite(value) or (name.startswith(FRACTIONS) and not 0 <= value <= 1):
            yield f"{name} {value}"
    for name, (low, high) in evaluation.intervals.items():
        if name in evaluation.metrics and not low <= evaluation.metrics[name] <= high:
            yield f"{name} {evaluation.metrics[name]:g} outside of its own interval [{low:g}, {high:g}]"
    accuracy = evaluation.metrics.get("top1_accuracy")
    if record.data is not None:
        yield from _bitmap(evaluation.correct, accuracy, record.data.images.get(record.protocol.evaluate))
    if record.data is None or accuracy is None:
        return
    if evaluation.metrics.get("top5_accuracy", 1.0) < accuracy:
        yield "top-5 below top-1 accuracy"
    classes = [value for value in evaluation.per_class_accuracy if value is not None]
    mean = math.fsum(classes) / len(classes) if classes else accuracy
    even = record.data.name in EVEN_CLASSES and record.protocol.evaluation_images is None
    if even and not math.isclose(mean, accuracy, abs_tol=ROUNDING):
        yield f"top1_accuracy {accuracy:g}, the mean over its classes is {mean:g}"
    if classes and not min(classes) - ROUNDING <= accuracy <= max(classes) + ROUNDING:
        yield f"top1_accuracy {accuracy:g}, no class reaches or none misses it"


def _bitmap(correct: str | None, accuracy: float | None, images: int | None) -> Iterator[str]:
    if correct is None:
        return
    if not images:
        yield "marks images of a part whose size it does not say"
        return
    try:
        content = base64.b64decode(correct, validate=True)
    except ValueError:
        yield "`correct` is not base64"
        return
    bits, padding = int.from_bytes(content, "big"), -images % 8
    right = bits.bit_count()
    if len(content) != -(-images // 8) or bits & ((1 << padding) - 1):
        yield f"`correct` is of {8 * len(content):,} bits, for {images:,} images"
    if accuracy is None or not math.isclose(right / images, accuracy, abs_tol=ROUNDING):
        yield f"top1_accuracy {accuracy}, but {right:,} of {images:,} images are marked as right"

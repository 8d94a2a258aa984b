"""Consistency checks of a record: sums, counts, and the accuracy against the per-image results.

A checksum only shows that a file was not altered after the checksum was computed, and anybody can compute one.
These checks make it harder to write a plausible record by hand; they prove nothing (see docs/reliability.md).
"""

import base64
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.contract.documents.validation import describe_validation_error
from bench.contract.manifest import NAME
from bench.contract.records.environment import Environment
from bench.text import one_line

if TYPE_CHECKING:
    from bench.contract.records.record import Cost, Evaluation, Identity, Record, Training
    from bench.contract.tracks import Protocol

FRACTIONS = (
    "top1_accuracy", "top5_accuracy", "macro_f1", "balanced_accuracy", "worst_class_accuracy",
    "precision", "recall", "nearer_than_held_out", "ece",
)  # fmt: skip
ROUNDING = 1e-9
# Data sets with equally many images per class in every split: top-1 accuracy is the mean of the class accuracies.
BALANCED_DATASETS = ("cifar100",)


def contradictions(record: "Record") -> Iterator[str]:
    """Yield one line per contradiction between the values of a record."""
    yield from invalid_settings(record.identity, record.protocol, record.environment)
    if record.task != record.protocol.task:
        yield f"task {one_line(record.task, 60)!r} under a protocol of {record.protocol.task}"
    complete = record.cost is not None and record.training is not None and record.evaluation is not None
    if record.status == "ok" and record.identity.steps > 0 and not complete:  # scoring real images takes no step
        yield "status ok without cost, training or evaluation"
    if record.cost is not None:
        yield from _cost(record.cost)
    if record.training is not None:
        yield from _training(record.training, record)
    if record.evaluation is not None:
        yield from _evaluation(record.evaluation, record)


def invalid_settings(identity: "Identity", protocol: "Protocol", environment: dict[str, Any]) -> Iterator[str]:
    """Yield one line per invalid name, seed, protocol hash or environment field.

    Names are checked because they become parts of paths and commands.
    """
    for kind, name in (
        ("submission", identity.submission),
        ("variant", identity.variant),
        ("track", protocol.track),
        ("profile", protocol.profile),
    ):
        if not NAME.fullmatch(name):
            yield f"{kind} {one_line(name, 60)!r}, which is not a valid name"
    try:
        Environment.model_validate(environment)
    except ValidationError as error:
        yield describe_validation_error("environment", error)
    if identity.protocol_hash != protocol.hash:
        yield f"protocol_hash {one_line(identity.protocol_hash, 60)}, the protocol has hash {protocol.hash}"
    if identity.seed < 0:
        yield f"seed {identity.seed}, which is negative"


def _cost(cost: "Cost") -> Iterator[str]:
    for total, parts, field, tolerance in (
        (cost.params, cost.params_by_module, "params", 0),
        # Where images take different numbers of evaluations, the total and each part are rounded means.
        (cost.macs_per_image, cost.macs_by_operator, "macs_per_image", len(cost.macs_by_operator)),
    ):
        if abs(sum(parts.values()) - total) > tolerance:
            yield f"{field} {total:,}, the sum of its parts is {sum(parts.values()):,}"


def _training(training: "Training", record: "Record") -> Iterator[str]:
    if training.steps != record.identity.steps:
        yield f"trained for {training.steps:,} steps, in a run of {record.identity.steps:,}"
    if record.cost is not None and training.params_after != record.cost.params:
        yield f"{training.params_after:,} parameters after training, {record.cost.params:,} before"
    curves = training.curves
    if any(len(values) != len(curves.steps) for values in curves.values.values()):
        yield "curves of different lengths"
    if curves.steps and (curves.steps[-1] != training.steps or curves.steps != sorted(set(curves.steps))):
        yield f"curves end at step {curves.steps[-1]:,} of {training.steps:,}, or their steps do not increase"
    images = record.data.images.get(record.protocol.train) if record.data is not None else None
    images_seen = training.steps * training.batch_size
    if images and not math.isclose(training.epochs, images_seen / images):
        yield f"{training.epochs:g} epochs, steps × batch size / images is {images_seen / images:g}"


def _evaluation(evaluation: "Evaluation", record: "Record") -> Iterator[str]:
    for name, value in evaluation.metrics.items():
        if not math.isfinite(value) or (name.startswith(FRACTIONS) and not 0 <= value <= 1):
            yield f"{name} {value}, which is out of range"
    for name, (low, high) in evaluation.intervals.items():
        if name in evaluation.metrics and not low <= evaluation.metrics[name] <= high:
            yield f"{name} {evaluation.metrics[name]:g}, outside of its interval [{low:g}, {high:g}]"
    accuracy = evaluation.metrics.get("top1_accuracy")
    if record.data is not None:
        yield from _bitmap(evaluation.correct, accuracy, record.data.images.get(record.protocol.evaluate))
    yield from _class_averages(evaluation)
    if record.data is None or accuracy is None:
        return
    if evaluation.metrics.get("top5_accuracy", 1.0) < accuracy:
        yield "top-5 accuracy below top-1 accuracy"
    classes = [value for value in evaluation.per_class_accuracy if value is not None]
    mean = math.fsum(classes) / len(classes) if classes else accuracy
    balanced = record.data.name in BALANCED_DATASETS and record.protocol.evaluation_images is None
    if balanced and not math.isclose(mean, accuracy, abs_tol=ROUNDING):
        yield f"top1_accuracy {accuracy:g}, the mean over its classes is {mean:g}"
    if classes and not min(classes) - ROUNDING <= accuracy <= max(classes) + ROUNDING:
        yield f"top1_accuracy {accuracy:g}, outside of the range of the class accuracies"


def _class_averages(evaluation: "Evaluation") -> Iterator[str]:
    """Compare the metrics that average over classes with the accuracy of each class."""
    recalls = [recall for recall in evaluation.per_class_accuracy if recall is not None]
    for name, average in (("balanced_accuracy", _mean), ("worst_class_accuracy", min)):
        value = evaluation.metrics.get(name)
        if value is None:
            continue
        if not recalls:
            yield f"{name} {value:g} without the accuracies of the classes"
        elif not math.isclose(value, average(recalls), abs_tol=ROUNDING):
            yield f"{name} {value:g}, from the accuracies of its classes {average(recalls):g}"
    macro_f1 = evaluation.metrics.get("macro_f1")
    if macro_f1 is not None and recalls:
        # At a precision of 1, a class has the F1 score 2 r / (1 + r) of its recall r.
        most = _mean([2 * recall / (1 + recall) for recall in recalls])
        if macro_f1 > most + ROUNDING:
            yield f"macro_f1 {macro_f1:g}, with the accuracies of its classes at most {most:g}"


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _bitmap(correct: str | None, accuracy: float | None, images: int | None) -> Iterator[str]:
    if correct is None:
        return
    if not images:
        yield "`correct` is there, but the number of evaluation images is not"
        return
    try:
        content = base64.b64decode(correct, validate=True)
    except ValueError:
        yield "`correct` is not base64"
        return
    bits, padding = int.from_bytes(content, "big"), -images % 8
    count = bits.bit_count()
    if len(content) != -(-images // 8) or bits & ((1 << padding) - 1):
        yield f"`correct` has {8 * len(content):,} bits, for {images:,} images"
    if accuracy is None or not math.isclose(count / images, accuracy, abs_tol=ROUNDING):
        yield f"top1_accuracy {accuracy}, but `correct` marks {count:,} of {images:,} images"

"""The metrics: their names in records, and how tables scale, round, compare and judge them.

A metric of generated samples depends on their number and has it in its name (``fid_10000``). Here such names are
patterns, in which ``Metric.at`` fills in the number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """One metric. Records hold values unscaled, accuracies as fractions; tables show ``scale`` times the value."""

    key: str  # the name of its column, and of its field in a paper's claims
    name: str  # in records, or in curves; ``{samples}`` stands for the number of samples
    label: str  # in a sentence, and in tables of claims
    title: str  # of its column; ``{samples}`` likewise
    better: Better | None = None  # None where neither end is good: no best is marked
    scale: float = 1
    digits: int = 2
    unit: str = ""  # after a number that stands outside of the metric's own column
    margin: float | None = None  # within which a paper's figure counts as reproduced; None for MARGIN_SHARE of it

    def at(self, samples: int | None, resize: str | None = None) -> "Metric":
        """Return the metric of ``samples`` samples.

        Args:
            samples: Number of samples; None only for a metric without samples.
            resize: "clean" for clean-fid's resize, None for ours.
        """
        number = f"{resize}_{samples}" if resize else f"{samples}"
        return replace(self, name=self.name.format(samples=number), title=self.title.format(samples=samples))

    @property
    def is_percentage(self) -> bool:
        """Whether it is a fraction in [0, 1] that tables show in percent."""
        return self.scale == 100

    @property
    def best(self) -> str:
        """Which end is the best: "lowest" or "highest"."""
        return "lowest" if self.better == "lower" else "highest"

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is: what to multiply by so that more is better."""
        return -1 if self.better == "lower" else 1


MARGIN = 0.02
MARGIN_SHARE = 0.05  # of a paper's figure whose scale differs from paper to paper

TOP1 = Metric("top1_accuracy", "top1_accuracy", "top-1", "top-1 %", "higher", 100, 2, " %", MARGIN)
TOP5 = Metric("top5_accuracy", "top5_accuracy", "top-5", "top-5 %", "higher", 100, 2, " %", MARGIN)
MACRO_F1 = Metric("macro_f1", "macro_f1", "macro F1", "macro F1 %", "higher", 100, 2, " %")
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", "balanced_accuracy", "balanced accuracy", "balanced %", "higher", 100, 2, " %"
)
WORST_CLASS = Metric(
    "worst_class_accuracy", "worst_class_accuracy", "worst class", "worst class %", "higher", 100, 2, " %"
)
NLL = Metric("nll", "nll", "NLL", "NLL", "lower", digits=3)
ECE = Metric("ece", "ece_15", "ECE", "ECE", "lower", digits=3)
FID = Metric("fid", "fid_{samples}", "FID", "FID@{samples}", "lower")
FID_INFINITY = Metric("fid_infinity", "fid_infinity_from_{samples}", "FID∞", "FID∞", "lower")
KID = Metric("kid", "kid_{samples}", "KID", "KID@{samples} ×1000", "lower", scale=1000)
PRECISION = Metric("precision", "precision_{samples}", "precision", "precision", "higher", digits=3)
RECALL = Metric("recall", "recall_{samples}", "recall", "recall", "higher", digits=3)
LPIPS = Metric("lpips", "lpips_alex_64", "LPIPS", "LPIPS alex", digits=3)
LPIPS_VGG = Metric("lpips", "lpips_vgg_64", "LPIPS", "LPIPS vgg", digits=3, margin=MARGIN)
NEAREST_TRAIN = Metric(
    "nearest_train", "nearest_train_lpips_alex_64", "distance to train", "nearest train", digits=3
)
NEARER_THAN_HELD_OUT = Metric("nearer", "nearer_than_held_out", "nearer", "nearer %", scale=100, digits=1)
NEAR_COPIES = Metric(
    "copies", "nearer_than_closest_1_percent", "near copies", "near copies %", scale=100, digits=1
)
PARAMS = Metric("params", "params", "parameters", "params", digits=0, margin=0)
TRAIN_ACCURACY = Metric("train_accuracy", "accuracy", "train accuracy", "train %", "higher", 100, 2, " %", MARGIN)
TRAIN_LOSS = Metric("train_loss", "loss", "train loss", "train loss", "lower", digits=3)

# What submissions of a task are ranked by, and what papers report, unless a track has `rank_by`.
PRIMARY = {"classification": TOP1, "generation": FID}
# Task -> what a track may choose in `rank_by`.
RANKING = {
    "classification": (TOP1, MACRO_F1, BALANCED_ACCURACY, WORST_CLASS, NLL, ECE),
    "generation": (FID, KID, PRECISION, RECALL),
}
# The columns of samples' metrics, in order.
OF_SAMPLES = (
    FID_INFINITY, KID, PRECISION, RECALL, LPIPS, NEAREST_TRAIN, NEARER_THAN_HELD_OUT, NEAR_COPIES,
)  # fmt: skip
# Task -> what a track may show in further columns: `metrics`.
SHOWN = {
    "classification": (*RANKING["classification"], TOP5),
    "generation": tuple(dict.fromkeys((*RANKING["generation"], *OF_SAMPLES))),
}
# What a paper may claim: field of ``Claims`` -> its metric. Those of CURVES are values that ``train_step``
# returned.
CLAIMED = {metric.key: metric for metric in (PARAMS, TOP1, FID, LPIPS_VGG, TRAIN_ACCURACY, TRAIN_LOSS)}
CURVES = (TRAIN_ACCURACY, TRAIN_LOSS)
# Metrics whose variants go by longer names (``top1_accuracy_without_near_duplicates``, ``fid_10000_train``).
FAMILIES = (
    TOP1, TOP5, MACRO_F1, BALANCED_ACCURACY, WORST_CLASS, PRECISION, RECALL, FID, KID, NLL, ECE,
)  # fmt: skip


def check_choices(field: str, task: str, keys: Iterable[str], allowed: Mapping[str, Sequence[Metric]]) -> None:
    """Check that every metric that a track chooses is allowed for its task.

    Args:
        field: Name of the field, for the message.
        task: One of ``PRIMARY``.
        keys: ``Metric.key`` of the chosen metrics.
        allowed: ``RANKING`` or ``SHOWN``.

    Raises:
        ValueError: If one is not; the message lists the allowed ones.
    """
    known = [metric.key for metric in allowed[task]]
    for key in keys:
        if key not in known:
            raise ValueError(f"`{field}`: found {key[:60]!r}; metrics of {task}: {', '.join(known)}")


def chosen(task: str, key: str) -> Metric:
    """The metric of a task with the key ``key``, which ``check_choices`` has accepted."""
    return next(metric for metric in SHOWN[task] if metric.key == key)


def primary_metric(task: str, samples: int | None) -> Metric:
    """The metric that papers report for a task, by which submissions are ranked unless their track says otherwise.

    Args:
        task: One of ``PRIMARY``.
        samples: Of a generator, as the protocol says.
    """
    return PRIMARY[task].at(samples)


def metric_named(name: str) -> Metric:
    """The metric under ``name`` in a record, for a column of its own; a spread (``_std``) has no best."""
    family = next((metric for metric in FAMILIES if name.startswith(metric.key)), None)
    if family is None:
        return Metric(name, name, name, name)
    unit = " %" if family.unit == " %" else " ×1000" if family.scale == 1000 else ""
    better = None if name.endswith("_std") else family.better
    return replace(family, key=name, name=name, label=name, title=name + unit, better=better)

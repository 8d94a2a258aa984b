"""The output of ``bench score-weights``: tables that say of every number that its training was not verified."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.contract.handed_in import NOT_VERIFIED, HandedInScore
from bench.contract.metrics import FID, OF_SAMPLES, SHOWN, Metric
from bench.report.tables.text import MISSING, check_format, grid, heading, remark, value_text

CAUTION = (
    f"Weaker than runs: these weights were trained elsewhere. Not verified: {', '.join(NOT_VERIFIED)}. Anybody "
    "can have trained for longer, or on the evaluated images. Such scores are in no record, and never rank."
)
MARK = "elsewhere, not verified"  # in every row, so that a copied row still says it


def scores_text(scores: Sequence[HandedInScore], table_format: str) -> str:
    """Return a table per protocol, in alphabetical order of the submissions, with the caution below.

    Raises:
        UsageError: If the format is csv, or unknown.
    """
    check_format(table_format)
    if table_format == "json":
        return json.dumps([score.model_dump(mode="json") for score in scores], indent=1)
    ordered = sorted(scores, key=lambda score: (*_group(score), score.submission))
    parts = [part for _, group in groupby(ordered, _group) for part in _table(list(group), table_format)]
    return "\n\n".join([*parts, remark(CAUTION, table_format)])


def _group(score: HandedInScore) -> tuple[str, ...]:
    return (score.protocol.track, score.protocol_hash, *score.data_fingerprints.values())


def _table(scores: list[HandedInScore], table_format: str) -> Iterator[str]:
    protocol, data = scores[0].protocol, scores[0].data
    images = f"{data.images[protocol.evaluate]:,} {protocol.evaluate} images of {data.name}"
    stand_in = f" in place of {data.stand_in_for}" if data.stand_in_for else ""
    title = f"{protocol.track}, {protocol.profile}, {images}{stand_in}: weights trained elsewhere, not ranked"
    yield heading(title, table_format)
    metrics = _metrics(scores)
    rows = [
        [
            score.submission,
            *(_value(score, metric) for metric in metrics),
            f"{score.cost.params:,}",
            score.sha256[:12],
            MARK,
        ]
        for score in scores
    ]
    titles = ["submission", *(metric.title for metric in metrics), "params", "sha256 of the weights", "trained"]
    yield grid(titles, rows, table_format)
    reasons = {reason for score in scores for reason in score.not_measured.values()}
    for reason in sorted(reasons):
        yield remark(f"{MISSING}: {reason}", table_format)


def _metrics(scores: list[HandedInScore]) -> list[Metric]:
    """Return the metrics of the task, the one that ranks first; those of images only if they were measured."""
    protocol = scores[0].protocol
    keys = SHOWN["classification"] if protocol.task == "classification" else (FID, *OF_SAMPLES)
    known = {name for score in scores for name in (*score.evaluation.metrics, *score.not_measured)}
    metrics = [metric.at(protocol.samples) for metric in keys]
    others = [metric for metric in metrics if metric.name in known and metric != protocol.metric]
    return [protocol.metric, *others]


def _value(score: HandedInScore, metric: Metric) -> str:
    value = score.evaluation.metrics.get(metric.name)
    return MISSING if value is None else value_text(value, metric)

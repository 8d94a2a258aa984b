"""The page of one run: all that its record says."""

from collections.abc import Iterator
from typing import Any

from bench.contract.asked import Place, command_of
from bench.contract.records import Record
from bench.report.names import run_name
from bench.report.site.drawings import damaged_pictures, pictures_of, row_curves
from bench.report.site.pages import Source
from bench.report.site.views import Cell, Section, Table, record_copy, text_table
from bench.report.summary import Row
from bench.report.tables import NOTHING


def run_sections(source: Source, record: Record) -> Iterator[Section]:
    """All parts of the page."""
    yield Section("Outcome", text=list(_outcome(record)), lines=record.log_tail)
    if record.evaluation is not None and (record.evaluation.metrics or record.evaluation.as_published):
        yield Section("Metrics", tables=[_metrics(record)])
    if source.draws_runs:
        figures = list(row_curves(Row((record,)), f"curves-{run_name(record)}"))
        if figures:
            yield Section("Training", figures=figures)
    pictures = [figure for _, figure in pictures_of(record, source.results)]
    damaged = damaged_pictures(record, source.results)
    if pictures or damaged:
        yield Section("Pictures", pictures=pictures, text=damaged)
    details = {
        "What makes it this run": record.identity.model_dump(mode="json"),
        "Config": record.config,
        "Protocol": record.protocol.model_dump(mode="json"),
        "Cost": record.cost.model_dump(mode="json", exclude={"params_by_module", "macs_by_operator"})
        if record.cost
        else {},
        "Times": record.timing.model_dump(mode="json", exclude_none=True),
        "Environment": record.environment,
        "Code, by file (sha256 without comments)": record.sources,
        "Weights of metric networks (sha256)": record.metric_weights,
    }
    link = Table(
        "The record",
        ("file", "sha256 of its content"),
        [[Cell("record as JSON", link=record_copy(record)), Cell(record.checksum)]],
    )
    yield Section(
        "Details", tables=[link, *(_pairs(title, values) for title, values in details.items() if values)]
    )


def _outcome(record: Record) -> Iterator[str]:
    if record.status == "ok":
        yield "Finished." if record.ranked else f"Finished; unranked: {'; '.join(record.unranked_because)}."
    else:
        yield f"Failed ({record.status}): {record.reason}"
    if not record.made_here:
        yield "Not made here: it came by `bench unpack`."
    for name, why in record.not_measured.items():
        yield f"Not measured: {name}: {why}"
    command = command_of(record.identity, record.protocol.track, record.protocol.profile, Place.of(record))
    yield f"To repeat it: `{command}`"


def _metrics(record: Record) -> Table:
    evaluation = record.evaluation
    assert evaluation is not None
    lines = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (None, None))
        interval = NOTHING if low is None or high is None else f"[{low:.5g}, {high:.5g}]"
        lines.append((name, f"{value:.6g}", interval))
    lines += [
        (f"{name}, as published", f"{value:.6g}", NOTHING) for name, value in evaluation.as_published.items()
    ]
    return text_table("Accuracies as fractions", ("metric", "value", "95 % interval"), lines)


def _pairs(title: str, values: dict[str, Any]) -> Table:
    return text_table(title, ("field", "value"), [(name, _text(value)) for name, value in _flat(values)])


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)

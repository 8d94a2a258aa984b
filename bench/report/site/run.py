"""The page of one run: the content of its record."""

from collections.abc import Iterator
from typing import Any

from bench.contract.invocation import CommandPaths, rerun_command
from bench.contract.records.record import Record
from bench.report.records.aggregate import Row
from bench.report.records.naming import run_name
from bench.report.site.figures import damaged_pictures, pictures_of, row_curves
from bench.report.site.pages import SiteData
from bench.report.site.views import Section, record_copy
from bench.report.tables.table import Cell, Table
from bench.report.tables.text import MISSING


def run_sections(source: SiteData, record: Record) -> Iterator[Section]:
    """Yield the sections of the page."""
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
        "Identity": record.identity.model_dump(mode="json"),
        "Config": record.config,
        "Protocol": record.protocol.model_dump(mode="json"),
        "Cost": record.cost.model_dump(mode="json", exclude={"params_by_module", "macs_by_operator"})
        if record.cost
        else {},
        "Timing": record.timing.model_dump(mode="json", exclude_none=True),
        "Environment": record.environment,
        "Code files (sha256 without comments)": record.sources,
        "Weights of metric networks (sha256)": record.metric_weights,
    }
    link = Table(
        ("file", "checksum (sha256)"),
        [[Cell("record as JSON", link=record_copy(record)), Cell(record.checksum)]],
        "Record",
    )
    yield Section(
        "Details", tables=[link, *(_pairs(title, values) for title, values in details.items() if values)]
    )


def _outcome(record: Record) -> Iterator[str]:
    if record.status == "ok":
        yield "Finished." if record.ranked else f"Finished; unranked: {'; '.join(record.reasons_against_rank)}."
    else:
        yield f"Failed ({record.status}): {record.reason}"
    if not record.made_here:
        yield "Made elsewhere: imported by `bench unpack`."
    for name, reason in record.not_measured.items():
        yield f"Not measured: {name}: {reason}"
    command = rerun_command(
        record.identity, record.protocol.track, record.protocol.profile, CommandPaths.from_record(record)
    )
    yield f"Command: `{command}`"


def _metrics(record: Record) -> Table:
    evaluation = record.evaluation
    assert evaluation is not None
    lines = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (None, None))
        interval = MISSING if low is None or high is None else f"[{low:.5g}, {high:.5g}]"
        lines.append((name, f"{value:.6g}", interval))
    lines += [
        (f"{name}, as published", f"{value:.6g}", MISSING) for name, value in evaluation.as_published.items()
    ]
    return Table.of_text(("metric", "value", "95 % interval"), lines, caption="Accuracies as fractions")


def _pairs(title: str, values: dict[str, Any]) -> Table:
    lines = [(name, _text(value)) for name, value in _flat(values)]
    return Table.of_text(("field", "value"), lines, caption=title)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)

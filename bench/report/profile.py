"""The output of ``bench profile``: the time of a training step by part and by operator, as tables and a plot."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench.contract.jobs.timings import StepProfile
from bench.errors import ResultsError
from bench.report.optional_packages import require
from bench.report.tables.text import check_format, grid, heading, remark

SHOWN_OPERATORS = 8


def profile_text(label: str, profile: StepProfile, table_format: str) -> str:
    """Return the profile of a submission's step: parts, most expensive operators and GPU synchronisations."""
    check_format(table_format)
    if table_format == "json":
        return json.dumps({label: profile.model_dump()}, indent=1)
    environment = profile.environment
    is_cpu = environment["device_type"] == "cpu"
    device = f"{environment['threads']} CPU threads" if is_cpu else environment["device"]
    title = f"{label}: {profile.unwatched:.2f} ms per step of {profile.batch_size} images, {device}"
    parts = [
        [part, f"{time:.2f}", f"{time / profile.watched:.1%}"]
        for part, time in profile.parts.items()
        if time or part in ("data", "harness")
    ]
    operators = [[o.name, f"{o.calls:g}", f"{o.milliseconds:.2f}"] for o in profile.operators[:SHOWN_OPERATORS]]
    overhead = profile.watched / profile.unwatched - 1
    lines = [
        heading(title, table_format),
        "",
        grid(["part of a step", "ms", "share"], parts, table_format),
        "",
        remark(
            f"Medians of {profile.steps} steps; the profiler changed their time by {overhead:+z.1%}.", table_format
        ),
        "",
        grid(["operator", "calls per step", "own ms"], operators, table_format),
        "",
        remark(_synchronisations(profile), table_format),
    ]
    return "\n".join(lines)


def _synchronisations(profile: StepProfile) -> str:
    if not profile.waits:
        return "No line of the step synchronises with the device."
    return f"On a GPU these lines would synchronise with the device: {'; '.join(profile.waits)}"


def write_picture(path: Path, profiles: Mapping[str, StepProfile]) -> None:
    """Write a plot with one stacked bar per submission; the file extension selects SVG or PNG.

    Raises:
        ResultsError: If the file cannot be written, or the extension is neither.
        UsageError: If matplotlib is not installed.
    """
    require("matplotlib", "bench profile --picture")
    from bench.report.plots.steps import steps_figure
    from bench.report.plots.style import save_as

    try:
        save_as(steps_figure(profiles), path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be written ({error})") from None

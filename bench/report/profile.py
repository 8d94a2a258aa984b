"""``bench profile`` for people: where a training step's time goes, as tables and as a picture."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench.contract.profiles import StepProfile
from bench.errors import ResultsError
from bench.report.extras import require
from bench.report.tables import check_format, grid, heading, remark

SHOWN_OPERATORS = 8


def profile_text(label: str, profile: StepProfile, table: str) -> str:
    """One submission's step: its parts, its most expensive operators, where it would wait for a GPU."""
    check_format(table)
    if table == "json":
        return json.dumps({label: profile.model_dump()}, indent=1)
    environment = profile.environment
    on = environment["device"] if environment["device_type"] != "cpu" else f"{environment['threads']} CPU threads"
    title = f"{label}: {profile.unwatched:.2f} ms a step of {profile.batch_size} images, {on}"
    parts = [
        [part, f"{time:.2f}", f"{time / profile.watched:.1%}"]
        for part, time in profile.parts.items()
        if time or part in ("data", "harness")
    ]
    operators = [[o.name, f"{o.calls:g}", f"{o.milliseconds:.2f}"] for o in profile.operators[:SHOWN_OPERATORS]]
    watching = profile.watched / profile.unwatched - 1
    lines = [
        heading(title, table),
        "",
        grid(["part of a step", "ms", "share"], parts, table),
        "",
        remark(f"Medians of {profile.steps} steps; watching them changed their time by {watching:+z.1%}.", table),
        "",
        grid(["operator", "calls a step", "ms by itself"], operators, table),
        "",
        remark(_waiting(profile), table),
    ]
    return "\n".join(lines)


def _waiting(profile: StepProfile) -> str:
    if not profile.waits:
        return "Nothing in the step waits for the device."
    return f"On a GPU the step would wait for the device: {'; '.join(profile.waits)}"


def write_picture(path: Path, profiles: Mapping[str, StepProfile]) -> None:
    """A bar a submission, its parts stacked; SVG, or PNG if the name says so.

    Raises:
        ResultsError: If it cannot be written, or the name is neither's.
        UsageError: If matplotlib is not installed.
    """
    require("matplotlib", "bench profile --picture")
    from bench.report.plots.steps import steps_figure
    from bench.report.plots.style import save_as

    try:
        save_as(steps_figure(profiles), path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be written ({error})") from None

"""Trackers of experiments, each written to through its own library.

All of them get the same: settings, final metrics, and the training curves by step. The checksum of its record
identifies a run, so that a repeated export adds nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

Curves = dict[str, list[tuple[int, float]]]  # name -> step and value of each window


@dataclass(frozen=True)
class ExportedRun:
    """One run, as trackers see it."""

    name: str  # unique within a results folder
    group: str  # submission and variant: the runs of a group differ in their seed
    checksum: str  # of the record
    finished_at: str  # ISO 8601
    succeeded: bool
    settings: dict[str, Any] = field(default_factory=dict)  # name -> text, number, truth value or None
    metrics: dict[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """When it finished, in seconds since 1970."""
        return datetime.fromisoformat(self.finished_at).timestamp()

    @property
    def last_step(self) -> int:
        """The last step of any curve."""
        return max((step for points in self.curves.values() for step, _ in points), default=0)


class Tracker(Protocol):
    """A tracker that runs are written to."""

    def write(self, run: ExportedRun) -> bool:
        """Write a run, unless it is there already; return whether it was written."""


class TensorBoard:
    """Event files in one folder per run, for ``tensorboard --logdir FOLDER``."""

    def __init__(self, destination: str) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.folder = Path(destination)
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._hparams, self._writer = hparams_pb, EventFileWriter

    def write(self, run: ExportedRun) -> bool:
        folder = self.folder / run.name
        if any(folder.glob("events.*")):
            return False
        writer = self._writer(str(folder))
        settings = {name: value for name, value in run.settings.items() if value is not None}
        self._add(writer, run, self._hparams(settings, trial_id=run.name, start_time_secs=run.seconds))
        for name, points in run.curves.items():
            for step, value in points:
                self._add(writer, run, self._scalar(f"train/{name}", value), step)
        for name, value in run.metrics.items():
            self._add(writer, run, self._scalar(f"final/{name}", value), run.last_step)
        writer.close()
        return True

    def _scalar(self, name: str, value: float) -> Any:
        return self._summary(value=[self._summary.Value(tag=name, simple_value=value)])

    def _add(self, writer: Any, run: ExportedRun, summary: Any, step: int = 0) -> None:
        writer.add_event(self._event(wall_time=run.seconds, step=step, summary=summary))


class WandB:
    """Runs of a Weights & Biases project; offline with ``WANDB_MODE=offline``, to be sent by ``wandb sync``."""

    def __init__(self, destination: str) -> None:
        import wandb

        self._wandb, self.project = wandb, destination
        self._offline = os.environ.get("WANDB_MODE") in ("offline", "dryrun")

    def write(self, run: ExportedRun) -> bool:
        if self._is_there(run):
            return False
        tracked = self._wandb.init(
            project=self.project, name=run.name, group=run.group, id=run.checksum[:32], config=run.settings,
            resume="never", reinit="finish_previous", settings=self._wandb.Settings(silent=True),
        )  # fmt: skip
        for step, values in _by_step(run):
            tracked.log(values, step=step)
        tracked.summary.update(run.metrics)
        tracked.finish(exit_code=0 if run.succeeded else 1)
        return True

    def _is_there(self, run: ExportedRun) -> bool:
        if self._offline:
            folder = Path(os.environ.get("WANDB_DIR", "."), "wandb")
            return any(folder.glob(f"offline-run-*-{run.checksum[:32]}"))
        try:
            self._wandb.Api().run(f"{self.project}/{run.checksum[:32]}")
        except (self._wandb.errors.CommError, ValueError):
            return False
        return True


class Trackio:
    """Runs of a trackio project, in the local database that ``trackio show`` reads."""

    def __init__(self, destination: str) -> None:
        import trackio

        self._trackio, self.project = trackio, destination
        try:
            self._there = {run.name for run in trackio.Api().runs(destination)}
        except ValueError:  # no such project yet
            self._there = set()

    def write(self, run: ExportedRun) -> bool:
        name = f"{run.name}-{run.checksum[:8]}"
        if name in self._there:
            return False
        self._trackio.init(project=self.project, name=name, group=run.group, config=run.settings)
        for step, values in _by_step(run):
            self._trackio.log(values, step=step)
        if run.metrics:
            self._trackio.log({f"final/{key}": value for key, value in run.metrics.items()}, step=run.last_step)
        self._trackio.finish()  # type: ignore[no-untyped-call]
        return True


class MLflow:
    """Runs of the experiment "capbench" on an MLflow tracking server, or in a SQLite file."""

    def __init__(self, destination: str) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=destination)
        experiment = self._client.get_experiment_by_name("capbench")
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment("capbench")

    def write(self, run: ExportedRun) -> bool:
        from mlflow.entities import Metric, Param, RunTag

        known = self._client.search_runs([self._experiment], f"tags.record = '{run.checksum}'", max_results=1)
        if known:
            return False
        milliseconds = int(1000 * run.seconds)
        tracked = self._client.create_run(self._experiment, start_time=milliseconds, run_name=run.name)
        identifier = tracked.info.run_id
        points = [
            Metric(f"train/{name}", value, milliseconds, step)
            for name, curve in run.curves.items()
            for step, value in curve
        ]
        points += [
            Metric(f"final/{name}", value, milliseconds, run.last_step) for name, value in run.metrics.items()
        ]
        for start in range(0, len(points), 1000):  # the most that one request may have
            self._client.log_batch(identifier, metrics=points[start : start + 1000])
        params = [Param(name, str(value)) for name, value in run.settings.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(identifier, params=params[start : start + 100])
        tags = [RunTag("record", run.checksum), RunTag("group", run.group)]
        self._client.log_batch(identifier, tags=tags)
        self._client.set_terminated(identifier, "FINISHED" if run.succeeded else "FAILED", milliseconds)
        return True


def _by_step(run: ExportedRun) -> list[tuple[int, dict[str, float]]]:
    """The curves' values of each step, in order."""
    steps: dict[int, dict[str, float]] = {}
    for name, points in run.curves.items():
        for step, value in points:
            steps.setdefault(step, {})[f"train/{name}"] = value
    return sorted(steps.items())


# Name for --to -> package that has to be installed, which is the extra's name too, and the tracker.
TRACKERS: dict[str, tuple[str, Callable[[str], Tracker]]] = {
    "tensorboard": ("tensorboard", TensorBoard),
    "trackio": ("trackio", Trackio),
    "wandb": ("wandb", WandB),
    "mlflow": ("mlflow", MLflow),
}

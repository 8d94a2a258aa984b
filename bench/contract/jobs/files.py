"""Names of the files and environment variables by which a job's processes communicate."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["verify", "weights", "train", "evaluate", "score", "score_real", "profile"]

EVENTS_FD = "BENCH_EVENTS_FD"  # environment variable: the file descriptor for progress events

WAITING_FOR_TURN = "waiting to measure speeds"  # phase of the event of a process that waits for the file TURN
TURN = "turn"

PARENT_PID = "BENCH_PARENT_PID"  # environment variable: a phase ends when this process ends

WORK = "work"  # folder of a run's intermediate files, inside the run's folder next to its record

RUN_CONTEXT = "begun.json"  # in WORK

# File names in a phase's folder, WORK/<phase>.
SPEC = "spec.json"
FAILURE = "failure.json"
REPORT = {
    "verify": "verification.json",
    "weights": "weights.json",
    "train": "training.json",
    "evaluate": "evaluation.json",
    "score": "scores.json",
    "score_real": "scores.json",
    "profile": "profile.json",
}
WEIGHTS = "weights.safetensors"
HANDED_IN = "handed-in"  # with a suffix of ``HANDED_IN_SUFFIXES``: a weights file that was trained elsewhere
HANDED_IN_SUFFIXES = (".safetensors", ".pt", ".pth")
CHECKPOINT = "checkpoint.pt"
LOGITS = "logits.npy"
AS_PUBLISHED_LOGITS = "logits-as-published.npy"
SAMPLES = "samples.npy"
AS_PUBLISHED_SAMPLES = "samples-as-published.npy"
# Inputs of a phase: file -> the earlier phase that writes it.
INPUTS: dict[str, dict[str, Phase]] = {
    "evaluate": {WEIGHTS: "train"},
    "score": {SAMPLES: "evaluate", AS_PUBLISHED_SAMPLES: "evaluate"},
}
TRACE = "trace.json"  # of the profile phase, for chrome://tracing or Perfetto
PROGRESS_FOLDER = "progress"  # grids of samples drawn during training


@dataclass(frozen=True)
class Picture:
    """A grid of images: the array file that a phase writes, the PNG next to the record, and images per row."""

    array: str
    png: str
    columns: int = 8


GRID = Picture("grid.npy", "samples.png")
AS_PUBLISHED_GRID = Picture("grid-as-published.npy", "samples-as-published.png")
CLASSES = Picture("classes.npy", "classes.png")  # one row per class, the same noise in each column
LINEAR = Picture("interpolation-linear.npy", "interpolation-linear.png")
SLERP = Picture("interpolation-slerp.npy", "interpolation-slerp.png")
# Rows of samples, each above a row of their nearest training images.
NEAREST = Picture("nearest.npy", "nearest-train.png", columns=10)
PICTURES = (GRID, AS_PUBLISHED_GRID, CLASSES, LINEAR, SLERP, NEAREST)

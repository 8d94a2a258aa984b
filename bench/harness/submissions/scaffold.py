"""``bench new``: write a template submission, which passes verification unchanged."""

from importlib.resources import files
from pathlib import Path

from bench.contract.contest import find_contest
from bench.contract.manifest import check_name
from bench.contract.tracks import Track, choose_tracks
from bench.data.store import describe
from bench.errors import UsageError
from bench.files import write_bytes
from bench.text import one_line

DEFAULTS = {"classification": "cifar100-classification", "generation": "cifar100-generation"}
WIDTH = 32  # of the classifier's template
WIDTHS = (WIDTH, 24, 16, 12, 8, 4)


def scaffold(name: str, task: str | None, folder: Path, track: Path | None = None) -> Path:
    """Write ``folder/name`` with a manifest and a small working model.

    Args:
        name: Name of the submission.
        task: "classification" or "generation"; None for the task of the track.
        folder: Parent of the submission's folder.
        track: The value of ``--track``; None for the contest's only track of the task, outside of a
            contest for that of CIFAR-100.

    Raises:
        UsageError: If the name, task or track is invalid, or the folder exists or cannot be written.
    """
    if (reason := check_name(name)) is not None:
        raise UsageError(f"{one_line(name, 60)!r}: {reason}")
    chosen = _track(task, track)
    target = folder / name
    if target.exists():
        raise UsageError(f"{target}: exists already; choose another name")
    template = files("bench.harness.submissions") / "templates" / f"{chosen.task}.py.txt"
    manifest = (
        f"track: {chosen.name}\n"
        "summary: One line that describes the method\n"
        "# paper: {title: ..., authors: [...], year: 2026, url: ...}\n"
        "# claims: {params: ..., top1_accuracy: ...}\n"
        "# ablations:\n"
        "#   slow: {what: half the learning rate, set: {learning_rate: 0.0005}}\n"
        "notes: []\n"
    )
    model = template.read_text(encoding="utf-8")
    if chosen.task == "classification":
        model = model.replace(f"width: int = {WIDTH}", f"width: int = {_width(chosen)}")
    try:
        write_bytes(target / "submission.yaml", manifest.encode())
        write_bytes(target / "model.py", model.encode())
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror})") from None
    return target


def _track(task: str | None, option: Path | None) -> Track:
    """Choose the track of a new submission."""
    if task is not None and task not in DEFAULTS:
        raise UsageError(f"--task {one_line(task, 60)!r}: give {' or '.join(DEFAULTS)}")
    chosen = choose_tracks(option)
    if chosen.only is not None:
        track = chosen.tracks[chosen.only]
        if task not in (None, track.task):
            raise UsageError(f"--task {task}: track {track.name} is a {track.task} track")
        return track
    if find_contest() is None:
        return chosen.tracks[DEFAULTS[task or "classification"]]
    fitting = [track for track in chosen.tracks.values() if task in (None, track.task)]
    if not fitting:
        raise UsageError(f"--task {task}: the contest has no such track; it has {', '.join(chosen.tracks)}")
    if len(fitting) > 1:
        raise UsageError(
            f"the contest has {len(fitting)} tracks; give --track {' or '.join(t.name for t in fitting)}"
        )
    return fitting[0]


def _width(track: Track) -> int:
    """Return the largest width with which the classifier's template keeps to the track's cap on parameters."""
    info, cap = describe(track.data), track.caps.params
    channels, classes = info.image_shape[0], info.num_classes
    return next((w for w in WIDTHS if cap is None or _params(w, channels, classes) <= cap), WIDTHS[-1])


def _params(width: int, channels: int, classes: int) -> int:
    """Count the parameters of the classifier's template: three stages and a linear layer."""
    convolutions = 9 * (channels * width + width * 2 * width + 2 * width * 2 * width)
    return convolutions + 2 * (width + 2 * width + 2 * width) + 2 * width * classes + classes

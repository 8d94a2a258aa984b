"""``bench init``: start a contest in a folder, with its track, its rules and an example submission."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.contract.contest import CONTEST_FILE
from bench.contract.datasets import FILE_SPLITS, DataSource, FileSplit
from bench.contract.manifest import check_name
from bench.contract.tracks import Task, read_track
from bench.data import store
from bench.data.images import LabelledImages, fingerprint
from bench.data.known import KNOWN
from bench.data.npz import NpzFiles
from bench.errors import BenchError, UsageError
from bench.files import write_bytes
from bench.text import one_line

IGNORED = """\
# Beside each record: weights, samples, logs and checkpoints. Large, and rebuilt by running again.
results/runs/**/seed*/
results/runs/**/*.lock
results/site/
results/smoke/
# Handed-in weights, from `bench collect --weights weights`.
/weights/
__pycache__/
"""


@dataclass(frozen=True)
class InitOptions:
    """The options of ``bench init``."""

    folder: Path
    name: str  # of the track
    title: str
    task: Task
    data: str  # name of a known data set, or an .npz file
    test_data: Path | None  # .npz file of the test split, which participants do not get
    params: int | None
    macs: int | None  # per image
    rank_by: str | None  # key of a metric
    steps: int
    seeds: int
    samples: int  # of a generator


def init_command(options: InitOptions) -> list[Path]:
    """Write ``capbench.yaml``, the track's file and what belongs to them; return the files.

    Raises:
        UsageError: If an option is invalid, or a file exists already.
        DataError: If the data cannot be read.
    """
    if (reason := check_name(options.name)) is not None:
        raise UsageError(f"--name {one_line(options.name, 60)!r}: {reason.replace('submission', 'track')}")
    folder, track_file = options.folder, options.folder / f"{options.name}.yaml"
    for path in (folder / CONTEST_FILE, track_file):
        if path.exists():
            raise UsageError(f"{path}: exists already; edit it, or choose another folder")
    contest = {"title": options.title, "organiser": "", "tracks": [track_file.name]}
    texts = {
        folder / CONTEST_FILE: _text(contest) + COMMENTS,
        track_file: _track_text(options),
        folder / ".gitignore": IGNORED + _hidden(options),
        folder / "submissions" / ".gitkeep": "",
    }
    written = []
    for path, text in texts.items():
        if not path.exists():
            try:
                write_bytes(path, text.encode())
            except OSError as error:
                raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
            written.append(path)
    try:
        read_track(track_file)
    except BenchError:
        for path in written:
            path.unlink()
        raise
    return written


def _hidden(options: InitOptions) -> str:
    """Return the lines of .gitignore that keep the test split from participants."""
    if options.test_data is None:
        return ""
    return f"# The test split, which participants do not get.\n/{_relative(options.test_data, options.folder)}\n"


COMMENTS = """\
# submissions: submissions   # folder of the submissions
# results: results           # folder of the records
# data_root: data            # folder of the data sets; default: $BENCH_DATA, else a cache folder
# about: A paragraph for the leaderboard.
# rules: Further rules in words, such as the deadline; `bench rules` prints them after those of the tracks.
"""


def _track_text(options: InitOptions) -> str:
    few = max(1, options.steps // 10)
    samples: dict[str, object] = {"samples": options.samples} if options.task == "generation" else {}
    some: dict[str, object] = {"samples": min(options.samples, 1000)} if samples else {}
    tiny: dict[str, object] = {"samples": 64, "train_references": 128, "train_searched": 128} if samples else {}
    profiles: dict[str, dict[str, object]] = {
        "official": {
            "steps": options.steps,
            "seeds": options.seeds,
            "train": "train+validation",
            "evaluate": "test",
        }
        | samples,
        "tuning": {"steps": options.steps, "seeds": 1} | samples,
        "quick": {"steps": few, "seeds": 2} | some,
        "smoke": {"steps": min(20, few), "seeds": 1, "evaluation_images": 500} | tiny,
    }
    caps = {"params": options.params, "macs_per_image": options.macs}
    content: dict[str, object] = {
        "name": options.name,
        "title": options.title,
        "task": options.task,
        "data": _data(options),
    }
    content["caps"] = {cap: limit for cap, limit in caps.items() if limit is not None}
    content["rank_by"] = options.rank_by
    lines = [_text({key: value for key, value in content.items() if value}), "profiles:"]
    lines += [f"  {name}: {_flow(profile)}" for name, profile in profiles.items()]
    return "\n".join(lines).replace("\n\n", "\n") + "\n"


def _data(options: InitOptions) -> str | dict[str, object]:
    """Return the ``data`` of the track's file: a name, or a description of the .npz files."""
    if options.data in KNOWN or not options.data.endswith(".npz"):
        store.describe(options.data)  # raises for an unknown name
        if options.test_data is not None:
            raise UsageError("--test-data: only with own data (--data FILE.npz)")
        return options.data
    path = Path(options.data)
    files = NpzFiles(path, options.test_data)
    splits = {split: files.read(split) for split in FILE_SPLITS if files.missing(split) is None}
    for part in ("train", "test") if options.test_data is not None else ("train",):
        if part not in splits:
            files.read(part)  # raises with the reason
    images = splits["train"].images
    if images.shape[2] != images.shape[3]:
        raise UsageError(f"{path}: images of {images.shape[2]}×{images.shape[3]}; tracks need square ones")
    source = {
        "name": f"{options.name}-data" if path.stem in KNOWN else path.stem.lower(),
        "format": "npz",
        "path": _relative(path, options.folder),
        **({} if options.test_data is None else {"test_path": _relative(options.test_data, options.folder)}),
        "channels": images.shape[1],
        "size": images.shape[2],
        "classes": _classes(splits),
        "sha256": {split: fingerprint(data) for split, data in splits.items()},
    }
    DataSource.model_validate(source)
    return source


def _classes(splits: dict[FileSplit, LabelledImages]) -> int:
    return 1 + max(int(np.max(data.labels)) for data in splits.values())


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to the contest's folder.

    Raises:
        UsageError: If it is elsewhere: the track's file would be of no use on another machine.
    """
    absolute, root = path.resolve(), folder.resolve()
    if not absolute.is_relative_to(root):
        raise UsageError(f"{path}: is outside of the contest's folder {folder.resolve()}; copy it there first")
    return str(absolute.relative_to(root))


def _text(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _flow(content: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {json.dumps(value).strip(chr(34))}" for key, value in content.items()) + "}"

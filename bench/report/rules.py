"""``bench rules``: the rules of a track as text for participants, generated from its file."""

from collections.abc import Iterator

from tabulate import tabulate

from bench.contract.contest import Contest
from bench.contract.datasets import DataSource
from bench.contract.metrics import chosen
from bench.contract.tracks import OFFICIAL, Track, protocol_of
from bench.data.known import DatasetInfo
from bench.text import one_line

CAPS = {  # field of ``Caps`` -> what it counts
    "params": "distinct trainable parameters that take part in training",
    "stored_scalars": "scalars that the network stores for inference, buffers included",
    "macs_per_image": "multiply-accumulates per image, of all network evaluations of a sample",
    "training_flops": "floating-point operations of the whole training",
    "weight_bytes": "bytes of the final weights at their dtypes",
    "images_seen": "images seen in training, batch size × steps",
}
CONTRACT = """\
- A submission is a folder with `submission.yaml`, `model.py` and the code that they need. `bench new NAME` writes
  one, and `bench verify` checks it in seconds.
- Train on the data of this track alone: no other images, no pretrained weights.
- The network is rebuilt from its final weights for evaluation: state that they lack is lost.
- The prediction for an image must not depend on other images of its batch.
- Training does not get the evaluation images, and evaluation not the labels.
- A run that fails, or exceeds a limit, is shown with the reason and does not rank."""


def rules_text(track: Track, info: DatasetInfo, contest: Contest | None) -> str:
    """Return the rules in Markdown.

    Args:
        track: The track.
        info: Of its data set.
        contest: The contest that it belongs to, with rules in words; None for none.
    """
    sections = [f"## {title}\n\n{text}" if title else text for title, text in rules_sections(track, info, contest)]
    return "\n\n".join([f"# Rules: {one_line(track.title, 200)}", *sections]) + "\n"


def rules_sections(track: Track, info: DatasetInfo, contest: Contest | None) -> Iterator[tuple[str, str]]:
    """Yield (title, Markdown) of each part of the rules; the first one has no title. See ``rules_text``."""
    yield "", "\n".join(_facts(track, info))
    yield "Limits", _limits(track)
    yield "Runs", _profiles(track)
    yield "Submissions", CONTRACT
    if contest is not None and contest.content.rules:
        yield "Further rules", contest.content.rules.strip()


def _facts(track: Track, info: DatasetInfo) -> Iterator[str]:
    """Yield the task, the data and what ranks, a line each."""
    channels, height, width = info.image_shape
    kind = "grey" if channels == 1 else "colour"
    yield f"- **Task:** {track.task}; write `track: {track.name}` in `submission.yaml`."
    yield f"- **Data:** {info.name}, {info.num_classes:,} classes, {kind} images of {height}×{width} pixels."
    source = track.data
    if isinstance(source, DataSource) and source.train_images is not None:
        yield f"- **Training images:** {source.train_images:,} of them, the same fraction of every class."
    if isinstance(source, DataSource) and source.test_path is not None:
        yield "- **Test images:** the organiser has them; other profiles score on validation images."
    official, metric = track.profiles[OFFICIAL], protocol_of(track, OFFICIAL, track.data).metric
    best = "lower" if metric.better == "lower" else "higher"
    yield (
        f"- **Ranking:** mean {metric.label} of the last weights over {official.seeds:,} seeds, on the "
        f"{official.evaluate} images; {best} is better. All seeds must have a result. Equal means share a rank."
    )
    if track.metrics:
        shown = ", ".join(chosen(track.task, key).label for key in track.metrics)
        yield f"- **Shown beside it:** {shown}."


def _limits(track: Track) -> str:
    """Return the caps, the budget and the advice as a table."""
    caps = track.caps.model_dump()
    rows = [(f"{caps[name]:,}", what) for name, what in CAPS.items() if caps.get(name) is not None]
    rows.append((f"{track.profiles[OFFICIAL].steps:,}", "training steps: calls of `train_step`"))
    table = tabulate(rows, headers=("at most", "of"), tablefmt="github", disable_numparse=True)
    if track.advice is None:
        return str(table)
    limits = track.advice.model_dump()
    words = {"training_minutes": "minutes of training", "memory_gib": "GiB of memory"}
    advice = " and ".join(
        f"{limits[name]:g} {unit}" for name, unit in words.items() if limits.get(name) is not None
    )
    return f"{table}\n\nAdvised, without effect on the rank: at most {advice}."


def _profiles(track: Track) -> str:
    """Return the profiles as a table."""
    names = sorted(track.profiles, key=lambda name: (name != OFFICIAL, name))
    rows = []
    for name in names:
        profile = track.profiles[name]
        images = f"{profile.evaluation_images:,} images of " if profile.evaluation_images else ""
        samples = f", {profile.samples:,} samples" if profile.samples else ""
        rows.append(
            (name, f"{profile.steps:,}", f"{profile.seeds}", profile.train, f"{images}{profile.evaluate}{samples}")
        )
    headers = ("profile", "steps", "seeds", "trained on", "scored on")
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return f"{table}\n\nOnly official runs rank. `bench run --profile quick` is for trying out."

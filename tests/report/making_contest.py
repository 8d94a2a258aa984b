"""Records of a small leaderboard: two tracks and profiles, a tie, a failed run, a variant, and real images."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.manifest import REAL_IMAGES, AsPublished
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Evaluation, Record
from bench.contract.tracks import load_tracks, protocol_of
from bench.pictures import save_sheet
from tests.report.making_records import make_record, training_of

CLAIMS = {
    "params": 84_194,
    "top1_accuracy": {"mean": 0.502, "std": 0.042, "over": "batches of one run", "protocol": "as-published"},
}
TRACK = load_tracks()["cifar100-generation"]
CLEAN = AsPublished(mode="train", batch_size=64, best_seed=True, resize="clean", why="so it was")


def generator(
    name: str, seed: int, fid: float | None, *, profile: str = "official", published: AsPublished | None = CLEAN
) -> Record:
    """Return a run of a generator with made-up metrics; without ``fid``, one whose metrics were not measured."""
    protocol = protocol_of(TRACK, profile, "cifar100")
    samples = protocol.samples
    record = make_record(name, seed, claims={"fid": {"mean": 44.46, "protocol": "as-published"}})
    metrics: dict[str, float] = {}
    if fid is not None:
        metrics = {f"fid_{samples}": fid, f"kid_{samples}": 0.0123, f"precision_{samples}": 0.5}
        metrics |= {"lpips_alex_64": 0.25, "nearer_than_held_out": 0.51}
    evaluation = Evaluation(metrics=metrics, as_published={f"fid_clean_{samples}": fid - 4} if fid else {})
    update: dict[str, Any] = {
        "identity": record.identity.model_copy(update={"protocol_hash": protocol.hash, "steps": protocol.steps}),
        "protocol": protocol,
        "task": "generation",
        "evaluation": evaluation,
        "training": training_of(protocol.steps, 84_194),
        "as_published": published,
    }
    return record.model_copy(update=update)


def real_images(fid: float) -> Record:
    record = generator(REAL_IMAGES, 0, fid, published=None)
    identity = record.identity.model_copy(update={"steps": 0})
    return record.model_copy(
        update={"cost": None, "training": None, "unranked_because": ["real images"], "identity": identity}
    )


def contest() -> list[Record]:
    """Return all records."""
    records = [
        make_record("se_net", seed, value, claims=CLAIMS)
        for seed, value in enumerate((0.45, 0.47, 0.46, 0.45, 0.47))
    ]
    records += [make_record("wide", seed, value) for seed, value in enumerate((0.46, 0.45, 0.475, 0.455, 0.47))]
    records += [
        make_record("narrow", seed, value, params=40_000)
        for seed, value in enumerate((0.30, 0.31, 0.32, 0.30, 0.32))
    ]
    records += [make_record("moody", 0, 0.3), make_record("moody", 1, None)]
    records += [
        make_record("wide", 0, 0.6, variant="deep", params=104_804),
        make_record("se_net", 0, 0.2, profile="quick"),
    ]
    records += [generator("gan", seed, 60.0 + seed) for seed in range(3)]
    return [*records, generator("ddpm", 0, 50.0), real_images(5.25)]


def write_contest(results: Path, records: list[Record]) -> None:
    """Write the records as runs would, with the pictures of generators."""
    for record in records:
        path = record_path(results, record.identity, record.protocol)
        write_record(path, record)
        if record.task == "generation":
            noise = np.random.default_rng(record.identity.seed).integers(0, 256, (16, 3, 32, 32), np.uint8)
            for name in ("samples", "interpolation-linear", "progress/step-000100"):
                save_sheet(noise, path.with_suffix("") / f"{name}.png")

"""Records as a run would write them, for tests of code that reads records."""

from typing import Any

from bench.contract.manifest import Claims
from bench.contract.records.record import (
    Cost,
    Curves,
    DataUsed,
    Evaluation,
    Identity,
    Record,
    Throughput,
    Timing,
    Training,
)
from bench.contract.tracks import load_tracks, protocol_of


def training_of(steps: int, params: int) -> Training:
    """Return a training of ``steps`` steps on all of CIFAR-100."""
    curves = Curves(steps=[steps // 2, steps], values={"loss": [3.0, 2.0]})
    return Training(
        steps=steps,
        batch_size=128,
        epochs=steps * 128 / 50_000,
        params_after=params,
        curves=curves,
        weights_sha256="w",
    )


def make_record(
    submission: str = "net",
    seed: int = 0,
    accuracy: float | None = 0.5,
    *,
    variant: str = "base",
    profile: str = "official",
    params: int = 84_194,
    claims: dict[str, Any] | None = None,
    source: str = "s",
    finished_at: str = "2026-01-01T00:00:00+00:00",
    reason: str = "",
    background_load: float | None = None,
) -> Record:
    """Return the record of a run; without an accuracy, of a failed run."""
    protocol = protocol_of(load_tracks()["cifar100-classification"], profile, "cifar100")
    rate = Throughput(
        median_per_s=4000.0 + seed,
        iqr_per_s=10.0,
        blocks=10,
        calls_per_block=2,
        items_per_call=256,
        dtype="float32",
        background_load=background_load,
    )
    outcome: dict[str, Any] = {
        "status": "error",
        "reason": reason or "OSError: 5",
        "unranked_because": ["failed: error"],
    }
    if accuracy is not None:
        training = training_of(protocol.steps, params)
        evaluation = Evaluation(
            metrics={"top1_accuracy": accuracy, "nll": 1.5},
            as_published={"top1_accuracy": accuracy + 0.05},
            per_class_accuracy=[accuracy * index / 49.5 for index in range(100)],
            batch_independent=True,
        )
        unranked = [] if profile == "official" else [f"profile {profile}"]
        outcome = {
            "status": "ok",
            "training": training,
            "evaluation": evaluation,
            "unranked_because": unranked,
        }
    return Record(
        identity=Identity(
            submission=submission,
            variant=variant,
            seed=seed,
            overrides={},
            source_hash=source,
            protocol_hash=protocol.hash,
            data_fingerprints={"test": "f"},
            device_type="cpu",
            precision="fp32",
            steps=protocol.steps,
            as_published=None,
        ),
        protocol=protocol,
        task="classification",
        config={"batch_size": 128},
        sources={"model.py": source},
        claims=Claims.model_validate(claims or {}),
        data=DataUsed(
            name="cifar100",
            stand_in_for=None,
            images={"train+validation": 50_000, "test": 10_000},
            image_shape=(3, 32, 32),
            num_classes=100,
            channel_mean=(0.5,),
            channel_std=(0.25,),
            evaluation_images_also_in_train=10,
        ),
        cost=Cost(
            params=params,
            params_by_module={"model": params},
            inference_params=params,
            inference_buffers=997,
            inference_plain=0,
            macs_per_image=2_850_000,
            macs_by_operator={"conv": 2_850_000},
            elementwise_ops_per_image=1,
            uncounted_operators={},
            evaluations_per_sample=1,
            training_flops_per_step=4_470_000_000,
        ),
        environment={"device": "A CPU", "device_type": "cpu", "threads": 1},
        timing=Timing(
            started_at=finished_at,
            finished_at=finished_at,
            attempt=1,
            resumes=0,
            training_seconds=800.0 + params / 1000,
            inference_images_per_s=rate,
        ),
        **outcome,
    )

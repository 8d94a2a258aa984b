"""The configuration of `bench run`: seeds, parallel runs, memory limits and option checks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.harness.config import RunConfig, parse_seeds
from bench.harness.executors.limits import default_memory
from bench.harness.executors.sandbox import NO_SANDBOX


def config(profile: str = "quick", jobs: int = 1, **options: Any) -> RunConfig:
    nowhere = Path("nowhere")
    return RunConfig(profile=profile, device="cpu", results=nowhere, data_root=nowhere, jobs=jobs, **options)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, [0, 1, 2]),
        ("5", [0, 1, 2, 3, 4]),
        ("0,3,7", [0, 3, 7]),
        ("4,", [4]),
        ("2-4", [2, 3, 4]),
        ("0-1,9", [0, 1, 9]),
    ],
)
def test_seed_lists_are_parsed(text: str | None, seeds: list[int]) -> None:
    assert parse_seeds(text, 3) == seeds


@pytest.mark.parametrize("text", ["", "0", "a", "1,1", "3-", "-3", "4-2", "1.5", "99999"])
def test_invalid_seed_lists_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text, 3)


def test_last_runs_use_all_cores_unless_jobs_is_fixed() -> None:
    shared, fixed = (config(jobs=2, jobs_chosen=chosen) for chosen in (True, False))
    assert [shared.jobs_at_once(remaining) for remaining in (7, 4, 3, 2, 1)] == [2, 2, 3, 2, 1]
    assert [fixed.jobs_at_once(remaining) for remaining in (7, 4, 3, 2, 1)] == [2, 2, 2, 2, 2]
    assert shared.memory_per_run == default_memory(3)
    assert fixed.memory_per_run == default_memory(2)


def test_official_speeds_are_measured_longer_and_alone() -> None:
    official, quick = config("official", jobs=8), config("quick", jobs=8)
    assert official.measures_speed_alone and not quick.measures_speed_alone
    assert not config("official", jobs=8, executor="slurm").measures_speed_alone  # separate machines
    assert replace(official, device="cuda").measures_speed_alone
    assert replace(quick, device="cuda", speeds="alone").measures_speed_alone
    assert not replace(official, speeds="shared").measures_speed_alone
    assert official.speed_measurement > quick.speed_measurement


def test_memory_limit_is_a_share_of_ram_on_a_cpu_and_absent_on_a_gpu() -> None:
    on_cpu, on_gpu = config(jobs=2), replace(config(jobs=2), device="cuda")
    assert on_cpu.memory_per_run == default_memory(2)
    assert on_gpu.memory_per_run is None  # CUDA reserves more than it uses
    explicit = 10 * default_memory(1)  # an explicit limit wins, even above the machine's RAM
    assert replace(on_gpu, memory_bytes=explicit).memory_per_run == explicit
    assert replace(on_cpu, memory_bytes=explicit).memory_per_run == explicit


def test_jobs_and_threads_are_chosen_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.planning.devices.usable_cores", lambda: 8)
    default = RunConfig(device="cpu")
    chosen = default.with_parallelism(3)
    assert (chosen.jobs, chosen.threads, chosen.jobs_chosen) == (3, 2, True)
    explicit = replace(default, jobs=2, threads=1).with_parallelism(3)
    assert (explicit.jobs, explicit.threads, explicit.jobs_chosen) == (2, 1, False)
    remote = replace(default, executor="ray").with_parallelism(3, remote_slots=16)
    assert (remote.jobs, remote.threads, remote.jobs_chosen) == (16, 1, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "--precision 'fp8': give fp32, tf32 or bf16"),
        ({"precision": "tf32"}, "--precision tf32: TF32 needs an NVIDIA GPU"),
        ({"compile": "graph"}, "--compile graph: CUDA graphs need an NVIDIA GPU"),
        ({"speeds": "fast"}, "--speeds 'fast'"),
        ({"sandbox": "jail"}, "--sandbox 'jail'"),
    ],
)
def test_invalid_options_are_refused_when_resolved(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RunConfig(**{"device": "cpu", **options}).resolved()


def test_resolved_configuration_has_device_and_sandbox() -> None:
    resolved = RunConfig(device="cpu", sandbox="none", track=Path("cifar100-open")).resolved()
    assert (resolved.device, resolved.sandbox, resolved.track) == ("cpu", "none", None)
    assert resolved.confinement == NO_SANDBOX
    remote = RunConfig(executor="ray", sandbox="bwrap").resolved(remote_device="cuda")
    assert (remote.device, remote.sandbox) == ("cuda", "none")  # each node chooses its own

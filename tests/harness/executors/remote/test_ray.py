"""Runs on a local Ray cluster of several node processes; one of them is killed during training."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.errors import ExitCode
from tests.harness.elsewhere import (
    Contest,
    comparable_content,
    events,
    in_training,
    make_contest,
    records_by_seed,
    start,
)
from tests.making import HUNG_SECONDS, bench, write_submission

pytest.importorskip("ray", reason="Ray is an extra: pip install 'capbench[ray]'")

pytestmark = pytest.mark.processes
SEEDS = 2
KEEP_SECONDS = 2.0  # shortest time between two checkpoints that a node sends to the driver


@dataclass
class Cluster:
    """Two nodes with one core each, and a head node without cores."""

    ray: Any
    nodes: list[Any]
    folder: Path

    @property
    def address(self) -> str:
        return str(self.ray.address)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from ray.cluster_utils import Cluster as RayCluster

    folder = tmp_path_factory.mktemp("cluster")
    # Detect a dead node in seconds instead of half a minute.
    quick = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_failure_threshold": 3,
    }
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    ray = RayCluster(initialize_head=True, head_node_args=head)
    nodes = []
    for name in ("one", "two"):
        cache = {"XDG_CACHE_HOME": str(folder / name), "BENCH_WEIGHTS": os.devnull}
        nodes.append(ray.add_node(num_cpus=1, env_vars=cache))
    yield Cluster(ray, nodes, folder)
    ray.shutdown()


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Contest:
    return make_contest(tmp_path_factory.mktemp("contest"), SEEDS)


def test_lost_node_is_replaced_and_records_equal_local_ones(cluster: Cluster, contest: Contest) -> None:
    # No sandbox, because nodes must see the file `go`.
    options = ("--executor", "ray", "--address", cluster.address, "--sandbox", "none")
    contest.go.unlink(missing_ok=True)
    to_remove = [cluster.nodes[0]]
    with start(contest.arguments("cluster", *options)) as process:
        for received in events(process):
            if to_remove and in_training(received) == {0, 1}:
                time.sleep(2 * KEEP_SECONDS)  # until at least one checkpoint has been sent
                cluster.ray.remove_node(to_remove.pop(), allow_graceful=False)
                contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == 0, received
    assert not to_remove and any("its node was lost" in event.get("text", "") for event in received)
    local = bench("run", *contest.arguments("local", "--jobs", "2"))
    assert local.returncode == 0
    remote_records = records_by_seed(contest.folder / "cluster")
    local_records = records_by_seed(contest.folder / "local")
    assert sorted(remote_records) == list(range(SEEDS))
    assert {seed: comparable_content(record) for seed, record in remote_records.items()} == {
        seed: comparable_content(record) for seed, record in local_records.items()
    }
    # One run resumed from the sent checkpoint.
    assert max(record.timing.resumes for record in remote_records.values()) == 1
    assert not list(contest.folder.rglob("work"))
    # Each of the three arrays is stored once per node, whatever the number of runs.
    assert len(list((cluster.folder / "two").rglob("*.npy"))) == 3


def test_interrupted_ray_run_resumes_locally_from_its_checkpoint(cluster: Cluster, contest: Contest) -> None:
    options = ("--executor", "ray", "--address", cluster.address, "--seeds", "1", "--sandbox", "none")
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("stopped", *options)) as process:
        for received in events(process):
            if in_training(received):
                process.send_signal(signal.SIGINT)
                break
        assert process.stderr is not None and "checkpoints are kept" in process.stderr.read()
        contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == ExitCode.INTERRUPTED
    assert len(list((contest.folder / "stopped").rglob("checkpoint.pt"))) == 1
    assert bench("run", *contest.arguments("stopped", "--jobs", "2", "--seeds", "1")).returncode == 0
    assert [record.timing.resumes for record in records_by_seed(contest.folder / "stopped").values()] == [1]


def test_search_on_ray_resumes_at_each_rung(cluster: Cluster, contest: Contest) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")
    search = {"rungs": {"first": 0.25, "factor": 2}, "space": {"learning_rate": {"log_uniform": [1e-3, 1e-2]}}}
    manifest = yaml.safe_dump({"track": "tiny", "search": search})
    submission = write_submission(contest.folder, "searched", manifest=manifest)
    options = (
        "--track",
        contest.track,
        "--device",
        "cpu",
        "--profile",
        "quick",
        "--results",
        contest.folder / "s",
    )
    on_ray = ("--executor", "ray", "--address", cluster.address)
    result = bench("tune", submission, "--trials", 1, *options, *on_ray)
    assert result.returncode == 0, result.stderr
    (record,) = records_by_seed(contest.folder / "s" / "tuning" / "searched-quick").values()
    assert record.status == "ok" and record.timing.resumes == 2  # from the checkpoint of each of the two rungs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--executor", "moon"), "--executor 'moon': give local, ray or slurm"),
        (("--address", "somewhere:1"), "--address: only for a Ray cluster; add --executor ray"),
        (("--executor", "ray", "--gpus-per-run", "0"), "--gpus-per-run 0.0: give more than 0"),
    ],
)
def test_invalid_executor_options_are_refused(options: tuple[str, ...], message: str, contest: Contest) -> None:
    result = bench("run", *contest.arguments("nowhere", *options))
    assert result.returncode == ExitCode.USAGE and message in result.stderr and "Traceback" not in result.stderr


def test_address_without_a_cluster_is_a_usage_error(contest: Contest) -> None:
    result = bench("run", *contest.arguments("nowhere", "--executor", "ray", "--address", "127.0.0.1:1"))
    assert result.returncode == ExitCode.USAGE and "no Ray cluster there" in result.stderr
    assert "Traceback" not in result.stderr

"""Runs on a real Ray cluster: several node processes on this machine, one of them killed while it works."""

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
from tests.harness.elsewhere import Contest, content, events, found, in_training, make_contest, start
from tests.making import HUNG_SECONDS, bench, write_submission

pytest.importorskip("ray", reason="Ray is an extra: pip install 'capbench[ray]'")

pytestmark = pytest.mark.processes
SEEDS = 2
KEEP_SECONDS = 2.0  # between checkpoints that a node sends away, if they are saved more often


@dataclass
class Cluster:
    """Two nodes of one core each, and a head without any."""

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
    # Who is dead is found out in seconds, not in half a minute.
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


def test_a_node_dies_and_every_record_is_there_once_as_if_run_here(cluster: Cluster, contest: Contest) -> None:
    options = ("--executor", "ray", "--address", cluster.address, "--sandbox", "none")  # so that they see it
    contest.go.unlink(missing_ok=True)
    doomed = [cluster.nodes[0]]
    with start(contest.arguments("cluster", *options)) as process:
        for said in events(process):
            if doomed and in_training(said) == {0, 1}:
                time.sleep(2 * KEEP_SECONDS)  # slow steps go on, and at least one checkpoint has left the node
                cluster.ray.remove_node(doomed.pop(), allow_graceful=False)
                contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == 0, said
    assert not doomed and any("its node was lost" in event.get("text", "") for event in said)
    here = bench("run", *contest.arguments("here", "--jobs", "2"))
    assert here.returncode == 0
    theirs, ours = found(contest.folder / "cluster"), found(contest.folder / "here")
    assert sorted(theirs) == list(range(SEEDS))
    assert {seed: content(record) for seed, record in theirs.items()} == {
        seed: content(record) for seed, record in ours.items()
    }
    assert max(record.timing.resumes for record in theirs.values()) == 1  # it went on from the kept checkpoint
    assert not list(contest.folder.rglob("work"))
    # Each of the three arrays lies once on a node, whatever the number of runs.
    assert len(list((cluster.folder / "two").rglob("*.npy"))) == 3


def test_interrupted_it_keeps_checkpoints_and_goes_on_here(cluster: Cluster, contest: Contest) -> None:
    options = ("--executor", "ray", "--address", cluster.address, "--seeds", "1", "--sandbox", "none")
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("stopped", *options)) as process:
        for said in events(process):
            if in_training(said):
                process.send_signal(signal.SIGINT)
                break
        assert process.stderr is not None and "checkpoints are kept" in process.stderr.read()
        contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == ExitCode.INTERRUPTED
    assert len(list((contest.folder / "stopped").rglob("checkpoint.pt"))) == 1
    assert bench("run", *contest.arguments("stopped", "--jobs", "2", "--seeds", "1")).returncode == 0
    assert [record.timing.resumes for record in found(contest.folder / "stopped").values()] == [1]


def test_a_search_goes_from_rung_to_rung_there(cluster: Cluster, contest: Contest) -> None:
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
    done = bench("tune", submission, "--trials", 1, *options, *on_ray)
    assert done.returncode == 0, done.stderr
    (record,) = found(contest.folder / "s" / "tuning" / "searched-quick").values()
    assert record.status == "ok" and record.timing.resumes == 2  # from each of the two rungs' checkpoints


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--executor", "moon"), "--executor 'moon': give local, ray or slurm"),
        (("--address", "somewhere:1"), "--address: only for a Ray cluster; add --executor ray"),
        (("--executor", "ray", "--gpus-per-run", "0"), "--gpus-per-run 0.0: give more than 0"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], message: str, contest: Contest) -> None:
    done = bench("run", *contest.arguments("nowhere", *options))
    assert done.returncode == ExitCode.USAGE and message in done.stderr and "Traceback" not in done.stderr


def test_no_cluster_at_an_address(contest: Contest) -> None:
    done = bench("run", *contest.arguments("nowhere", "--executor", "ray", "--address", "127.0.0.1:1"))
    assert done.returncode == ExitCode.USAGE and "no Ray cluster there" in done.stderr
    assert "Traceback" not in done.stderr

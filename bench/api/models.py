"""Trained networks of finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.contest import results_folder, submissions_folder
from bench.contract.jobs.files import WEIGHTS
from bench.contract.records.files import record_path
from bench.contract.records.record import Record
from bench.errors import ResultsError, UsageError
from bench.files import hash_file
from bench.harness.planning.devices import choose_device
from bench.report.records.load import read_all

if TYPE_CHECKING:
    from torch import nn


def load_model(  # noqa: PLR0913 - what identifies a run
    run: str | Record,
    *,
    seed: int = 0,
    variant: str = "base",
    track: str | None = None,
    profile: str = "official",
    results: str | Path | None = None,
    submissions: str | Path | None = None,
    device: str = "cpu",
) -> "nn.Module":
    """Return the trained network of a finished run, in eval mode and without gradients.

    The submission's code runs in this process, without a sandbox; random states, working folder and threads are
    restored. Weights are stored next to the record and not in
    git: they exist where the run was made, or after ``bench unpack`` of an archive that contains them.

    Args:
        run: The run's record, or the name of its submission together with the next four arguments; of several runs
            with these properties, such as on two devices, the newest.
        seed: Seed of the run; ignored with a record.
        variant: Name of the variant; ignored with a record.
        track: Name of the track; None if the run exists on one track only. Ignored with a record.
        profile: Name of the profile; ignored with a record.
        results: Folder of the records; None for the contest's, elsewhere ``results``.
        submissions: Folder that contains the submission's folder; None for the contest's, elsewhere
            ``submissions``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        The network that ``build_model`` returned. A classifier's maps uint8 images, (B, C, H, W), to float32
        logits, (B, num_classes); the input of a generator's is up to the submission.

    Raises:
        ResultsError: If there is no such run, its weights are missing, or the submission's code has changed.
        UsageError: If the run exists on several tracks and ``track`` is not given, or the device is not available.
        ContractError: If the code raises an error, or the weights do not fit its network.
    """
    from bench.job.inference.trained import trained_network

    results = results_folder(results)
    if not isinstance(run, str | Record):
        raise UsageError(f"load_model: run={run!r}: give a record, or the name of a submission")
    if not results.is_dir():
        raise ResultsError(f"{results}: no such folder; give `results`, the folder of the run's record")
    record = run if isinstance(run, Record) else _record_of(results, run, variant, seed, profile, track)
    if record.status != "ok":
        raise ResultsError(f"{record!r}: the run has no final weights: {record.reason}")
    device = choose_device(device)
    weights = record_path(results, record.identity, record.protocol).with_suffix("") / WEIGHTS
    if not weights.is_file():
        raise ResultsError(f"{weights}: missing (weights are not in git); repeat the run, or unpack its archive")
    if record.training is None or hash_file(weights) != record.training.weights_sha256:
        raise ResultsError(f"{weights}: not the weights that belong to its record; repeat the run")
    return trained_network(record, submissions_folder(submissions) / record.identity.submission, weights, device)


def _record_of(results: Path, submission: str, variant: str, seed: int, profile: str, track: str | None) -> Record:
    """Return the newest record of a finished run with these properties."""
    label = f"{submission}/{variant}, profile {profile}, seed {seed}"
    records, problems = read_all(results)
    matching = [
        record
        for record in records
        if (record.identity.submission, record.identity.variant) == (submission, variant)
        and (record.protocol.profile, record.identity.seed) == (profile, seed)
        and track in (None, record.protocol.track)
        and record.status == "ok"
    ]
    if not matching:
        unread = f"; {len(problems)} files could not be read, such as {problems[0]}" if problems else ""
        raise ResultsError(f"{results}: no finished run of {label}; `bench status` lists the runs{unread}")
    tracks = sorted({record.protocol.track for record in matching})
    if len(tracks) > 1:
        raise UsageError(f"load_model: {label} exists on the tracks {', '.join(tracks)}; give `track`")
    return max(matching, key=lambda record: record.timing.finished_at)

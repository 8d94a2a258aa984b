"""The trained network of a record, rebuilt from its weights for use outside of the harness."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from bench.contract.fingerprint import sources_of
from bench.contract.records.record import Record
from bench.errors import ResultsError
from bench.job.inference.prediction import load_weights
from bench.job.loading import build_network, data_spec, load_submission, seed_everything


def trained_network(record: Record, folder: Path, weights: Path, device: str) -> nn.Module:
    """Rebuild the network of a finished run, in eval mode, without gradients.

    Args:
        record: A run with data and training.
        folder: The submission's folder, whose code must be that of the record.
        weights: The safetensors file of the run's final weights.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ResultsError: If the submission's code or shared code has changed since.
        ContractError: If the code cannot be loaded, or the weights do not fit its network.
    """
    data = record.data
    assert data is not None
    current = sources_of(folder / "model.py")
    changed = sorted(
        name for name in current.keys() | record.sources.keys() if current.get(name) != record.sources.get(name)
    )
    if changed:
        commit = (record.environment.get("repository") or {}).get("commit")
        where = f"check out {commit[:12]}" if commit else "check out the code of the record"
        raise ResultsError(f"{folder}: {', '.join(changed)} changed since the run; {where}, or run it again")
    submission = load_submission(folder, record.protocol.task, record.identity.overrides)
    seed_everything(record.identity.seed, "rebuild")
    model = build_network(submission, data_spec(data), torch.device(device))
    return load_weights(model, load_file(weights, device=device))

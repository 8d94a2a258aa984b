"""The trained network of a record, rebuilt from its weights for use outside of the harness."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from bench.contract.fingerprint import sources_of
from bench.contract.records.record import Record
from bench.errors import BenchError, ContractError, ResultsError
from bench.job.inference.prediction import load_weights
from bench.job.loading import build_network, data_spec, load_submission, seed_everything
from bench.text import one_line


def trained_network(record: Record, folder: Path, weights: Path, device: str) -> nn.Module:
    """Rebuild the network of a finished run, in eval mode, without gradients.

    Args:
        record: A run with data and training.
        folder: The submission's folder, whose code must be that of the record.
        weights: The safetensors file of the run's final weights.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ResultsError: If the record has no data, or the submission's code or shared code has changed since.
        ContractError: If the code raises, or the weights do not fit its network.
    """
    data = record.data
    if data is None:
        raise ResultsError(f"{record!r}: the record names no data set, so its network cannot be rebuilt")
    current = sources_of(folder / "model.py")
    changed = sorted(
        name for name in current.keys() | record.sources.keys() if current.get(name) != record.sources.get(name)
    )
    if changed:
        commit = (record.environment.get("repository") or {}).get("commit")
        where = f"check out {commit[:12]}" if commit else "check out the code of the record"
        raise ResultsError(f"{folder}: {', '.join(changed)} changed since the run; {where}, or run it again")
    with _preserved_process_state():
        try:
            submission = load_submission(folder, record.protocol.task, record.identity.overrides)
            seed_everything(record.identity.seed, "rebuild")
            model = build_network(submission, data_spec(data), torch.device(device))
        except BenchError:
            raise
        except (Exception, SystemExit) as error:
            reason = one_line(f"{type(error).__name__}: {error}", 300)
            raise ContractError(f"{folder / 'model.py'}: cannot be loaded: {reason}") from error
        return load_weights(model, load_file(weights, device=device))


@contextmanager
def _preserved_process_state() -> Iterator[None]:
    """Restore random states, working folder and number of threads, which the submission may change."""
    folder, threads = Path.cwd(), torch.get_num_threads()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            torch.set_num_threads(threads)
            os.chdir(folder)

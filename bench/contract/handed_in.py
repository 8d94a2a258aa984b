"""The metrics of weights that were trained elsewhere. They are no record: no table of records reads them."""

from typing import Literal

from bench.contract.documents.schema import Strict
from bench.contract.records.record import Cost, DataUsed, Evaluation
from bench.contract.tracks import Protocol

# What a run verifies, and an evaluation of handed-in weights does not.
NOT_VERIFIED = ("training budget", "seeds", "training data", "training images", "author of the weights")


class HandedInScore(Strict):
    """The metrics of one submission's handed-in weights."""

    trained: Literal["elsewhere"] = "elsewhere"
    ranked: Literal[False] = False
    not_verified: tuple[str, ...] = NOT_VERIFIED
    submission: str  # name
    file: str  # of the weights, as it was given
    sha256: str  # of the file
    seed: int  # from which a generator's samples were drawn
    source_hash: str  # of the submission's code, as in ``Identity``
    protocol: Protocol
    protocol_hash: str
    data: DataUsed
    data_fingerprints: dict[str, str]  # split -> sha256
    cost: Cost
    evaluation: Evaluation
    not_measured: dict[str, str] = {}  # metric -> reason

"""Specifications that the parent process, which owns the results, writes for a job's processes.

A job is one (submission, variant, seed). Each of its phases (verify, train, evaluate, score) is a process with its
own folder ``work/<phase>``, where it reads ``spec.json`` and writes a report (see ``reports``). Weights are
exchanged as safetensors and predictions as raw arrays; the output that a submission prints is never parsed.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from bench.contract.datasets import DataSource
from bench.contract.documents.schema import Strict, with_current_names
from bench.contract.manifest import AsPublished
from bench.contract.tracks import Protocol

Precision = Literal["fp32", "tf32", "bf16"]
Compile = Literal["auto", "on", "off", "graph"]


class ArrayFile(Strict):
    """An array file and its sha256, which every reader checks."""

    path: Path
    sha256: str


class JobData(Strict):
    """The data of a job, one file per array, without the evaluation labels.

    The verify phase gets no arrays. The score phase, which runs no submission code, reads the data sets directly.
    """

    name: str
    root: Path  # of the data sets, for the score phase
    source: DataSource | None = None  # likewise, unless it is a known data set
    train_images: ArrayFile | None = None  # (N, C, H, W) uint8
    train_labels: ArrayFile | None = None  # (N,) int64
    evaluation_images: ArrayFile | None = None  # (M, C, H, W) uint8
    image_shape: tuple[int, int, int]
    num_classes: int
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]


class Execution(Strict):
    """How training steps are computed. Results differ by rounding only."""

    # tf32: GPU matrix products and convolutions round their inputs to 10 mantissa bits. bf16: autocast around the
    # step. Weights and optimizer state stay in float32.
    precision: Precision = "fp32"
    compiled: bool = False  # by torch.compile; on a GPU with CUDA graphs
    graphed: bool = False  # the complete step as one CUDA graph, with fused optimizers
    memory_format: Literal["channels_last"] = "channels_last"  # of convolution weights

    @model_serializer(mode="wrap")
    def _omit_default_graphed(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit ``graphed`` if it is False, as records had no such field before CUDA graphs were added."""
        content: dict[str, Any] = write(self)
        if not self.graphed:
            del content["graphed"]
        return content


class JobSpec(Strict):
    """The specification of one phase of a job."""

    submission: str
    folder: Path  # holds model.py
    variant: str
    overrides: dict[str, Any]
    seed: int
    protocol: Protocol
    steps: int  # of this run: the protocol's, unless the submission or its variant sets others
    until: int | None = None  # stop at this step, to evaluate and resume later; None trains to the end
    data: JobData
    as_published: AsPublished | None
    device: str  # "cpu", "cuda" or "cuda:1"
    threads: int
    work: Path
    checkpoint_seconds: float = 30.0  # 0 saves a checkpoint after every step
    speed_seconds: float = 2.0  # of each of the two speed measurements in verification; 0 skips them
    speeds_in_turn: bool = False  # whether to wait for the file TURN before these measurements
    speed_images: int = 256  # per call of the network in the measurement of inference speed
    memory_bytes: int | None = None  # memory limit per process, on a CPU
    file_bytes: int = 8 * 1024**3  # maximum size of a file that a process writes
    execution: Execution = Execution()
    compile: Compile = "off"  # whether verification measures compiled steps
    runs_ahead: int = 1  # number of trainings that will use the execution mode chosen now
    machine: dict[str, Any] | None = None  # description from the executor; None to detect it
    declared: dict[str, dict[str, Any]] = {}  # section of submission.yaml -> config fields that it sets
    compile_cache: Path | None = None  # shared between jobs; None for a cache inside ``work``

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, content: Any) -> Any:
        return with_current_names(content, {"compiled": "compile_cache"})

    @property
    def ends(self) -> bool:
        """Whether this training runs to its last step, so that it will not be resumed."""
        return self.until is None or self.until >= self.steps

"""Handed-in weights files: where they are looked for, and what differs from the network's final weights."""

from pathlib import Path

import pytest

from bench.contract.jobs.reports import HandedInWeights, StoredTensor, Verification
from bench.contract.tracks import load_tracks
from bench.errors import ContractError, UsageError
from bench.harness.submissions.discovery import SubmissionSource, discover
from bench.harness.submissions.handed_in import check_fits, weights_file
from tests.making import write_submission, write_track


@pytest.fixture
def net(tmp_path: Path) -> SubmissionSource:
    (submission,), _ = discover([write_submission(tmp_path, "net")], load_tracks(write_track(tmp_path)))
    return submission


def test_file_is_found_in_the_submission_in_a_folder_or_as_given(net: SubmissionSource, tmp_path: Path) -> None:
    inside, folder, alone = net.folder / "weights.pt", tmp_path / "in", tmp_path / "any.safetensors"
    folder.mkdir()
    for path in (inside, folder / "net.pth", folder / "other.pt", alone):
        path.touch()
    assert weights_file(net, None, only=False) == inside
    assert weights_file(net, folder, only=False) == folder / "net.pth"
    assert weights_file(net, alone, only=True) == alone
    with pytest.raises(UsageError, match="one file for several submissions; .* such as net.safetensors"):
        weights_file(net, alone, only=False)


def test_missing_or_doubtful_files_are_named(net: SubmissionSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights: none of weights.safetensors, weights.pt, weights.pth is in"):
        weights_file(net, None, only=True)
    with pytest.raises(UsageError, match="no such file or folder"):
        weights_file(net, tmp_path / "absent", only=True)
    (tmp_path / "x.h5").touch()
    with pytest.raises(UsageError, match="x.h5: weights files are .safetensors, .pt, .pth"):
        weights_file(net, tmp_path / "x.h5", only=True)
    for name in ("weights.pt", "weights.safetensors"):
        (net.folder / name).touch()
    with pytest.raises(UsageError, match="two weights files"):
        weights_file(net, None, only=True)


NETWORK = {
    "w": StoredTensor(dtype="float32", shape=[2, 3]),
    "mask": StoredTensor(dtype="float32", shape=[4]),
    "observed": StoredTensor(dtype="float32", shape=None),
}
VERIFIED = Verification(
    config={}, cost=None, problems=[], final_weights=NETWORK, parameters=["w"], environment={"device": "cpu"}
)


def handed_in(not_finite: tuple[str, ...] = (), **tensors: tuple[str, list[int]] | None) -> HandedInWeights:
    """Return a file with the network's tensors, except for ``tensors``: dtype and shape, or None without it."""
    kinds: dict[str, tuple[str, list[int]] | None] = {
        "w": ("float32", [2, 3]), "mask": ("float32", [4]), "observed": ("float32", [7])
    } | tensors  # fmt: skip
    stored = {name: StoredTensor(dtype=kind[0], shape=kind[1]) for name, kind in kinds.items() if kind is not None}
    return HandedInWeights(tensors=stored, not_finite=list(not_finite), sha256="")


def test_tensors_of_the_network_fit() -> None:
    check_fits(handed_in(), VERIFIED)
    check_fits(handed_in(not_finite=("mask",)), VERIFIED)  # a buffer, such as an attention mask


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (handed_in(w=None), "w is missing"),
        (handed_in(more=("float32", [1])), "more is not in the network"),
        (handed_in(w=("float32", [2, 1])), r"w has shape \(2, 1\), in the network \(2, 3\)"),
        (handed_in(w=("float64", [2, 3])), "w is float64, in the network float32"),
        (handed_in(w=None, a=("x", []), b=("x", []), c=("x", [])), "a is not .*, and 1 more; w is missing"),
        (handed_in(not_finite=("mask", "w")), "^w: NaN or infinite"),
    ],
)
def test_differences_are_named(weights: HandedInWeights, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_fits(weights, VERIFIED)

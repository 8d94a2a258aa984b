"""Weights files that participants hand in: where they lie, and whether their tensors are those of the network."""

from pathlib import Path

from bench.contract.jobs.files import HANDED_IN_SUFFIXES
from bench.contract.jobs.reports import HandedInWeights, StoredTensor, Verification
from bench.errors import ContractError, UsageError
from bench.harness.submissions.discovery import SubmissionSource
from bench.text import one_line

NAMES = tuple(f"weights{suffix}" for suffix in HANDED_IN_SUFFIXES)  # in a submission's folder
MAX_FILE_BYTES = 2**30
SHOWN = 2  # differences of one kind in a message


def weights_file(submission: SubmissionSource, option: Path | None, *, only: bool) -> Path:
    """Return the weights file of a submission.

    Args:
        submission: The submission.
        option: A file, or a folder of files with the submissions' names; None for the submission's folder.
        only: Whether it is the only submission, so that ``option`` may be its file.

    Raises:
        UsageError: If there is no file, more than one, or one that is too large.
    """
    if option is not None and not option.exists():
        raise UsageError(f"--weights {option}: no such file or folder")
    if option is not None and not option.is_dir():
        if not only:
            raise UsageError(
                f"--weights {option}: one file for several submissions; give one submission, or a folder with a "
                f"file per submission, such as {submission.name}{HANDED_IN_SUFFIXES[0]}"
            )
        return _checked(option)
    folder = submission.folder if option is None else option
    names = NAMES if option is None else [f"{submission.name}{suffix}" for suffix in HANDED_IN_SUFFIXES]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        hint = "; or give --weights" if option is None else ""
        raise UsageError(f"no weights: none of {', '.join(names)} is in {folder}{hint}")
    if len(found) > 1:
        raise UsageError(f"{found[0]} and {found[1].name}: two weights files; remove one")
    return _checked(found[0])


def _checked(path: Path) -> Path:
    if path.suffix not in HANDED_IN_SUFFIXES:
        raise UsageError(f"{path}: weights files are {', '.join(HANDED_IN_SUFFIXES)}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise UsageError(f"{path}: {size:,} bytes, at most {MAX_FILE_BYTES:,}; hand in the weights alone")
    return path


def check_fits(weights: HandedInWeights, verification: Verification) -> None:
    """Check that handed-in tensors have names, shapes and dtypes of the verified network's final weights.

    Raises:
        ContractError: If they differ, or a parameter is not finite.
    """
    differences = _differences(weights.tensors, verification.final_weights)
    if differences:
        raise ContractError(
            f"does not fit the network of build_model: {'; '.join(differences)}. Save the state dict of that "
            "network, with the same config and dtypes, and not of a wrapper (DataParallel, torch.compile, an EMA)"
        )
    # Buffers, such as an attention mask, may be infinite.
    not_finite = sorted(set(weights.not_finite) & set(verification.parameters))
    if not_finite:
        more = f" and {len(not_finite) - 1} more" if len(not_finite) > 1 else ""
        raise ContractError(f"{_shown(not_finite[0])}{more}: NaN or infinite; parameters must be finite")


def _differences(found: dict[str, StoredTensor], expected: dict[str, StoredTensor]) -> list[str]:
    """Return a text per kind of difference; each names the first ones."""
    both = sorted(found.keys() & expected.keys())
    shapes = [
        f"{_shown(name)} has shape {_shape(found[name])}, in the network {_shape(expected[name])}"
        for name in both
        if expected[name].shape not in (None, found[name].shape)
    ]
    dtypes = [
        f"{_shown(name)} is {found[name].dtype}, in the network {expected[name].dtype}"
        for name in both
        if found[name].dtype != expected[name].dtype
    ]
    unknown = [f"{_shown(name)} is not in the network" for name in sorted(found.keys() - expected.keys())]
    missing = [f"{_shown(name)} is missing" for name in sorted(expected.keys() - found.keys())]
    return [_first(kind) for kind in (unknown, missing, shapes, dtypes) if kind]


def _first(lines: list[str]) -> str:
    more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more


def _shown(name: str) -> str:
    return one_line(name, 100)


def _shape(tensor: StoredTensor) -> str:
    return f"({', '.join(map(str, tensor.shape or ()))})"

"""Check of a weights file by the parent process, between training and evaluation: it may hold only tensors."""

import json
from pathlib import Path

from bench.errors import ContractError, RunFailed
from bench.files import hash_file

LENGTH_BYTES = 8  # size of the header length field, a little-endian integer at the start of a safetensors file
PADDING_BYTES = 8  # most spaces that may pad the header


def check_weights(path: Path, sha256: str) -> None:
    """Check that a weights file holds nothing but tensors.

    The names and shapes of the tensors are checked later, by strict loading into the rebuilt network.

    Args:
        path: The weights file of the train phase.
        sha256: The file's hash in the training report.

    Raises:
        ContractError: If the hash differs, or the file is no safetensors file or holds anything except tensors.
    """
    try:
        if hash_file(path) != sha256:
            raise ContractError("the weights file was changed after training reported its hash")
        length, text = _header(path)
        header = json.loads(text)
        tensors = {name: value for name, value in header.items() if name != "__metadata__"}
        end = max((value["data_offsets"][1] for value in tensors.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ContractError(f"the weights are not a safetensors file ({' '.join(str(error).split())})") from None
    if header.get("__metadata__") or len(text) - len(text.rstrip(" ")) > PADDING_BYTES:
        raise ContractError("the header of the weights file holds more than tensors")
    if path.stat().st_size != LENGTH_BYTES + length + end:
        raise ContractError("the weights file holds extra bytes after the tensors")


def weight_bytes(path: Path) -> int:
    """Return the bytes of the tensors in a weights file that passed ``check_weights``, at their dtypes.

    Raises:
        RunFailed: If the file cannot be read.
    """
    try:
        return path.stat().st_size - LENGTH_BYTES - _header(path)[0]
    except (OSError, ValueError) as error:
        raise RunFailed(f"{path.name}: cannot be read ({error})") from None


def _header(path: Path) -> tuple[int, str]:
    """Return the length of a safetensors file's header in bytes, and the header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        return length, file.read(min(length, path.stat().st_size)).decode("utf-8")

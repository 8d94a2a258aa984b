"""What training hands to evaluation, looked at by the parent: tensors, and nothing beside them."""

import json
from pathlib import Path

from bench.errors import ContractError
from bench.files import hash_file

LENGTH_BYTES = 8  # of the header's length, little-endian, at the start of a safetensors file
PADDING_BYTES = 8  # blanks with which the header is filled up


def check_weights(path: Path, sha256: str) -> None:
    """Refuse a weights file that carries more than tensors.

    Which tensors, the strict loading into the rebuilt network decides: those of its state, in their shapes.

    Args:
        path: What training left.
        sha256: Of the file, as training reported it.

    Raises:
        ContractError: If it is another file than was reported, no safetensors, or holds anything beside tensors.
    """
    try:
        if hash_file(path) != sha256:
            raise ContractError("the weights were altered after training had reported them")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            text = file.read(min(length, path.stat().st_size)).decode("utf-8")
        header = json.loads(text)
        tensors = {name: value for name, value in header.items() if name != "__metadata__"}
        end = max((value["data_offsets"][1] for value in tensors.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ContractError(f"the weights are no safetensors file ({' '.join(str(error).split())})") from None
    if header.get("__metadata__") or len(text) - len(text.rstrip(" ")) > PADDING_BYTES:
        raise ContractError("the weights' header holds something beside tensors")
    if path.stat().st_size != LENGTH_BYTES + length + end:
        raise ContractError("the weights' file holds something behind the tensors")

"""Documents with a checksum in them: what was altered, or half written, is found out when it is read."""

import json
from pathlib import Path
from typing import Any, TypeVar

from bench.contract.strict import Strict
from bench.errors import ResultsError
from bench.files import hash_json, write_bytes

DocumentT = TypeVar("DocumentT", bound=Strict)


def checksum_of(content: dict[str, Any]) -> str:
    """The sha256 of the canonical JSON of all fields but ``checksum``."""
    return hash_json({key: value for key, value in content.items() if key != "checksum"})


def seal(document: DocumentT) -> DocumentT:
    """The same document with its checksum.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    return document.model_copy(update={"checksum": checksum_of(document.model_dump(mode="json"))})


def sealed_bytes(document: Strict) -> bytes:
    """A document with its checksum, as its file has it.

    Raises:
        ValueError: If a number is NaN or infinite, or text is no Unicode.
    """
    content = seal(document).model_dump(mode="json")
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_document(path: Path, content: bytes, *, option: str) -> None:
    """Write a document atomically; ``option`` is what the user chose the place with.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ResultsError(
            f"{path.parent}: cannot be written ({error.strerror}); choose another {option}"
        ) from None


def check_seal(content: dict[str, Any], path: Path | str, *, remedy: str) -> None:
    """Fail if the content is not what was sealed.

    It is taken as it stands in the file, not as its schema completes it: a field added later has a default, and
    the documents of before stay valid.

    Raises:
        ResultsError: If the checksum differs; the message ends with ``remedy``.
    """
    if content.get("checksum") != checksum_of(content):
        raise ResultsError(f"{path}: was altered after it was written (checksum differs); {remedy}")

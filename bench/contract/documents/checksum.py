"""JSON documents that contain their own checksum, so that readers detect altered or truncated files."""

import json
from pathlib import Path
from typing import Any, TypeVar

from bench.contract.documents.schema import Strict
from bench.errors import ResultsError
from bench.files import hash_json, write_bytes

DocumentT = TypeVar("DocumentT", bound=Strict)


def checksum_of(content: dict[str, Any]) -> str:
    """Return the sha256 of the canonical JSON of all fields except ``checksum``."""
    return hash_json({key: value for key, value in content.items() if key != "checksum"})


def with_checksum(document: DocumentT) -> DocumentT:
    """Return a copy of the document with its checksum.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    return document.model_copy(update={"checksum": checksum_of(document.model_dump(mode="json"))})


def checksummed_bytes(document: Strict) -> bytes:
    """Return the bytes of a document's file: indented JSON in UTF-8, with its checksum.

    Raises:
        ValueError: If a number is NaN or infinite, or text is not valid Unicode.
    """
    content = with_checksum(document).model_dump(mode="json")
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_document(path: Path, content: bytes, *, option: str) -> None:
    """Write a document atomically; ``option`` names the command-line option that sets the folder.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ResultsError(
            f"{path.parent}: cannot be written ({error.strerror}); choose another {option}"
        ) from None


def verify_checksum(content: dict[str, Any], path: Path | str, *, remedy: str) -> None:
    """Raise an error if the content does not match its checksum.

    The checksum covers the fields in the file, without the defaults that the schema would add, so that older
    documents stay valid when a field is added.

    Raises:
        ResultsError: If the checksum differs; the message ends with ``remedy``.
    """
    if content.get("checksum") != checksum_of(content):
        raise ResultsError(f"{path}: was altered after it was written (checksum differs); {remedy}")

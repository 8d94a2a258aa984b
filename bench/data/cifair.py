"""Which test images of CIFAR-100 have a near-duplicate in train: ciFAIR's list, judged by people.

Barz and Denzler, "Do We Train on Test Data? Purging CIFAR of Near-Duplicates", Journal of Imaging 6 (2020) 41,
arXiv 1902.00423. Every row is a test image and its neighbour in train: an exact duplicate, a near-duplicate, or
very similar. The ten test images that occur in train byte for byte are among them.
"""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

NAME = "cifair"
ADDRESS = "https://raw.githubusercontent.com/cvjena/cifair/master/meta/duplicates_cifar100.csv"
FILE = Path("cifair", "duplicates_cifar100.csv")
SHA256 = "3891498a862f2d73df00cd5dc2ee9ae2b6dccf5238691d3c29d9abb12e1c63cb"
TEST_IMAGES = 10_000


def present(root: Path) -> bool:
    """Whether the list is there."""
    return (root / FILE).is_file()


def near_duplicates(root: Path) -> NDArray[np.bool_] | None:
    """(10000,): which test images are in the list, in the official order; None where the list is not there.

    Raises:
        DataError: If it is another file.
    """
    path = root / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{path}: has sha256 {found}, ciFAIR's list has {SHA256}; delete it and `bench data fetch {NAME}`"
        )
    marked = np.zeros(TEST_IMAGES, np.bool_)
    marked[[int(row["TestID"]) for row in csv.DictReader(io.StringIO(content.decode()))]] = True
    return marked

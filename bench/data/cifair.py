"""The ciFAIR list of CIFAR-100 test images with a near-duplicate in train, labelled by humans.

Barz and Denzler, "Do We Train on Test Data? Purging CIFAR of Near-Duplicates", Journal of Imaging 6 (2020) 41,
arXiv 1902.00423. Every row is a test image and the most similar train image: an exact duplicate, a
near-duplicate, or a very similar image. It includes the 10 test images that are byte-identical to a train image.
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
    """Return whether the list has been downloaded."""
    return (root / FILE).is_file()


def near_duplicates(root: Path) -> NDArray[np.bool_] | None:
    """Return a (10000,) mask of the test images in the list, in the official order; None without the list.

    Raises:
        DataError: If the file cannot be read or has another sha256.
    """
    path = root / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise DataError(
            f"{path}: has sha256 {digest}, ciFAIR's list has {SHA256}; delete it and run `bench data fetch {NAME}`"
        )
    mask = np.zeros(TEST_IMAGES, np.bool_)
    mask[[int(row["TestID"]) for row in csv.DictReader(io.StringIO(content.decode()))]] = True
    return mask

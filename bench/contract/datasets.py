"""The data set of a track: the name of a known one, or files of the organiser's own."""

from pathlib import Path
from typing import Annotated, Literal, TypeGuard, get_args

from pydantic import Field, field_validator, model_validator

from bench.contract.documents.schema import Strict
from bench.contract.manifest import NAME

FileSplit = Literal["train", "validation", "test"]  # as a data set is published
FILE_SPLITS: tuple[FileSplit, ...] = get_args(FileSplit)
Format = Literal["npz", "arrays", "folder"]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
SMALLEST, LARGEST = 8, 128  # image size in pixels
MOST_CLASSES = 10_000


class Normalisation(Strict):
    """The normalisation that the stored images already have: (x / 255 - mean) / std, per channel."""

    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1, max_length=3)


class DataSource(Strict):
    """A data set in files of the organiser's own, or a subset of a known data set.

    Relative paths start at the track's file, or at the folder of data sets (``--data-root``) if nothing is there.
    """

    name: str = Field(pattern=f"^{NAME.pattern}$")  # in records and tables
    format: Format | None = None  # None for a known data set
    path: Path | None = None  # npz: the file; arrays and folder: the folder
    test_path: Path | None = None  # the test split, if it is not in `path`; only the organiser needs it
    channels: Literal[1, 3] | None = None  # of every image
    size: int | None = Field(default=None, ge=SMALLEST, le=LARGEST)  # side of the square images, in pixels
    classes: Annotated[int, Field(ge=2, le=MOST_CLASSES)] | list[str] | None = None  # number, or names
    normalised: Normalisation | None = None  # npz and arrays: to convert the images back to bytes
    sha256: dict[FileSplit, Digest] = {}  # of each split's content, as `bench data verify` prints it
    train_images: int | None = Field(default=None, gt=0)  # only so many, the same fraction of every class

    @field_validator("classes")
    @classmethod
    def _check_class_names(cls, classes: int | list[str] | None) -> int | list[str] | None:
        if isinstance(classes, list):
            repeated = sorted({name for name in classes if classes.count(name) > 1})
            if repeated:
                raise ValueError(f"two classes are called {repeated[0]!r}")
            if not 2 <= len(classes) <= MOST_CLASSES:
                raise ValueError(f"{len(classes)} class names; give 2 to {MOST_CLASSES:,}")
        return classes

    @model_validator(mode="after")
    def _complete(self) -> "DataSource":
        needed = {"path": self.path, "channels": self.channels, "size": self.size, "classes": self.classes}
        if self.format is not None:
            missing = [name for name, value in needed.items() if value is None]
            if missing:
                raise ValueError(f"format {self.format!r} needs `{missing[0]}`")
        else:
            given = [name for name, value in {**needed, "test_path": self.test_path}.items() if value is not None]
            if given:
                raise ValueError(f"`{given[0]}` needs `format`: npz, arrays or folder")
        return self

    @property
    def num_classes(self) -> int:
        """The number of classes of own files."""
        assert self.classes is not None
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names in label order; None if they are not given."""
        return tuple(self.classes) if isinstance(self.classes, list) else None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of own files' images."""
        assert self.channels is not None and self.size is not None
        return (self.channels, self.size, self.size)

    def beside(self, folder: Path) -> "DataSource":
        """Return the data set with its paths made absolute where they exist in ``folder``, the track file's."""
        paths = {"path": self.path, "test_path": self.test_path}
        present = {
            name: (folder / path).resolve()
            for name, path in paths.items()
            if path is not None and (folder / path).exists()
        }
        return self.model_copy(update=present)


Source = str | DataSource  # the name of a known data set, or a data set of one's own


def has_own_files(source: Source | None) -> TypeGuard[DataSource]:
    """Return whether a data set is in files of the organiser's own, and not a known one or a part of it."""
    return isinstance(source, DataSource) and source.format is not None


def name_of(source: Source) -> str:
    """Return the name of a data set."""
    return source if isinstance(source, str) else source.name

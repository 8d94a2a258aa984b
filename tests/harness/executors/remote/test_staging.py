"""Staging of files and folders on nodes of a cluster: content is unchanged and sent once."""

from pathlib import Path

import pytest

from bench.harness.executors.remote.staging import fetch_staged, folder_bytes, stage_file, write_folder


def test_folder_is_transferred_without_links_and_excluded_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "train").mkdir(parents=True)
    (source / "train" / "weights").write_bytes(b"w")
    (source / "log").write_bytes(b"line")
    (source / "link").symlink_to("/etc/passwd")
    write_folder(folder_bytes(source, [source / "log"]), tmp_path / "target")
    transferred = [path for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path / "target").as_posix() for path in transferred] == ["train/weights"]
    assert transferred[0].read_bytes() == b"w"


def test_staged_file_is_fetched_once_per_machine(tmp_path: Path) -> None:
    source = tmp_path / "array.npy"
    source.write_bytes(b"numbers")
    staged, fetched = stage_file(source, "parts/array.npy"), list[int]()

    def get() -> bytes:
        fetched.append(1)
        return source.read_bytes()

    paths = {fetch_staged(staged, tmp_path / "cache", get) for _ in range(3)}
    assert len(paths) == len(fetched) == 1
    assert paths.pop().read_bytes() == b"numbers"


def test_content_that_differs_from_the_sent_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(ValueError, match="the received content differs from the sent file"):
        fetch_staged(stage_file(tmp_path / "a", "a"), tmp_path / "cache", lambda: b"b")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("a"))


def test_data_set_is_staged_in_one_folder_per_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = pytest.importorskip("bench.harness.executors.remote.ray_node", reason="Ray is an extra")
    sent = []
    for name in ("set/train", "set/test"):
        path = tmp_path / "driver" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        sent.append((stage_file(path, name), path))
    monkeypatch.setattr(node, "_get_object", lambda path: path.read_bytes())
    folders = {node._staged_folder(sent, tmp_path / "cache") for _ in range(2)}
    (folder,) = folders
    assert (folder / "set" / "train").read_text() == "set/train" and (folder / "set" / "test").exists()
    assert node._staged_folder([], tmp_path / "cache") is None

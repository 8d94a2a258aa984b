"""What travels arrives as it was sent, and once."""

from pathlib import Path

import pytest

from bench.harness.executors.remote.staging import fetch_staged, folder_bytes, stage_file, write_folder


def test_a_folder_arrives_as_it_was_without_links(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "train").mkdir(parents=True)
    (there / "train" / "weights").write_bytes(b"w")
    (there / "log").write_bytes(b"line")
    (there / "link").symlink_to("/etc/passwd")
    write_folder(folder_bytes(there, [there / "log"]), tmp_path / "here")
    found = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path / "here").as_posix() for path in found] == ["train/weights"]
    assert found[0].read_bytes() == b"w"


def test_a_file_comes_to_a_machine_once(tmp_path: Path) -> None:
    source = tmp_path / "array.npy"
    source.write_bytes(b"numbers")
    staged, fetched = stage_file(source, "parts/array.npy"), list[int]()

    def get() -> bytes:
        fetched.append(1)
        return source.read_bytes()

    paths = {fetch_staged(staged, tmp_path / "cache", get) for _ in range(3)}
    assert len(paths) == len(fetched) == 1
    assert paths.pop().read_bytes() == b"numbers"


def test_another_file_than_was_sent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(ValueError, match="the received content differs from the sent file"):
        fetch_staged(stage_file(tmp_path / "a", "a"), tmp_path / "cache", lambda: b"b")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("a"))


def test_a_data_set_lies_in_one_folder_on_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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

"""Downloads from a misbehaving local server; archives with missing or wrong content."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.data import cifar100, mnist
from bench.data.fetch import fetch
from bench.data.unpack import unpack
from bench.download import Digest, download
from bench.errors import DataError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
DIGEST = Digest("md5", MD5)


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; each path misbehaves in its own way."""

    requests: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        byte_range = self.headers.get("Range")
        self.requests.append((self.path, byte_range))
        start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range else 0
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/html":
            start, body = 0, b"<html>please log in</html>"
        else:
            body = CONTENT
        if self.path == "/busy" and len(self.requests) == 1:
            return self.send_error(503)
        if self.path == "/norange":
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        # The first two requests are cut off after a third of the requested bytes.
        end = (
            start + (len(body) - start) // 3
            if self.path in ("/drops", "/norange") and len(self.requests) < 3
            else None
        )
        self.wfile.write(body[start:end])
        return None

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/plain", "/drops", "/norange", "/busy"])
def test_interrupted_or_refused_download_is_completed(address: str, tmp_path: Path, path: str) -> None:
    target = download(address + path, tmp_path / "deep" / "file", DIGEST, pause_seconds=0)
    assert target.read_bytes() == CONTENT
    assert [item.name for item in target.parent.iterdir()] == ["file"]
    if path == "/drops":
        assert [byte_range for _, byte_range in Server.requests][1:] == ["bytes=341333-", "bytes=568888-"]


def test_present_file_is_not_downloaded_again(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    download(address + "/plain", tmp_path / "file", DIGEST)
    assert Server.requests == []


@pytest.mark.parametrize(("path", "message"), [("/missing", "HTTP 404"), ("/html", "expected " + MD5)])
def test_failed_download_is_an_error_and_leaves_no_file(
    address: str, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        download(address + path, tmp_path / "file", DIGEST, attempts=2, pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_or_unknown_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="after 1 attempts"):
        download("http://127.0.0.1:9/file", tmp_path / "file", DIGEST, attempts=1)
    with pytest.raises(DataError, match="'imagenet'"):
        fetch("imagenet", tmp_path)


def archive(path: Path, names: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_archives_are_unpacked_where_readers_expect_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"train": b"training", "test": b"testing", "meta": b"names"}
    monkeypatch.setattr(cifar100, "MD5", {name: hashlib.md5(data).hexdigest() for name, data in contents.items()})
    name = "t10k-labels-idx1-ubyte"
    monkeypatch.setattr(mnist, "FILES", {name: ("", hashlib.md5(b"digits").hexdigest())})
    source, root = tmp_path / "source" / "deeper", tmp_path / "root"
    source.mkdir(parents=True)
    members = {f"{cifar100.FOLDER}/{key}": data for key, data in contents.items()}
    archive(source / cifar100.ARCHIVE, {**members, "../outside": b"evil"})
    (source / f"{name}.gz").write_bytes(gzip.compress(b"digits"))
    written = unpack(tmp_path / "source", root)
    assert sorted(path.relative_to(root).as_posix() for path in written) == [
        f"MNIST/raw/{name}",
        *(f"{cifar100.FOLDER}/{key}" for key in ("meta", "test", "train")),
    ]
    assert (root / cifar100.FOLDER / "train").read_bytes() == b"training"
    assert not (tmp_path / "outside").exists() and not (root / "outside").exists()
    assert unpack(tmp_path / "source", root) == []


@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_broken_archive_is_an_error_with_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / cifar100.ARCHIVE
    if content is None:  # a valid archive, but of other files
        archive(path, {f"{cifar100.FOLDER}/{name}": b"other" for name in cifar100.MD5})
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=cifar100.ARCHIVE):
        unpack(path, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_folder_without_archives_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains none of"):
        unpack(tmp_path, tmp_path)
    with pytest.raises(DataError, match="no such file"):
        unpack(tmp_path / "absent", tmp_path)

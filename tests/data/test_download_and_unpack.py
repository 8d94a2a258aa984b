"""Downloads from a server on this machine that behaves badly; archives that are not what they say."""

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
        wanted = self.headers.get("Range")
        self.requests.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
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
        # Breaks off after a third of what was asked for, until it was asked often enough.
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
def test_a_bad_line_is_survived(address: str, tmp_path: Path, path: str) -> None:
    target = download(address + path, tmp_path / "deep" / "file", DIGEST, pause_seconds=0)
    assert target.read_bytes() == CONTENT
    assert [item.name for item in target.parent.iterdir()] == ["file"]
    if path == "/drops":
        assert [wanted for _, wanted in Server.requests][1:] == ["bytes=341333-", "bytes=568888-"]


def test_what_is_there_is_not_fetched_again(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    download(address + "/plain", tmp_path / "file", DIGEST)
    assert Server.requests == []


@pytest.mark.parametrize(("path", "message"), [("/missing", "HTTP 404"), ("/html", "expected " + MD5)])
def test_what_cannot_be_had_is_said(address: str, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        download(address + path, tmp_path / "file", DIGEST, attempts=2, pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_no_server(tmp_path: Path) -> None:
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


def test_archives_are_laid_out_where_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_broken_archive_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / cifar100.ARCHIVE
    if content is None:  # whole, but its members are not the official ones
        archive(path, {f"{cifar100.FOLDER}/{name}": b"other" for name in cifar100.MD5})
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=cifar100.ARCHIVE):
        unpack(path, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_nothing_to_unpack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains none of"):
        unpack(tmp_path, tmp_path)
    with pytest.raises(DataError, match="no such file"):
        unpack(tmp_path / "absent", tmp_path)

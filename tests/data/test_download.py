import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from csi_predictor.data import download as module
from csi_predictor.data.download import download
from csi_predictor.errors import ResourceError

CONTENT = bytes(range(256)) * 400
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Server:
    """What it sends: after how many bytes answers break off, and whether it knows ranges."""

    address: str = ""
    cuts: list[int | None] = field(default_factory=list)
    has_ranges: bool = True
    asked: list[str] = field(default_factory=list)


class Answer(BaseHTTPRequestHandler):
    server_state: Server

    def log_message(self, *_: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        state = self.server_state
        asked = self.headers.get("Range", "")
        state.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0) if state.has_ranges else 0
        if self.path != "/file.npz":
            self.send_error(404)
            return
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        cut = state.cuts.pop(0) if state.cuts else None
        self.wfile.write(CONTENT[start:cut])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()
    monkeypatch.setenv("NO_PROXY", "*")
    handler = type("Bound", (Answer,), {"server_state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.address = f"http://127.0.0.1:{http.server_address[1]}/file.npz"
        yield state
        http.shutdown()
        thread.join()


def partials(folder: Path) -> list[Path]:
    return list((folder / module.WORKPLACE).glob("*.partial"))


def test_a_file_arrives_whole_in_a_folder_that_is_made(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "sets" / "file.npz"
    download(server.address, path, md5=MD5)
    assert path.read_bytes() == CONTENT
    assert partials(path.parent) == []


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000]
    with pytest.raises(OSError, match=r"file.npz: broke off after 1000 of 102400 bytes"):
        download(server.address, tmp_path / "file.npz", md5=MD5)
    assert not (tmp_path / "file.npz").exists()
    download(server.address, tmp_path / "file.npz", md5=MD5)
    assert (tmp_path / "file.npz").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000-"]


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.has_ranges = [1000], False
    with pytest.raises(OSError, match="broke off"):
        download(server.address, tmp_path / "file.npz", md5=MD5)
    download(server.address, tmp_path / "file.npz", md5=MD5)
    assert (tmp_path / "file.npz").read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / module.WORKPLACE).mkdir()
    (tmp_path / module.WORKPLACE / f"file.npz.{MD5[:16]}.partial").write_bytes(CONTENT)
    download(server.address, tmp_path / "file.npz", md5=MD5)
    assert (tmp_path / "file.npz").read_bytes() == CONTENT
    assert server.asked == ["bytes=102400-"]


def test_another_md5_is_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"arrived with MD5 {MD5}: expected {'0' * 32}: it was del"):
        download(server.address, tmp_path / "file.npz", md5="0" * 32)
    assert partials(tmp_path) == []
    assert not (tmp_path / "file.npz").exists()


def test_a_file_that_lies_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.npz").write_bytes(b"mine")
    download(server.address, tmp_path / "file.npz", md5=MD5)
    assert (tmp_path / "file.npz").read_bytes() == b"mine"
    assert server.asked == []


def test_a_refusal_is_told_with_its_number(server: Server, tmp_path: Path) -> None:
    address = server.address.replace("file", "other")
    with pytest.raises(OSError, match=r"other.npz: answered 404 Not Found"):
        download(address, tmp_path / "other.npz", md5=MD5)


def test_no_connection_is_told_with_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as http:
        address = f"http://127.0.0.1:{http.server_address[1]}/file.npz"
    with pytest.raises(OSError, match=r"127.0.0.1.*refused"):
        download(address, tmp_path / "file.npz", md5=MD5)


def test_an_answer_that_is_no_http_is_told(
    monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        Answer, "send_response", lambda self, code: self.wfile.write(b"SSH-2.0\r\n")
    )
    monkeypatch.setattr(Answer, "send_header", lambda *_: None)
    monkeypatch.setattr(Answer, "end_headers", lambda *_: None)
    with pytest.raises(OSError, match=r"file.npz: BadStatusLine SSH-2.0"):
        download(server.address, tmp_path / "file.npz", md5=MD5)


def test_a_full_disk_is_a_passing_condition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fill(address: str, partial: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_receive", fill)
    with pytest.raises(ResourceError, match=r"the disk is full \(No space left on device\)"):
        download("http://127.0.0.1/file.npz", tmp_path / "file.npz", md5=MD5)

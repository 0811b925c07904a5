"""A hub on this machine: a small HTTP server that answers as the Hugging Face hub does."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from csi_predictor.models import hub_download

COMMIT = "a" * 40


@dataclass
class Hub:
    """What the server holds and does, and what it was asked.

    Attributes:
        large: Content of the files under LFS, by `repo/name`; announced with their SHA-256.
        small: Content of the other files; announced with git's SHA-1.
        announced: Checksums that are announced in place of the true ones.
        cuts: Bytes after which the next downloads of a large file break off; None = whole.
        refusals: Statuses that the next downloads answer with; None = no refusal.
        has_ranges: False = the server sends the whole file whatever range is asked for.
        requests: Of downloads: the range asked for, or "".
        tokens: Authorization headers that the hub was sent.
        leaked: Authorization headers that the other host, of the files, was sent.
    """

    large: dict[str, bytes] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, str] = field(default_factory=dict)
    cuts: list[int | None] = field(default_factory=list)
    refusals: list[int | None] = field(default_factory=list)
    has_ranges: bool = True
    commit: str | None = COMMIT
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    address: str = ""


class Answer(BaseHTTPRequestHandler):
    """`/repo/resolve/revision/file` of the hub, which sends on to `/files/...` of another host."""

    hub: Hub
    protocol_version = "HTTP/1.0"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Silence."""

    def answer(self) -> None:
        if self.path.startswith("/files/"):
            self.send_large(self.path.removeprefix("/files/"))
            return
        self.hub.tokens += self.headers.get_all("Authorization", [])
        repo, _, rest = self.path.removeprefix("/").partition("/resolve/")
        name = f"{repo}/{rest.partition('/')[2]}"
        if name in self.hub.large:
            content = self.hub.large[name]
            checksum = self.hub.announced.get(name, hashlib.sha256(content).hexdigest())
            self.send_response(302)
            port = self.server.server_address[1]
            self.send_header("Location", f"http://localhost:{port}/files/{name}")
            self.send_identity(checksum, len(content))
            self.end_headers()
        elif name in self.hub.small:
            content = self.hub.small[name]
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{git}"')
            self.send_commit()
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)
        else:
            self.send_error(404)

    def send_identity(self, checksum: str, size: int) -> None:
        self.send_header("X-Linked-Etag", f'"{checksum}"')
        self.send_header("X-Linked-Size", str(size))
        self.send_commit()

    def send_commit(self) -> None:
        if self.hub.commit is not None:
            self.send_header("X-Repo-Commit", self.hub.commit)

    def send_large(self, name: str) -> None:
        asked = self.headers.get("Range", "")
        self.hub.requests.append(asked)
        self.hub.leaked += self.headers.get_all("Authorization", [])
        refusal = self.hub.refusals.pop(0) if self.hub.refusals else None
        if refusal is not None:
            self.send_error(refusal)
            return
        content = self.hub.large[name]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if not self.hub.has_ranges:
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cut = self.hub.cuts.pop(0) if self.hub.cuts else None
        self.wfile.write(content[start:cut])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine that holds ResNet-18's file; nothing else can be reached."""
    resnet18 = bytes(range(256)) * 1000
    served = Hub(large={"timm/resnet18.tv_in1k/model.safetensors": resnet18})
    handler = type("Bound", (Answer,), {"hub": served})
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.address = f"http://127.0.0.1:{server.server_address[1]}"
        address = functools.partial(huggingface_hub.hf_hub_url, endpoint=served.address)
        monkeypatch.setattr(hub_download, "hf_hub_url", address)
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
        yield served
        server.shutdown()
        thread.join()
    huggingface_hub.close_session()

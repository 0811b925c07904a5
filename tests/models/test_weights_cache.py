"""The cache of published weights, against a small HTTP server that answers as the hub does."""

import errno
import functools
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from loguru import logger
from safetensors.torch import load_file, save

from csi_predictor.architectures import find_architecture
from csi_predictor.cli import main
from csi_predictor.errors import WeightsError
from csi_predictor.models import create_model, hub_download, weights_cache
from csi_predictor.models.hub_download import checksum_like
from csi_predictor.models.weights_cache import fetch_pretrained, find_pretrained

ROOT = Path(__file__).resolve().parents[2]
RESNET18 = find_architecture("resnet18")
REPO = "timm/resnet18.tv_in1k"
COMMIT = "a" * 40
CONTENT = bytes(range(256)) * 1000
HALF = len(CONTENT) // 2


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
    served = Hub(large={f"{REPO}/model.safetensors": CONTENT})
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


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


def cached(cache: Path) -> Path:
    return cache / "resnet18.tv_in1k" / "model.safetensors"


def find(cache: Path, *, offline: bool = False) -> Path:
    return find_pretrained(RESNET18, models_cache=cache, offline=offline)


def refusal(cache: Path, *, offline: bool = False) -> str:
    """The message, which is one line."""
    with pytest.raises(WeightsError) as caught:
        find(cache, offline=offline)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def put(cache: Path, content: bytes = CONTENT, **record: object) -> Path:
    """A file as an earlier download left it, but for what `record` changes; None = by hand."""
    path = cached(cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    facts = {
        "repo_id": REPO,
        "revision": COMMIT,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size_bytes": len(CONTENT),
    }
    (path.parent / "source.json").write_text(json.dumps({path.name: facts | record}))
    return path


def files_of(cache: Path) -> set[str]:
    found = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".lock")}


WHOLE = {"resnet18.tv_in1k/model.safetensors", "resnet18.tv_in1k/source.json"}


def test_a_download_lands_whole_in_the_cache_with_its_record(hub: Hub, tmp_path: Path) -> None:
    assert find(tmp_path) == cached(tmp_path)
    assert cached(tmp_path).read_bytes() == CONTENT
    assert files_of(tmp_path) == WHOLE
    assert json.loads((cached(tmp_path).parent / "source.json").read_text()) == {
        "model.safetensors": {
            "repo_id": REPO,
            "revision": COMMIT,
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "size_bytes": 256_000,
        }
    }


def test_pretrained_true_gives_the_published_weights(hub: Hub, tmp_path: Path) -> None:
    torch.manual_seed(5)
    published = save(timm.create_model("resnet18").state_dict())
    hub.large[f"{REPO}/model.safetensors"] = published
    model = create_model("resnet18", image_size=64, pretrained=True, models_cache=tmp_path)
    own, file = model.backbone.weights_layout().module.state_dict(), load_file(cached(tmp_path))
    assert all(torch.equal(own[key], file[key]) for key in own)


def test_what_lies_in_the_cache_is_never_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    find(tmp_path)
    hub.large.clear()
    find(tmp_path)
    assert len(hub.requests) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [HALF]
    find(tmp_path)
    assert hub.requests == ["", f"bytes={HALF}-"]
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_later_attempt_goes_on_with_what_an_earlier_one_left(hub: Hub, tmp_path: Path) -> None:
    hub.cuts, hub.refusals = [HALF], [None, 503]
    message = refusal(tmp_path)
    assert message.startswith(f"{cached(tmp_path)}: no such file, and the download failed: ")
    assert "503" in message
    assert "run it again to go on with it, or put model.safetensors (about 45 MiB)" in message
    assert not cached(tmp_path).exists()
    (partial,) = files_of(tmp_path)
    assert (tmp_path / partial).read_bytes() == CONTENT[:HALF]
    find(tmp_path)
    assert hub.requests[2:] == [f"bytes={HALF}-"]
    assert cached(tmp_path).read_bytes() == CONTENT
    assert files_of(tmp_path) == WHOLE


def test_what_is_left_of_another_version_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.cuts, hub.refusals = [HALF], [None, 503]
    refusal(tmp_path)
    newer = CONTENT[::-1]
    hub.large[f"{REPO}/model.safetensors"] = newer
    find(tmp_path)
    assert hub.requests[2:] == [""]
    assert cached(tmp_path).read_bytes() == newer
    assert files_of(tmp_path) == WHOLE


def test_a_server_without_ranges_sends_it_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.cuts, hub.has_ranges = [HALF], False
    find(tmp_path)
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_begun_anew(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / ".download" / "resnet18.tv_in1k"
    folder.mkdir(parents=True)
    checksum = hashlib.sha256(CONTENT).hexdigest()
    (folder / f"model.safetensors.{checksum[:16]}.partial").write_bytes(CONTENT + b"x")
    find(tmp_path)
    assert hub.requests == [""]
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_that_names_both_and_leaves_nothing(
    hub: Hub, tmp_path: Path
) -> None:
    announced = hashlib.sha256(b"what was meant").hexdigest()
    hub.announced[f"{REPO}/model.safetensors"] = announced
    message = refusal(tmp_path)
    arrived = hashlib.sha256(CONTENT).hexdigest()
    assert message == (
        f"model.safetensors of {REPO} arrived with checksum {arrived}: expected {announced}: it "
        "was deleted: run it again"
    )
    assert files_of(tmp_path) == set()
    hub.announced.clear()
    assert find(tmp_path).read_bytes() == CONTENT


def test_git_names_a_small_file_by_its_sha1(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    # printf hello | git hash-object --stdin; printf hello | sha256sum
    git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
    plain = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert checksum_like(tmp_path / "a", git) == git
    assert checksum_like(tmp_path / "a", plain) == plain


def test_every_file_of_a_network_is_fetched_and_recorded(hub: Hub, tmp_path: Path) -> None:
    raddino = find_architecture("raddino")
    hub.large["microsoft/rad-dino/model.safetensors"] = CONTENT
    hub.small["microsoft/rad-dino/preprocessor_config.json"] = b"{}\n"
    fetched = list(fetch_pretrained(raddino, tmp_path))
    names = ["model.safetensors", "preprocessor_config.json"]
    assert [file.path for file in fetched] == [tmp_path / "rad-dino" / name for name in names]
    assert [file.is_new for file in fetched] == [True, True]
    record = json.loads((tmp_path / "rad-dino" / "source.json").read_text())
    assert list(record) == names
    # printf '{}\n' | sha256sum
    small = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
    assert record["preprocessor_config.json"]["sha256"] == small
    assert record["preprocessor_config.json"]["size_bytes"] == 3
    assert [file.is_new for file in fetch_pretrained(raddino, tmp_path)] == [False, False]
    assert find_pretrained(
        raddino, models_cache=tmp_path, offline=True, name="preprocessor_config.json"
    ).read_bytes() == (b"{}\n")


def test_a_volume_network_shares_the_file_of_its_image_network(hub: Hub, tmp_path: Path) -> None:
    find(tmp_path)
    volume = find_architecture("resnet18_3d")
    assert find_pretrained(volume, models_cache=tmp_path, offline=True) == cached(tmp_path)


def test_two_at_once_fetch_it_once(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    is_fetching, may_end = threading.Event(), threading.Event()
    receive = weights_cache.receive

    def slow(*arguments: object) -> Path:
        is_fetching.set()
        assert may_end.wait(20)
        return receive(*arguments)

    monkeypatch.setattr(weights_cache, "receive", slow)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(find(tmp_path))) for _ in range(2)]
    threads[0].start()
    assert is_fetching.wait(20)
    threads[1].start()
    while not any("Another process is fetching" in line for line in log_lines):
        threads[1].join(0.01)
    may_end.set()
    for thread in threads:
        thread.join(20)
    assert found == [cached(tmp_path)] * 2
    assert len(hub.requests) == 1


def test_the_hubs_token_stays_with_the_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find(tmp_path)
    assert hub.requests == [""]
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert hub.leaked == []


def test_an_answer_that_isnt_the_hubs_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.commit = None
    message = refusal(tmp_path)
    assert f"{hub.address}/{REPO}/resolve/main/model.safetensors answered without commit" in message
    assert "check proxy, firewall and HF_ENDPOINT" in message


def test_a_file_that_the_hub_doesnt_have_is_a_failed_download(hub: Hub, tmp_path: Path) -> None:
    hub.large.clear()
    assert re.search("the download failed: .*404", refusal(tmp_path))


def test_a_failed_download_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no route to the hub\nand a second line")

    monkeypatch.setattr(weights_cache, "ask_hub", fail)
    assert "the download failed: no route to the hub: run it again" in refusal(tmp_path)
    assert not cached(tmp_path).parent.exists()


def test_a_full_disk_stays_one_and_isnt_called_a_download_that_failed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights_cache, "receive", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        find(tmp_path)
    assert caught.value.errno == errno.ENOSPC


def test_a_file_put_by_hand_is_taken_and_its_sum_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    monkeypatch.setattr(weights_cache, "ask_hub", pytest.fail)
    path = put(tmp_path)
    (path.parent / "source.json").unlink()
    assert find(tmp_path) == path
    checksum = hashlib.sha256(CONTENT).hexdigest()
    assert log_lines == [f"{path} was put there by hand: SHA-256 {checksum}\n"]
    assert files_of(tmp_path) == {"resnet18.tv_in1k/model.safetensors"}


def test_fetching_adopts_a_file_put_by_hand_that_is_the_hubs(hub: Hub, tmp_path: Path) -> None:
    path = put(tmp_path)
    (path.parent / "source.json").unlink()
    (found,) = fetch_pretrained(RESNET18, tmp_path)
    assert (found.path, found.is_new, found.record.revision) == (path, False, COMMIT)
    assert hub.requests == []
    assert files_of(tmp_path) == WHOLE


def test_fetching_refuses_a_file_put_by_hand_that_isnt_the_hubs(hub: Hub, tmp_path: Path) -> None:
    path = put(tmp_path, b"something else")
    (path.parent / "source.json").unlink()
    with pytest.raises(WeightsError, match="put there by hand and has checksum") as caught:
        list(fetch_pretrained(RESNET18, tmp_path))
    for content in (b"something else", CONTENT):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert path.read_bytes() == b"something else"


def test_a_file_cut_short_is_told_by_its_size(tmp_path: Path) -> None:
    path = put(tmp_path, CONTENT[:-1])
    message = refusal(tmp_path)
    place = path.parent / "source.json"
    assert message == (
        f"{path}: has 255999 bytes, but {place} says 256000: it was cut short or changed: delete "
        f"{path} to fetch it again, or delete {place} if you put another file there on purpose"
    )


def test_a_changed_file_of_the_same_size_is_told_by_both_sums(tmp_path: Path) -> None:
    changed = b"\x01" + CONTENT[1:]
    path = put(tmp_path, changed)
    message = refusal(tmp_path, offline=True)
    assert message.startswith(
        f"{path}: has SHA-256 {hashlib.sha256(changed).hexdigest()}, but "
        f"{path.parent / 'source.json'} says {hashlib.sha256(CONTENT).hexdigest()}: it was damaged"
    )
    (path.parent / "source.json").unlink()  # what the message says to do for a file on purpose
    assert find(tmp_path, offline=True) == path


def test_a_file_of_another_repository_is_refused(tmp_path: Path) -> None:
    put(tmp_path, repo_id="somebody/resnet18")
    assert "came from somebody/resnet18, as " in refusal(tmp_path)
    assert f"expected {REPO}" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"model.safetensors": {"sha": 1}}'])
def test_a_damaged_record_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = put(tmp_path)
    (path.parent / "source.json").write_text(text)
    message = refusal(tmp_path)
    assert message.startswith(f"{path.parent / 'source.json'}: not the record of a download")
    assert "delete it to accept the files beside it as they are" in message


def test_offline_without_the_file_says_what_to_put_where(tmp_path: Path) -> None:
    # 11,689,512 parameters and 9,600 running statistics of 4 bytes, 20 counters of 8: 44.6 MiB.
    assert refusal(tmp_path, offline=True) == (
        f"{cached(tmp_path)}: no such file, and [RUNTIME] OFFLINE = true: put model.safetensors "
        "(about 45 MiB) of https://huggingface.co/timm/resnet18.tv_in1k there, or run --mode "
        "models --fetch resnet18 where there is a network and carry MODELS_CACHE here"
    )


@pytest.mark.parametrize("offline", [False, True])
def test_weights_that_only_people_may_get_are_never_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    monkeypatch.setattr(weights_cache, "ask_hub", pytest.fail)
    row = find_architecture("chexnet")
    assert row.weights is not None
    with pytest.raises(WeightsError) as caught:
        find_pretrained(row, models_cache=tmp_path, offline=offline)
    message = str(caught.value)
    name = row.weights.files[0]
    assert message.startswith(f"{tmp_path / row.weights.folder / name}: no such file, and ")
    assert f"put {name} (about {row.weights.size_mib:.0f} MiB) of {row.weights.page}" in message
    assert message.endswith("there, or name your copy in [MODEL] WEIGHTS")


def test_a_network_without_published_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"custom1 has no published weights: set .* PRET"):
        find_pretrained(find_architecture("custom1"), models_cache=tmp_path, offline=False)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of the network fails, and not with an error that could be taken for a refusal."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket, "socket", fail)
    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.usefixtures("no_sockets")
def test_offline_true_never_touches_the_network(tmp_path: Path) -> None:
    assert "OFFLINE = true" in refusal(tmp_path, offline=True)
    path = cached(tmp_path)
    path.parent.mkdir()
    path.write_bytes(save(timm.create_model("resnet18").state_dict()))
    create_model("resnet18", image_size=64, pretrained=True, models_cache=tmp_path, offline=True)


@pytest.mark.usefixtures("no_sockets")
def test_the_check_of_the_sockets_would_see_a_download(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="the network was used"):
        find(tmp_path, offline=False)


def fetch_command(cache: Path, names: str) -> list[str]:
    return ["--mode", "models", "--fetch", names, "--set", f"RUNTIME.MODELS_CACHE={cache}"]


def test_the_command_fetches_what_it_can_and_reports_the_rest(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "custom1, resnet18,chexnet,resnet34"
    assert main(fetch_command(tmp_path, names)) == 1
    shown = capsys.readouterr()
    checksum = hashlib.sha256(CONTENT).hexdigest()
    assert shown.out == (
        f"resnet18  {cached(tmp_path)}  256,000 bytes  SHA-256 {checksum}  fetched\n"
    )
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert "custom1 has no published weights" in errors[0]
    assert f"{tmp_path / 'chexnet'}" in errors[1]
    assert "resnet34.tv_in1k/model.safetensors: no such file, and the download failed" in errors[2]
    assert main(fetch_command(tmp_path, "resnet18")) == 0
    assert capsys.readouterr().out.endswith("  was there\n")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("resnet18,resnet51", "--fetch resnet51: expected one of custom1, resnet18"),
        ("resnet18,timm/resnet51x", "timm .* has no network resnet51x"),
        (" ,", "--fetch: no name: expected NAME or NAME,NAME"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, reason: str
) -> None:
    assert main(fetch_command(tmp_path, names)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(reason, line)
    assert hub.requests == []
    assert files_of(tmp_path) == set()


def test_offline_and_fetch_contradict_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*fetch_command(tmp_path, "resnet18"), "RUNTIME.OFFLINE=true"]) == 2
    assert "[RUNTIME] OFFLINE = true: --fetch asks the network" in capsys.readouterr().err


def test_the_command_needs_no_ini_and_obeys_the_hubs_own_variables(
    hub: Hub, tmp_path: Path
) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "NO_PROXY": "*"}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, str(ROOT / "main.py"), "--mode", "models", "--fetch", "resnet18"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert cached(tmp_path / "models_cache").read_bytes() == CONTENT
    assert hashlib.sha256(CONTENT).hexdigest() in done.stdout

"""Published weights in the cache: found, verified against their record, or refused."""

import hashlib
import json
import socket
from pathlib import Path

import pytest
import timm
from safetensors.torch import save

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models import create_model, weights_cache
from csi_predictor.models.weights_cache import find_pretrained

RESNET18 = find_architecture("resnet18")
REPO = "timm/resnet18.tv_in1k"
COMMIT = "a" * 40
CONTENT = bytes(range(256)) * 1000


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


def test_a_failed_download_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no route to the hub\nand a second line")

    monkeypatch.setattr(weights_cache, "ask_hub", fail)
    assert "the download failed: no route to the hub: run it again" in refusal(tmp_path)
    assert not cached(tmp_path).parent.exists()


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

"""Downloads into the cache of published weights, from a hub on this machine."""

import errno
import hashlib
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models import create_model, weights_cache
from csi_predictor.models.hub_download import checksum_like
from csi_predictor.models.weights_cache import find_pretrained

RESNET18 = find_architecture("resnet18")
REPO = "timm/resnet18.tv_in1k"
COMMIT = "a" * 40
CONTENT = bytes(range(256)) * 1000
HALF = len(CONTENT) // 2
WHOLE = {"resnet18.tv_in1k/model.safetensors", "resnet18.tv_in1k/source.json"}


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


def files_of(cache: Path) -> set[str]:
    found = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".lock")}


def test_a_download_lands_whole_in_the_cache_with_its_record(hub: Any, tmp_path: Path) -> None:
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


def test_pretrained_true_gives_the_published_weights(hub: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    published = save(timm.create_model("resnet18").state_dict())
    hub.large[f"{REPO}/model.safetensors"] = published
    model = create_model("resnet18", image_size=64, pretrained=True, models_cache=tmp_path)
    own, file = model.backbone.weights_layout().module.state_dict(), load_file(cached(tmp_path))
    assert all(torch.equal(own[key], file[key]) for key in own)


def test_what_lies_in_the_cache_is_never_asked_for_again(hub: Any, tmp_path: Path) -> None:
    find(tmp_path)
    hub.large.clear()
    find(tmp_path)
    assert len(hub.requests) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Any, tmp_path: Path) -> None:
    hub.cuts = [HALF]
    find(tmp_path)
    assert hub.requests == ["", f"bytes={HALF}-"]
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_later_attempt_goes_on_with_what_an_earlier_one_left(hub: Any, tmp_path: Path) -> None:
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


def test_what_is_left_of_another_version_is_thrown_away(hub: Any, tmp_path: Path) -> None:
    hub.cuts, hub.refusals = [HALF], [None, 503]
    refusal(tmp_path)
    newer = CONTENT[::-1]
    hub.large[f"{REPO}/model.safetensors"] = newer
    find(tmp_path)
    assert hub.requests[2:] == [""]
    assert cached(tmp_path).read_bytes() == newer
    assert files_of(tmp_path) == WHOLE


def test_a_server_without_ranges_sends_it_all_again(hub: Any, tmp_path: Path) -> None:
    hub.cuts, hub.has_ranges = [HALF], False
    find(tmp_path)
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_begun_anew(hub: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".download" / "resnet18.tv_in1k"
    folder.mkdir(parents=True)
    checksum = hashlib.sha256(CONTENT).hexdigest()
    (folder / f"model.safetensors.{checksum[:16]}.partial").write_bytes(CONTENT + b"x")
    find(tmp_path)
    assert hub.requests == [""]
    assert cached(tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_that_names_both_and_leaves_nothing(
    hub: Any, tmp_path: Path
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


def test_two_at_once_fetch_it_once(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
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
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find(tmp_path)
    assert hub.requests == [""]
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert hub.leaked == []


def test_an_answer_that_isnt_the_hubs_says_so(hub: Any, tmp_path: Path) -> None:
    hub.commit = None
    message = refusal(tmp_path)
    assert f"{hub.address}/{REPO}/resolve/main/model.safetensors answered without commit" in message
    assert "check proxy, firewall and HF_ENDPOINT" in message


def test_a_file_that_the_hub_doesnt_have_is_a_failed_download(hub: Any, tmp_path: Path) -> None:
    hub.large.clear()
    assert re.search("the download failed: .*404", refusal(tmp_path))


def test_a_full_disk_stays_one_and_isnt_called_a_download_that_failed(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights_cache, "receive", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        find(tmp_path)
    assert caught.value.errno == errno.ENOSPC

"""`--mode models --fetch`: a cache is filled, to be carried to a machine without a network."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from csi_predictor.architectures import find_architecture
from csi_predictor.cli import main
from csi_predictor.errors import WeightsError
from csi_predictor.models.weights_cache import fetch_pretrained, find_pretrained

ROOT = Path(__file__).resolve().parents[3]
RESNET18 = find_architecture("resnet18")
REPO = "timm/resnet18.tv_in1k"
COMMIT = "a" * 40
CONTENT = bytes(range(256)) * 1000
WHOLE = {"resnet18.tv_in1k/model.safetensors", "resnet18.tv_in1k/source.json"}


def cached(cache: Path) -> Path:
    return cache / "resnet18.tv_in1k" / "model.safetensors"


def put(cache: Path, content: bytes = CONTENT) -> Path:
    """A file put there by hand."""
    path = cached(cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def files_of(cache: Path) -> set[str]:
    found = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".lock")}


def test_every_file_of_a_network_is_fetched_and_recorded(hub: Any, tmp_path: Path) -> None:
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


def test_a_volume_network_shares_the_file_of_its_image_network(hub: Any, tmp_path: Path) -> None:
    list(fetch_pretrained(RESNET18, tmp_path))
    volume = find_architecture("resnet18_3d")
    assert find_pretrained(volume, models_cache=tmp_path, offline=True) == cached(tmp_path)


def test_fetching_adopts_a_file_put_by_hand_that_is_the_hubs(hub: Any, tmp_path: Path) -> None:
    path = put(tmp_path)
    (found,) = fetch_pretrained(RESNET18, tmp_path)
    assert (found.path, found.is_new, found.record.revision) == (path, False, COMMIT)
    assert hub.requests == []
    assert files_of(tmp_path) == WHOLE


def test_fetching_refuses_a_file_put_by_hand_that_isnt_the_hubs(hub: Any, tmp_path: Path) -> None:
    path = put(tmp_path, b"something else")
    with pytest.raises(WeightsError, match="put there by hand and has checksum") as caught:
        list(fetch_pretrained(RESNET18, tmp_path))
    for content in (b"something else", CONTENT):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert path.read_bytes() == b"something else"


def fetch_command(cache: Path, names: str) -> list[str]:
    return ["--mode", "models", "--fetch", names, "--set", f"RUNTIME.MODELS_CACHE={cache}"]


def test_the_command_fetches_what_it_can_and_reports_the_rest(
    hub: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    hub: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, reason: str
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
    hub: Any, tmp_path: Path
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

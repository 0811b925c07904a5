"""Files are read without running what they bring; what is no weights file is told as such."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from csi_predictor.errors import WeightsError
from csi_predictor.models.state_files import read_state


def refused(path: Path) -> str:
    """The message, which is one line."""
    with pytest.raises(WeightsError) as caught:
        read_state(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A whole safetensors file of 160 kB."""
    path = tmp_path / "whole.safetensors"
    save_file({"layer.weight": torch.randn(200, 200)}, path)
    return path


def test_a_missing_file_says_what_to_check(tmp_path: Path) -> None:
    message = refused(tmp_path / "absent.safetensors")
    assert "no such weights file: expected a .safetensors, .pt or .pth file" in message


@pytest.mark.parametrize("keep", [0, 4, 100, 100_000])
def test_a_truncated_safetensors_file_says_fetch_it_again(
    published: Path, tmp_path: Path, keep: int
) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(published.read_bytes()[:keep])
    message = refused(path)
    assert f"{keep} bytes" in message
    assert "cut short: fetch it again" in message


def test_a_truncated_checkpoint_says_fetch_it_again(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    assert "a damaged PyTorch checkpoint (2000 bytes)" in refused(path)


@pytest.mark.parametrize("is_new_format", [True, False])
def test_damage_anywhere_in_a_checkpoint_gives_one_line(
    tmp_path: Path, is_new_format: bool
) -> None:
    path = tmp_path / "damaged.pth"
    state = {f"layer{index}.weight": torch.zeros(3) for index in range(9)}
    torch.save(state, path, _use_new_zipfile_serialization=is_new_format)
    whole = path.read_bytes()
    for cut in range(2, len(whole) - 300, 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(WeightsError) as caught:
            read_state(path)
        assert "\n" not in str(caught.value)


class _RunsCode:
    def __init__(self, run: Callable[..., object], *arguments: str) -> None:
        self.call = (run, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return self.call


@pytest.mark.parametrize("writes", ["torch", "legacy", "pickle"])
@pytest.mark.parametrize("run", [open, os.system])
def test_a_malicious_pickle_is_refused_and_not_run(
    tmp_path: Path, writes: str, run: Callable[..., object]
) -> None:
    path, proof = tmp_path / "bad.pth", tmp_path / "proof"
    code = _RunsCode(run, f"touch {proof}") if run is os.system else _RunsCode(run, str(proof), "w")
    state = {"conv1.weight": torch.zeros(1), "code": code}
    if writes == "pickle":
        path.write_bytes(pickle.dumps(code, protocol=2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=writes == "torch")
    message = refused(path)
    assert "refused: it isn't a checkpoint of tensors alone" in message
    assert "could run code" in message
    assert run.__name__ in message
    assert not proof.exists()
    if run is os.system:  # the pickle does what it is feared for where nothing stops it
        torch.load(path, weights_only=False) if writes != "pickle" else pickle.loads(
            path.read_bytes()
        )
        assert proof.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_an_error_page_saved_as_weights_is_told_as_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("\n<!DOCTYPE html><html><body>404: not found</body></html>")
    message = refused(path)
    assert "a web page (56 bytes), not weights: the download gave an error page" in message
    assert message.endswith("fetch the file itself")


def test_a_git_lfs_pointer_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    assert "a Git LFS pointer (126 bytes), not weights: run `git lfs pull`" in refused(path)


def test_a_checkpoint_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "empty.pth")
    assert "no named tensors, only epoch, loss" in refused(tmp_path / "empty.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds a list: expected named tensors" in refused(tmp_path / "list.pth")

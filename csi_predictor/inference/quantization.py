"""The int8 forms of a bundle: made, kept with the report that allows them, and found again.

    model/
    ├── int8-dynamic/quantization.json    linear layers; rounded again at each load
    └── int8-openvino/
        ├── quantization.json
        └── member0.xml, member0.bin, …   the whole network, one a member

A report is written by an evaluation in which the main figure held; without one, or with one of
other weights, nothing is loaded. Only JSON and OpenVINO's own format are read.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save
from torch import nn

from csi_predictor.errors import BundleError, ConfigError
from csi_predictor.files import replaced, sha256_of, write_text
from csi_predictor.inference.bundle import Bundle, hash_facts
from csi_predictor.inference.engines.int8_linear import count_int8, quantize_linears
from csi_predictor.inference.engines.int8_openvino import count_weights, load_openvino, write_int8
from csi_predictor.inference.predict import PixelBatch

Int8Kind = Literal["dynamic", "openvino"]
INT8_ENGINES: Mapping[str, Int8Kind] = {"torch-int8": "dynamic", "openvino-int8": "openvino"}
REPORT_NAME = "quantization.json"
_FORMAT = 1


@dataclass(frozen=True)
class Int8Form:
    """The int8 networks of a bundle, not yet allowed.

    Attributes:
        networks: One a member; on the CPU, they give `.logits`.
        files: What has to be kept to load them again.
        num_weights: Of all members.
        num_int8: Of them.
        file_bytes: Of all members' weights in int8 form, structure included where it is a file.
    """

    networks: tuple[nn.Module, ...]
    files: tuple[Path, ...]
    num_weights: int
    num_int8: int
    file_bytes: int


def make_int8(
    bundle: Bundle, kind: Int8Kind, folder: Path, *, calibration: Iterable[PixelBatch] = ()
) -> Int8Form:
    """Round a bundle's networks to int8.

    Args:
        bundle: Stays as it is.
        kind: `dynamic` rounds linear layers, `openvino` the whole network.
        folder: Takes the files of `openvino`; exists.
        calibration: Of `openvino`: batches of one image, read more than once.

    Raises:
        ConfigError: There is nothing to round, or nncf isn't installed.
    """
    form = (
        _make_dynamic(bundle) if kind == "dynamic" else _make_openvino(bundle, folder, calibration)
    )
    if not form.num_int8:
        raise ConfigError(
            f"[EVALUATION] QUANTIZE = {kind}: {bundle.facts.model_id} has no layer that it could "
            "round: expected linear layers for dynamic; set openvino, or none"
        )
    return form


def _make_dynamic(bundle: Bundle) -> Int8Form:
    networks = tuple(map(quantize_linears, bundle.models))
    tensors = {
        f"member{index}.{name}": tensor.contiguous().clone()
        for index, network in enumerate(networks)
        for name, tensor in network.state_dict().items()
    }
    return Int8Form(
        networks,
        files=(),
        num_weights=count_parameters(bundle),
        num_int8=sum(map(count_int8, networks)),
        file_bytes=len(save(tensors)),
    )


def count_parameters(bundle: Bundle) -> int:
    """Weights of all members, biases and norms included."""
    return sum(p.numel() for model in bundle.models for p in model.parameters())


def _make_openvino(bundle: Bundle, folder: Path, calibration: Iterable[PixelBatch]) -> Int8Form:
    size = input_size(bundle)
    paths = [folder / f"member{index}.xml" for index in range(len(bundle.models))]
    for model, path in zip(bundle.models, paths, strict=True):
        write_int8(model, calibration, path, size=size)
    files = tuple(file for path in paths for file in (path, path.with_suffix(".bin")))
    counts = [count_weights(path) for path in paths]
    return Int8Form(
        tuple(map(load_openvino, paths)),
        files=files,
        num_weights=sum(total for _, total in counts),
        num_int8=sum(int8 for int8, _ in counts),
        file_bytes=sum(file.stat().st_size for file in files),
    )


def input_size(bundle: Bundle) -> tuple[int, ...]:
    """(C, H, W) or (C, D, H, W) that its networks take."""
    spec = bundle.facts.spec.input_spec
    return (spec.channels, *spec.size)


def int8_folder(bundle: Bundle, kind: Int8Kind) -> Path:
    """Where a bundle keeps an int8 form."""
    return bundle.folder / f"int8-{kind}"


def keep_int8(bundle: Bundle, kind: Int8Kind, form: Int8Form, report: Mapping[str, Any]) -> Path:
    """Keep an int8 form whose figure held, the report last; returns its folder.

    Args:
        bundle: It belongs to these weights.
        kind: Of the form.
        form: Its files are copied.
        report: Plain JSON values; shown to whoever asks why int8 was allowed.

    Raises:
        ResourceError: The disk is full.
    """
    forget_int8(bundle, kind)
    folder = int8_folder(bundle, kind)
    hashes = {}
    for file in form.files:
        with replaced(folder / file.name) as temporary:
            shutil.copyfile(file, temporary)
        hashes[file.name] = sha256_of(folder / file.name)
    values = {
        "format": _FORMAT,
        "model_sha256": bundle.facts.model_sha256,
        "files": hashes,
        **report,
    }
    whole = {**values, "report_sha256": hash_facts(values)}
    write_text(folder / REPORT_NAME, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    return folder


def forget_int8(bundle: Bundle, kind: Int8Kind) -> None:
    """Remove an int8 form that an earlier evaluation kept."""
    folder = int8_folder(bundle, kind)
    (folder / REPORT_NAME).unlink(missing_ok=True)  # first: what is left can't be loaded
    if folder.is_dir():
        shutil.rmtree(folder)


def load_int8(bundle: Bundle, kind: Int8Kind) -> tuple[nn.Module, ...]:
    """The int8 networks of a bundle, one a member.

    Raises:
        BundleError: No evaluation has allowed them, or a file is not the one that it measured.
    """
    read_report(bundle, kind)
    if kind == "dynamic":
        return tuple(map(quantize_linears, bundle.models))
    folder = int8_folder(bundle, kind)
    return tuple(
        load_openvino(folder / f"member{index}.xml") for index in range(len(bundle.models))
    )


def read_report(bundle: Bundle, kind: Int8Kind) -> dict[str, Any]:
    """The report that allows a bundle's int8 form, proved to be of these weights and files.

    Raises:
        BundleError: It isn't there, damaged, or of something else.
    """
    path = int8_folder(bundle, kind) / REPORT_NAME
    help_text = f"run --mode evaluate with [EVALUATION] QUANTIZE = {kind} first"
    if not path.is_file():
        raise BundleError(
            f"{path}: no such file: int8 needs the report of an evaluation in which the main "
            f"figure held: {help_text}"
        )
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unsigned = {key: value for key, value in values.items() if key != "report_sha256"}
        is_whole = values["report_sha256"] == hash_facts(unsigned) and values["format"] == _FORMAT
        belongs = values["model_sha256"] == bundle.facts.model_sha256
        files = dict(values["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}): {help_text}") from error
    if not is_whole:
        raise BundleError(f"{path}: was changed, or is of another version: {help_text}")
    if not belongs:
        raise BundleError(
            f"{path}: is about the weights {values['model_sha256'][:12]}…, found "
            f"{bundle.facts.model_sha256[:12]}…: {help_text}"
        )
    _check_files(bundle, kind, files, help_text)
    return values


def _check_files(bundle: Bundle, kind: Int8Kind, files: Mapping[str, str], help_text: str) -> None:
    folder = int8_folder(bundle, kind)
    members = range(len(bundle.models)) if kind == "openvino" else ()
    expected = {f"member{index}{ending}" for index in members for ending in (".xml", ".bin")}
    if set(files) != expected:
        raise BundleError(
            f"{folder / REPORT_NAME}: names {sorted(files)}: expected {sorted(expected)}: "
            f"{help_text}"
        )
    for name, digest in files.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != digest:
            raise BundleError(
                f"{path}: missing or not the file that the evaluation measured: copy the bundle "
                f"again, or {help_text}"
            )

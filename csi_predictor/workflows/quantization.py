"""Make a bundle's int8 form, measure it beside fp32, and keep it only where its figure holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from loguru import logger

from csi_predictor.benchmarking.rounds import run_rounds
from csi_predictor.benchmarking.timing import Call, summarise, time_call
from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.errors import ConfigError, CsiError
from csi_predictor.evaluation.quantization import compare_int8, holds
from csi_predictor.inference.bundle import WEIGHTS_NAME, Bundle
from csi_predictor.inference.engines.int8_openvino import check_nncf, convert_fp32
from csi_predictor.inference.predictor import EngineName, LabelPredictor, Predictor, open_predictor
from csi_predictor.inference.quantization import (
    Int8Form,
    Int8Kind,
    count_parameters,
    forget_int8,
    input_size,
    keep_int8,
    make_int8,
)
from csi_predictor.inference.rows import row_loader
from csi_predictor.reporting.quantization import sentence_of, write_quantization
from csi_predictor.uncertainty.trust import Answers
from csi_predictor.versions import library_versions
from csi_predictor.workflows.answers import predict

CPU = torch.device("cpu")
_ROUNDS = 9
_BUDGET_S = 30.0


@dataclass(frozen=True)
class Asked:
    """What an evaluation has at hand when it comes to int8.

    Attributes:
        config: The whole configuration.
        predictor: Of one bundle, in fp32.
        rows: Evaluated, none of them learnt from.
        cache: Of images prepared for the predictor.
        calibration: Validation rows, none of them evaluated; empty = not needed.
    """

    config: Config
    predictor: Predictor | LabelPredictor
    rows: Sequence[Row]
    cache: PixelStore
    calibration: Sequence[Row]

    @property
    def bundle(self) -> Bundle:
        """Whose int8 form it is."""
        return self.predictor.bundles[0]


def check_quantizable(config: Config, device: torch.device, calibration: Sequence[Row]) -> None:
    """Stop before anything is computed.

    Raises:
        ConfigError: Int8 can't be made or measured here.
    """
    kind = config.evaluation.quantize
    if device.type != "cpu":
        raise ConfigError(
            f"[EVALUATION] QUANTIZE = {kind}: int8 runs on the CPU, found {device.type}: set "
            "[RUNTIME] DEVICE = cpu"
        )
    if kind == "openvino":
        check_nncf()
        if not calibration:
            raise ConfigError(
                "[EVALUATION] QUANTIZE = openvino: the split has no validation images to calibrate "
                "with: train with [DATA] VAL_FRACTION above 0, or set QUANTIZE = dynamic"
            )


def quantize(asked: Asked, exact: Answers, run_dir: Path) -> None:
    """Make [EVALUATION] QUANTIZE, report on it in `run_dir`, and keep it in the bundle if it holds.

    Args:
        asked: What is measured.
        exact: The fp32 answers for its rows.
        run_dir: Takes `quantization.json` and `quantization.md`.

    Raises:
        ConfigError: The networks have nothing to round.
        CsiError: The main figure falls by more than QUANTIZE_MAX_DROP, or is undefined; the bundle
            then has no such int8 form, not even an earlier one.
    """
    section = asked.config.evaluation
    if section.quantize == "none":
        return
    kind: Int8Kind = section.quantize
    chosen = _choose_calibration(asked)
    with TemporaryDirectory(prefix="csi_int8_") as folder:
        form = make_int8(asked.bundle, kind, Path(folder), calibration=_batches(asked, chosen))
        twin = open_predictor(
            [asked.bundle], device=CPU, engine=_engine_of(kind), networks=form.networks
        )
        rounded = predict(asked.config, twin, asked.rows, asked.cache)
        found = compare_int8(
            exact, rounded, rounds=section.bootstrap, seed=asked.config.runtime.seed
        )
        is_kept = holds(found, max_drop=section.quantize_max_drop)
        record = {
            "kind": kind,
            "engine": twin.facts.engine,
            "model_id": asked.bundle.facts.model_id,
            "split": section.split,
            **found,
            "max_drop": section.quantize_max_drop,
            "holds": is_kept,
            "num_calibration_images": len(chosen),
            "weights": _describe_weights(asked.bundle, form),
            "speed": _measure_speed(asked, twin, kind),
            "versions": library_versions(),
        }
        write_quantization(record, run_dir)
        if not is_kept:
            forget_int8(asked.bundle, kind)
            raise CsiError(
                f"[EVALUATION] QUANTIZE = {kind}: {sentence_of(record)}: expected a fall of at "
                f"most QUANTIZE_MAX_DROP = {section.quantize_max_drop:g}: no int8 form was kept; "
                f"see {run_dir / 'quantization.md'}"
            )
        kept = keep_int8(asked.bundle, kind, form, record)
    logger.info(
        "{}; kept in {}: [SCORING] ENGINE = {}", sentence_of(record), kept, _engine_of(kind)
    )


def _engine_of(kind: Int8Kind) -> EngineName:
    return "torch-int8" if kind == "dynamic" else "openvino-int8"


def _choose_calibration(asked: Asked) -> list[Row]:
    """QUANTIZE_IMAGES of the validation rows, spread evenly, as a table is often sorted."""
    count = min(len(asked.calibration), asked.config.evaluation.quantize_images)
    index = np.linspace(0, len(asked.calibration) - 1, count).round().astype(int)
    return [asked.calibration[i] for i in index]


def _batches(asked: Asked, rows: Sequence[Row]) -> Any:
    if not rows:
        return ()
    return row_loader(rows, spec=asked.predictor.input_spec, cache=asked.cache, batch_size=1)


def _describe_weights(bundle: Bundle, form: Int8Form) -> dict[str, float | int]:
    return {
        "num_weights": form.num_weights,
        "num_int8": form.num_int8,
        "int8_share": form.num_int8 / form.num_weights,
        "num_fp32_weights": count_parameters(bundle),
        "fp32_bytes": (bundle.folder / WEIGHTS_NAME).stat().st_size,
        "int8_bytes": form.file_bytes,
    }


def _measure_speed(
    asked: Asked, twin: Predictor | LabelPredictor, kind: Int8Kind
) -> dict[str, float | int]:
    """Milliseconds an image, one at a time; the networks take turns in this process."""
    loader = _batches(asked, asked.rows[:1])
    pixels = next(iter(loader)).pixels
    calls: dict[str, Call] = {
        "torch_fp32": partial(asked.predictor.run_networks, pixels),
        "int8": partial(twin.run_networks, pixels),
    }
    if kind == "openvino":
        size = input_size(asked.bundle)
        networks = [convert_fp32(model, size=size) for model in asked.bundle.models]
        same = open_predictor([asked.bundle], device=CPU, networks=networks)
        calls["openvino_fp32"] = partial(same.run_networks, pixels)
    turns = run_rounds(
        calls,
        rounds=_ROUNDS,
        time_call=lambda call: time_call(call, CPU),
        budget_s=_BUDGET_S,
        reason_of=str,
        on_turn=lambda _: None,
    )
    return _describe_speed(
        {name: summarise(found.samples).median_ms for name, found in turns.items()}
    )


def _describe_speed(median_ms: dict[str, float]) -> dict[str, float | int]:
    times = {f"{name}_ms": value for name, value in median_ms.items()}
    ratios = {
        f"times_faster_than_{name}": value / median_ms["int8"]
        for name, value in median_ms.items()
        if name != "int8"
    }
    return {**times, **ratios, "threads": torch.get_num_threads()}

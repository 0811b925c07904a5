"""Bundles ready to answer: one network or an ensemble, on one device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.data.official_processor import check_official_processor
from csi_predictor.errors import BundleError, ConfigError
from csi_predictor.inference.bundle import Bundle, load_bundle
from csi_predictor.inference.predict import (
    Logits,
    PixelBatch,
    mean_label_probabilities,
    mean_probabilities,
    predict_logits,
    run_models,
)
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.quantization import INT8_ENGINES, load_int8, read_report
from csi_predictor.specs import InputSpec, TargetSpec, ZoneHead
from csi_predictor.versions import software_version

EngineName = Literal["auto", "torch", "torch-int8", "openvino-int8"]


@dataclass(frozen=True)
class PredictorFacts:
    """What every score says of its origin; several bundles are joined by `+`.

    `int8_sha256` is that of the reports that allow int8; empty = fp32.
    """

    model_id: str
    model_sha256: str
    config_sha256: str
    engine: str
    software_version: str
    int8_sha256: str = ""


class BundlePredictor:
    """One or more bundles that take the same picture and answer the same, on one device.

    Args:
        bundles: At least one.
        device: Where the networks run.
        engine: What runs them; `auto` is torch.
        networks: Of all bundles, already made for the engine; empty = made here.

    Raises:
        BundleError: The bundles differ in preprocessing, head or answers, or int8 is asked for and
            one has no report of an evaluation that allows it.
        ConfigError: The installed transformers can't run their official processor, or int8 is asked
            for on another device than the CPU.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        device: torch.device,
        engine: EngineName = "auto",
        networks: Sequence[nn.Module] = (),
    ) -> None:
        _check_alike(bundles)
        first = bundles[0].facts
        self.bundles = tuple(bundles)
        self.input_spec: InputSpec = first.spec.input_spec
        self.target_spec: TargetSpec = first.spec.target_spec
        check_official_processor(self.input_spec)
        self._test_time = first.test_time
        self._engine = "torch" if engine == "auto" else engine
        self._device = device
        self._int8_sha256 = "" if networks else _hash_of_reports(bundles, engine)
        layout = channels_last_of(self.input_spec)  # up to twice as fast on a CPU
        self._models = [
            network.to(memory_format=layout).to(device)
            for network in networks or _load_networks(bundles, engine, device)
        ]

    @property
    def facts(self) -> PredictorFacts:
        """Origin of the answers."""
        every = [bundle.facts for bundle in self.bundles]
        return PredictorFacts(
            model_id="+".join(facts.model_id for facts in every),
            model_sha256="+".join(facts.model_sha256 for facts in every),
            config_sha256="+".join(facts.config_sha256 for facts in every),
            engine=f"{self._engine} {_engine_version(self._engine)} {self._device.type}",
            software_version=software_version(),
            int8_sha256=self._int8_sha256,
        )

    def run_networks(self, pixels: Tensor) -> Tensor:
        """(B, C, ...) normalised pixels -> (M, B, ...) logits of every network and look."""
        return run_models(
            self._models,
            pixels,
            device=self._device,
            test_time=self._test_time,
            task=self.target_spec.task,
        )

    def predict_logits(self, batches: Iterable[PixelBatch]) -> Logits:
        """The raw answers of every network, and of every mirrored look, to many batches."""
        return predict_logits(
            self._models,
            batches,
            device=self._device,
            test_time=self._test_time,
            task=self.target_spec.task,
        )


class Predictor(BundlePredictor):
    """The mean answer about six zones; arguments and errors as of `BundlePredictor`."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        device: torch.device,
        engine: EngineName = "auto",
        networks: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(bundles, device=device, engine=engine, networks=networks)
        self.zones = self.target_spec.names
        self.baseline_grades = bundles[0].facts.baseline_grades
        self._head = _zone_head(bundles[0])

    def predict_pixels(self, pixels: Tensor) -> tuple[Floats, Floats]:
        """(B, C, H, W) normalised pixels -> grades (B, Z, 4) and p_ungradable (B, Z)."""
        probabilities = mean_probabilities(self.run_networks(pixels), head=self._head)
        return probabilities.grades.numpy(), probabilities.ungradable.numpy()

    def predict_batches(self, batches: Iterable[PixelBatch]) -> tuple[Floats, Floats, np.ndarray]:
        """Grades (N, Z, 4), p_ungradable (N, Z) and the rows' indices (N,) of many batches."""
        logits = self.predict_logits(batches)
        probabilities = mean_probabilities(logits.values, head=self._head)
        return probabilities.grades.numpy(), probabilities.ungradable.numpy(), logits.indices


class LabelPredictor(BundlePredictor):
    """The mean answer about labels or classes; arguments and errors as of `BundlePredictor`."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        device: torch.device,
        engine: EngineName = "auto",
        networks: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(bundles, device=device, engine=engine, networks=networks)
        if self.target_spec.task not in ("multiclass", "multilabel"):
            raise BundleError(
                f"{bundles[0].folder}: it answers TASK = {self.target_spec.task}: expected labels "
                "or classes"
            )
        every = [bundle.facts.label_thresholds for bundle in bundles]
        self.thresholds = tuple(np.mean(every, axis=0).tolist()) if all(every) else ()

    def predict_batches(self, batches: Iterable[PixelBatch]) -> tuple[Floats, np.ndarray]:
        """Probabilities (N, K) and the rows' indices (N,) of many batches."""
        logits = self.predict_logits(batches)
        probs = mean_label_probabilities(logits.values, task=self.target_spec.task)
        return probs.numpy(), logits.indices


def open_predictor(
    bundles: Sequence[Bundle],
    *,
    device: torch.device,
    engine: EngineName = "auto",
    networks: Sequence[nn.Module] = (),
) -> Predictor | LabelPredictor:
    """The predictor that answers the bundles' task; arguments as of `BundlePredictor`.

    Raises:
        BundleError: They don't go together, or their task has no predictor.
    """
    is_csi = bundles and bundles[0].facts.spec.target_spec.task == "csi"
    kind = Predictor if is_csi else LabelPredictor
    return kind(bundles, device=device, engine=engine, networks=networks)


def channels_last_of(spec: InputSpec) -> torch.memory_format:
    """The fastest memory layout of a network's tensors."""
    return torch.channels_last if len(spec.size) == 2 else torch.channels_last_3d


def load_predictor(
    folders: Sequence[Path], *, device: torch.device, engine: EngineName = "auto"
) -> Predictor:
    """The bundles of some folders as one predictor of six zones.

    Raises:
        BundleError: A bundle can't be loaded, they don't go together, or int8 isn't allowed.
        ConfigError: Int8 is asked for on another device than the CPU.
    """
    return Predictor([load_bundle(folder) for folder in folders], device=device, engine=engine)


def _load_networks(
    bundles: Sequence[Bundle], engine: EngineName, device: torch.device
) -> Sequence[nn.Module]:
    kind = INT8_ENGINES.get(engine)
    if kind is None:
        return [model for bundle in bundles for model in bundle.models]
    if device.type != "cpu":
        raise ConfigError(
            f"[SCORING] ENGINE = {engine}: int8 runs on the CPU, found {device.type}: set "
            "[RUNTIME] DEVICE = cpu"
        )
    return [network for bundle in bundles for network in load_int8(bundle, kind)]


def _hash_of_reports(bundles: Sequence[Bundle], engine: EngineName) -> str:
    kind = INT8_ENGINES.get(engine)
    return "+".join(str(read_report(b, kind)["report_sha256"]) for b in bundles) if kind else ""


def _engine_version(engine: EngineName) -> str:
    return version("openvino") if engine == "openvino-int8" else torch.__version__


def _zone_head(bundle: Bundle) -> ZoneHead:
    head = bundle.facts.spec.head
    if head not in ("ordinal", "softmax"):
        targets = bundle.facts.spec.target_spec
        raise BundleError(
            f"{bundle.folder}: it answers {targets.task} ({', '.join(targets.names)}), and --mode "
            "score grades six zones: expected a bundle of TASK = csi; measure this one with "
            "--mode evaluate"
        )
    return head


def _check_alike(bundles: Sequence[Bundle]) -> None:
    if not bundles:
        raise BundleError("no bundle is named: set MODEL to the folder `model` of a training")
    first = bundles[0]
    for other in bundles[1:]:
        for name in ("input_spec", "target_spec", "head"):
            mine, theirs = getattr(first.facts.spec, name), getattr(other.facts.spec, name)
            if mine != theirs:
                raise BundleError(
                    f"{other.folder}: {name} is {theirs}, but {first.folder} has {mine}: an "
                    "ensemble needs equal ones"
                )
        if other.facts.test_time != first.facts.test_time:
            raise BundleError(
                f"{other.folder}: test_time is {other.facts.test_time}, but {first.folder} has "
                f"{first.facts.test_time}: an ensemble needs equal ones"
            )

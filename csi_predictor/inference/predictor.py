"""Bundles ready to answer: one network or an ensemble, on one device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.data.official_processor import check_official_processor
from csi_predictor.errors import BundleError, ConfigError
from csi_predictor.inference.bundle import Bundle
from csi_predictor.inference.mc_dropout import has_dropout
from csi_predictor.inference.predict import (
    DropoutPasses,
    Logits,
    PixelBatch,
    label_probabilities,
    mean_label_probabilities,
    mean_probabilities,
    predict_logits,
    run_models,
)
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.quantization import INT8_ENGINES, load_int8, read_report
from csi_predictor.inference.spread import Spread, spread_of
from csi_predictor.specs import InputSpec, TargetSpec, ZoneHead
from csi_predictor.versions import software_version
from csi_predictor.zone_logits import zone_probabilities

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
        dropout: Masks of dropout under which each network answers; None = without dropout.

    Raises:
        BundleError: The bundles differ in preprocessing, head or answers, int8 is asked for and
            one has no report of an evaluation that allows it, or dropout is asked for and a
            network has none or runs as int8.
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
        dropout: DropoutPasses | None = None,
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
        self._dropout = dropout
        if dropout is not None:
            _check_dropout(bundles, self._engine)

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

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Every member, in evaluation mode, on the device."""
        return tuple(self._models)

    @property
    def device(self) -> torch.device:
        """Where they run."""
        return self._device

    def run_networks(self, pixels: Tensor) -> Tensor:
        """(B, C, ...) normalised pixels -> (M, B, ...) logits of every network and look."""
        return run_models(
            self._models,
            pixels,
            device=self._device,
            test_time=self._test_time,
            task=self.target_spec.task,
            dropout=self._dropout,
        )

    def predict_logits(self, batches: Iterable[PixelBatch]) -> Logits:
        """The raw answers of every network, and of every mirrored look, to many batches."""
        return predict_logits(
            self._models,
            batches,
            device=self._device,
            test_time=self._test_time,
            task=self.target_spec.task,
            dropout=self._dropout,
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
        dropout: DropoutPasses | None = None,
    ) -> None:
        super().__init__(bundles, device=device, engine=engine, networks=networks, dropout=dropout)
        self.zones = self.target_spec.names
        self.baseline_grades = bundles[0].facts.baseline_grades
        self._head = _zone_head(bundles[0])

    def predict_pixels(self, pixels: Tensor) -> tuple[Floats, Floats, Spread]:
        """(B, C, H, W) normalised pixels -> grades (B, Z, 4), p_ungradable (B, Z), their spread."""
        values = self.run_networks(pixels)
        return *self.read_logits(values), self.spread_of_passes(values)

    def read_logits(self, values: Tensor) -> tuple[Floats, Floats]:
        """(M, N, Z, L) logits -> the passes' mean grades (N, Z, 4) and p_ungradable (N, Z)."""
        probabilities = mean_probabilities(values, head=self._head)
        return probabilities.grades.numpy(), probabilities.ungradable.numpy()

    def spread_of_passes(self, values: Tensor) -> Spread:
        """(M, N, Z, L) logits -> how far the passes disagree about the grades."""
        return _spread_of_finite(zone_probabilities(values.double(), self._head).grades)


class LabelPredictor(BundlePredictor):
    """The mean answer about labels or classes; arguments and errors as of `BundlePredictor`."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        device: torch.device,
        engine: EngineName = "auto",
        networks: Sequence[nn.Module] = (),
        dropout: DropoutPasses | None = None,
    ) -> None:
        super().__init__(bundles, device=device, engine=engine, networks=networks, dropout=dropout)
        if self.target_spec.task not in ("multiclass", "multilabel"):
            raise BundleError(
                f"{bundles[0].folder}: it answers TASK = {self.target_spec.task}: expected labels "
                "or classes"
            )
        every = [bundle.facts.label_thresholds for bundle in bundles]
        self.thresholds = tuple(np.mean(every, axis=0).tolist()) if all(every) else ()

    def read_logits(self, values: Tensor) -> Floats:
        """(M, N, K) logits -> (N, K) the mean of the passes' probabilities."""
        probs: Floats = mean_label_probabilities(values, task=self.target_spec.task).numpy()
        return probs

    def spread_of_passes(self, values: Tensor) -> Spread:
        """(M, N, K) logits -> how far the passes disagree about each label, or about the class."""
        probs = label_probabilities(values, task=self.target_spec.task)
        if self.target_spec.task == "multiclass":
            return _spread_of_finite(probs[:, :, None])
        return _spread_of_finite(torch.stack([1 - probs, probs], dim=-1))


def open_predictor(
    bundles: Sequence[Bundle],
    *,
    device: torch.device,
    engine: EngineName = "auto",
    networks: Sequence[nn.Module] = (),
    dropout: DropoutPasses | None = None,
) -> Predictor | LabelPredictor:
    """The predictor that answers the bundles' task; arguments as of `BundlePredictor`.

    Raises:
        BundleError: They don't go together, or their task has no predictor.
    """
    is_csi = bundles and bundles[0].facts.spec.target_spec.task == "csi"
    kind = Predictor if is_csi else LabelPredictor
    return kind(bundles, device=device, engine=engine, networks=networks, dropout=dropout)


def channels_last_of(spec: InputSpec) -> torch.memory_format:
    """The fastest memory layout of a network's tensors."""
    return torch.channels_last if len(spec.size) == 2 else torch.channels_last_3d


def _spread_of_finite(passes: Tensor) -> Spread:
    """(M, N, Q, C) -> their spread; passes that aren't numbers are refused by their reader."""
    is_finite = passes.isfinite().all(dim=-1, keepdim=True)
    return spread_of(torch.where(is_finite, passes, 1 / passes.shape[-1]).numpy())


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


def _check_dropout(bundles: Sequence[Bundle], engine: str) -> None:
    if engine != "torch":
        raise BundleError(
            f"UNCERTAINTY = mc_dropout: {engine} has no dropout: expected [SCORING] ENGINE = torch"
        )
    for bundle in bundles:
        for model in bundle.models:
            if not has_dropout(model):
                raise BundleError(
                    f"{bundle.folder}: UNCERTAINTY = mc_dropout: the network has no dropout: "
                    "expected one trained with [MODEL] DROPOUT_RATE above 0; set UNCERTAINTY = none"
                )


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

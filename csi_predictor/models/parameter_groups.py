"""Parameters in groups for an optimizer: rates by stage, no decay where it does harm."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from csi_predictor.models.encoder import Stages


def group_parameters(
    stages: Stages,
    names: Mapping[int, str],
    spared: Collection[str] = (),
    *,
    learning_rate: float,
    backbone_lr_factor: float,
    weight_decay: float,
    fine_tuning: str,
    layer_decay: float,
    stage_rates: Sequence[float] = (),
) -> list[dict[str, Any]]:
    """One or two groups a stage: with weight decay, and (biases, norms, thresholds) without.

    Args:
        stages: From input to output, the head last.
        names: Each parameter's full name by its `id`.
        spared: Names of further parameters without weight decay.
        learning_rate: Of the head.
        backbone_lr_factor: Times the head's rate is the encoder's.
        weight_decay: Of matrices and kernels.
        fine_tuning: `full` and `gradual` give the encoder one rate; `layerwise` gives each stage
            `layer_decay` times the rate of the next; `frozen` leaves the encoder out.
        layer_decay: Of `layerwise`.
        stage_rates: Of `layerwise`, in place of `layer_decay`: the rate of each stage, from the
            head to the input; the last one serves all stages before it.

    Source: layer-wise decay as in Clark et al. 2020 (ELECTRA), arXiv:2003.10555, section A.
    """
    groups: list[dict[str, Any]] = []
    for distance, (name, stage) in enumerate(reversed(stages)):
        if distance and fine_tuning == "frozen":
            break
        rate = learning_rate * (backbone_lr_factor if distance else 1.0)
        if fine_tuning == "layerwise":
            rate = (
                stage_rates[min(distance, len(stage_rates) - 1)]
                if stage_rates
                else rate * layer_decay**distance
            )
        groups.extend(_stage_groups(name, stage, names, spared, rate, weight_decay))
    return groups


def _stage_groups(
    name: str,
    stage: nn.Module,
    names: Mapping[int, str],
    spared: Collection[str],
    rate: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in stage.parameters():
        full_name = names[id(parameter)]
        is_plain = parameter.ndim <= 1 or full_name.endswith("bias") or full_name in spared
        (plain if is_plain else decayed).append(parameter)
    return [
        {"name": label, "params": parameters, "lr": rate, "weight_decay": decay}
        for label, parameters, decay in (
            (name, decayed, weight_decay),
            (f"{name} without decay", plain, 0.0),
        )
        if parameters
    ]

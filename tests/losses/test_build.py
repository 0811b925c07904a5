import pytest
import torch

from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.losses.build import build_loss, check_loss
from csi_predictor.losses.classification import cross_entropy, focal
from csi_predictor.losses.ordinal import ordinal
from csi_predictor.specs import TargetSpec

TARGETS = torch.tensor([[0.0, 1.0, 2.0, 3.0, float("nan"), 1.0]])


def loss_of(head: str, **training: object) -> float:
    config = Config.model_validate({"model": {"head": head}, "training": training})
    torch.manual_seed(0)
    return build_loss(config, TargetSpec(), TARGETS.double().numpy())(
        torch.randn(1, 6, 4 if head == "ordinal" else 5), TARGETS
    ).item()


def logits(outputs: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 6, outputs)


def test_auto_follows_the_head() -> None:
    assert loss_of("ordinal") == ordinal(logits(4), TARGETS, unknown_weight=1.0).item()
    expected = cross_entropy(logits(5), TARGETS, unknown_weight=1.0).item()
    assert loss_of("softmax") == expected


def test_the_keys_reach_the_loss() -> None:
    keys = {"unknown_weight": 0.7, "label_smoothing": 0.1}
    expected = ordinal(logits(4), TARGETS, **keys).item()
    assert loss_of("ordinal", loss="ordinal", **keys) == expected


@pytest.mark.parametrize(("head", "outputs"), [("ordinal", 4), ("softmax", 5)])
def test_focal_takes_gamma_and_alpha(head: str, outputs: int) -> None:
    alpha = (1.0, 2.0, 3.0, 4.0)
    expected = focal(
        logits(outputs), TARGETS, head=head, gamma=1.5, alpha=alpha, unknown_weight=1.0
    )
    found = loss_of(head, loss="focal", focal_gamma=1.5, focal_alpha=alpha)
    assert found == expected.item()


def test_another_number_of_weights_than_labels_is_refused_before_any_work() -> None:
    labels = TargetSpec(task="multilabel", names=("a", "b", "c"), num_classes=2)
    for key, value in (("pos_weight", (2.0, 3.0)), ("focal_alpha", (0.2, 0.3))):
        config = Config.model_validate({"data": {"task": "multilabel"}, "training": {key: value}})
        text = rf"{key.upper()} has 2 numbers: expected 1 or 3, one for each of a, b, c"
        with pytest.raises(ConfigError, match=text):
            check_loss(config, labels)
    check_loss(Config.model_validate({"training": {"pos_weight": (2.0,)}}), labels)

"""What is explained, against hand calculations from the logits."""

import pytest
import torch

from csi_predictor.errors import CsiError
from csi_predictor.inference.explain.target import Target, score_answer
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import ZONES, InputSpec, TargetSpec, Task

PICTURE = InputSpec(size=(8, 8))
ZONE_SPEC = ModelSpec(architecture="custom1", input_spec=PICTURE)
SOFTMAX_SPEC = ModelSpec(architecture="custom1", input_spec=PICTURE, head="softmax")


def plain_spec(task: Task, names: tuple[str, ...], head: str = "linear") -> ModelSpec:
    targets = TargetSpec(task=task, names=names, num_classes=len(names))
    return ModelSpec(
        architecture="custom1",
        input_spec=PICTURE,
        target_spec=targets,
        head=head,  # type: ignore[arg-type]
        zone_focus="none",
    )


def test_an_ordinal_zones_score_is_the_mean_of_its_own_cumulative_logits() -> None:
    logits = torch.zeros(1, 6, 4)
    logits[0, 3] = torch.tensor([3.0, 1.5, -1.5, 99.0])  # the last says ungradable
    assert score_answer(logits, Target("left_mid"), ZONE_SPEC).tolist() == [1.0]
    assert score_answer(logits, Target("right_mid"), ZONE_SPEC).tolist() == [0.0]


def test_one_ordinal_zones_gradient_points_as_that_of_the_expected_grade() -> None:
    features = torch.tensor([0.7, -0.2, 1.1], requires_grad=True)
    score = features @ torch.tensor([2.0, -1.0, 0.5])
    cumulative = score - torch.tensor([-1.0, 0.5, 2.0])
    expected_grade = cumulative.sigmoid().sum()  # P(grade > 0) + P(> 1) + P(> 2)
    logits = torch.cat([cumulative, torch.zeros(1)]).expand(1, 6, 4)
    (of_grade,) = torch.autograd.grad(expected_grade, features, retain_graph=True)
    explained = score_answer(logits, Target(ZONES[0]), ZONE_SPEC).sum()
    (of_score,) = torch.autograd.grad(explained, features)
    torch.testing.assert_close(of_score / of_score.norm(), of_grade / of_grade.norm())


def test_a_softmax_zones_score_is_its_expected_grade() -> None:
    probs = torch.tensor([0.1, 0.2, 0.3, 0.4])  # expected 0.2 + 0.6 + 1.2 = 2.0
    logits = torch.cat([probs.log(), torch.tensor([1.0])]).expand(2, 6, 5)
    scores = score_answer(logits, Target("right_inf"), SOFTMAX_SPEC)
    torch.testing.assert_close(scores, torch.tensor([2.0, 2.0]))


def test_the_csi_is_the_mean_of_all_six_zones() -> None:
    logits = torch.arange(6.0)[None, :, None].expand(1, 6, 4)
    assert score_answer(logits, Target("csi"), ZONE_SPEC).tolist() == [2.5]


def test_a_label_and_a_class_are_their_own_logit() -> None:
    logits = torch.tensor([[0.5, -2.0, 4.0]])
    names = ("edema", "mass", "nodule")
    label = score_answer(logits, Target("mass"), plain_spec("multilabel", names))
    of_class = score_answer(logits, Target("class", "nodule"), plain_spec("multiclass", names))
    assert (label.tolist(), of_class.tolist()) == ([-2.0], [4.0])


def test_a_zone_is_never_taken_for_a_class_index__weakness_002_11() -> None:
    logits = torch.zeros(1, 6, 5)
    logits[0, 5, 3] = 50.0  # the sixth zone surely has grade 3; there is no class 5
    scores = {zone: score_answer(logits, Target(zone), SOFTMAX_SPEC).item() for zone in ZONES}
    assert scores["left_inf"] == pytest.approx(3.0)
    assert [scores[zone] for zone in ZONES[:5]] == pytest.approx([1.5] * 5)


@pytest.mark.parametrize(
    ("target", "spec", "expected"),
    [
        (Target("lingula"), ZONE_SPEC, "expected one of right_sup, .*, left_inf, csi"),
        (Target("left_inf", "3"), ZONE_SPEC, "question 'left_inf' with answer '3'"),
        (Target("csi"), plain_spec("multilabel", ("edema",)), "expected one of edema$"),
        (Target("a"), plain_spec("multiclass", ("a", "b")), "expected one of class a, class b"),
    ],
)
def test_a_question_that_the_network_doesnt_answer_is_an_error(
    target: Target, spec: ModelSpec, expected: str
) -> None:
    with pytest.raises(CsiError, match=expected):
        score_answer(torch.zeros(1, 6, 4), target, spec)


def test_a_head_without_a_number_is_an_error() -> None:
    spec = plain_spec("change", ("change",), head="map")
    with pytest.raises(CsiError, match="its map head gives no single number"):
        score_answer(torch.zeros(1, 1, 8, 8), Target("change"), spec)

import pytest
import torch

from csi_predictor.models.heads.zones import ZoneClassifier, zone_probabilities


def classifier(kind: str = "ordinal", **arguments: object) -> ZoneClassifier:
    settings = {"kind": kind, "dropout_rate": 0.0, "share_zones": True, **arguments}
    return ZoneClassifier(8, **settings)


def test_an_untrained_ordinal_head_is_undecided_and_finds_zones_gradable() -> None:
    probabilities = zone_probabilities(classifier()(torch.zeros(1, 6, 8)), "ordinal")
    # thresholds -2, 0, 2: sigmoid(-2) = 0.1192 beyond the outer ones, 0.5 - 0.1192 between
    expected = torch.tensor([0.1192, 0.3808, 0.3808, 0.1192]).expand(1, 6, 4)
    torch.testing.assert_close(probabilities.grades, expected, atol=1e-4, rtol=0)
    assert probabilities.ungradable.max() < 0.2


def test_even_thresholds_find_all_grades_alike_and_never_move() -> None:
    head = classifier(learn_thresholds=False)
    probabilities = zone_probabilities(head(torch.zeros(1, 6, 8)), "ordinal")
    torch.testing.assert_close(probabilities.grades, torch.full((1, 6, 4), 0.25), atol=1e-4, rtol=0)
    assert {name for name, _ in head.named_parameters()} == {"weight", "bias"}
    assert {"first_threshold", "raw_gaps"} <= head.state_dict().keys()


def test_thresholds_rise_whatever_their_parameters() -> None:
    head = classifier()
    torch.nn.init.normal_(head.raw_gaps)
    torch.nn.init.normal_(head.first_threshold)
    assert (head.thresholds().diff() > 0).all()


def test_cumulative_logits_are_the_score_minus_the_thresholds() -> None:
    head = classifier()
    features = torch.randn(2, 6, 8)
    logits = head(features)
    score = (features[1, 4] * head.weight[0, 0]).sum() + head.bias[4, 0]
    torch.testing.assert_close(logits[1, 4, :3], score - head.thresholds())


def test_one_pooled_vector_gives_each_zone_its_own_answer() -> None:
    logits = classifier(share_zones=False)(torch.randn(3, 8))
    assert logits.shape == (3, 6, 4)
    assert not torch.allclose(logits[:, 0], logits[:, 1])


def test_a_shared_projection_reads_each_zones_features_alike() -> None:
    features = torch.randn(1, 1, 8).expand(1, 6, 8)
    logits = classifier(kind="softmax")(features)
    assert logits.shape == (1, 6, 5)
    torch.testing.assert_close(logits, logits[:, :1].expand(1, 6, 5))


def test_dropout_rate_reaches_the_head__weakness_3() -> None:
    head = classifier(dropout_rate=0.9).train()
    features = torch.ones(1, 6, 8)
    assert head.dropout.p == pytest.approx(0.9)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = classifier()(torch.randn(1, 6, 8).bfloat16())
    assert logits.dtype == torch.float32

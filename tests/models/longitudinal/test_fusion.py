import torch

from csi_predictor.models.longitudinal.fusion import DifferenceFusion


def test_the_depthwise_path_can_be_the_plain_difference() -> None:
    fusion = DifferenceFusion(32)
    depthwise = fusion.pairwise[0]
    with torch.no_grad():
        depthwise.weight[:, 0], depthwise.weight[:, 1] = -1.0, 1.0
    seen: list[torch.Tensor] = []
    depthwise.register_forward_hook(lambda _, __, output: seen.append(output))
    baseline, followup = torch.randn(2, 2, 32, 5, 7)
    fusion(baseline, followup)
    torch.testing.assert_close(seen[0], followup - baseline)


def test_the_three_paths_are_1x1_depthwise_3x3_and_7x7_depthwise_separable() -> None:
    fusion = DifferenceFusion()
    kernels = [
        (path[0].kernel_size[0], path[0].groups)
        for path in (fusion.pairwise, fusion.local, fusion.wide)
    ]
    assert kernels == [(1, 640), (3, 1), (7, 1280)]
    assert fusion.wide[1].kernel_size == (1, 1)


def test_each_path_counts() -> None:
    fusion = DifferenceFusion(32).eval()
    baseline, followup = torch.randn(2, 1, 32, 4, 4)
    whole = fusion(baseline, followup)
    for path in (fusion.pairwise, fusion.local, fusion.wide):
        kept = path[-1].weight.detach().clone()
        torch.nn.init.zeros_(path[-1].weight)
        assert not torch.allclose(fusion(baseline, followup), whole)
        path[-1].weight.data.copy_(kept)


def test_the_order_of_the_pictures_counts() -> None:
    fusion = DifferenceFusion(32)
    baseline, followup = torch.randn(2, 1, 32, 4, 4)
    assert not torch.allclose(fusion(baseline, followup), fusion(followup, baseline))

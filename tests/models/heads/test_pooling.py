import torch

from csi_predictor.models.encoder import pool_means
from csi_predictor.models.heads.layout import CHEST_LAYOUT
from csi_predictor.models.heads.pooling import ZonePooling
from csi_predictor.specs import MIRRORED_ZONE_INDEX


def random_maps() -> list[torch.Tensor]:
    torch.manual_seed(3)
    return [torch.randn(2, 5, 14, 12), torch.randn(2, 3, 7, 6)]


def test_a_zone_is_the_weighted_mean_of_its_window() -> None:
    fine, coarse = random_maps()
    pooled = ZonePooling()([fine, coarse])
    window = CHEST_LAYOUT.soft_windows(7, 6)[2]
    by_hand = (coarse[1, 0] * window).sum()
    assert pooled.shape == (2, 6, 8)
    torch.testing.assert_close(pooled[1, 2, 5], by_hand)


def test_a_mirrored_map_swaps_the_zones() -> None:
    maps = random_maps()
    pooled = ZonePooling()(maps)
    mirrored = ZonePooling()([one.flip(-1) for one in maps])
    torch.testing.assert_close(mirrored, pooled[:, list(MIRRORED_ZONE_INDEX)])


def test_a_bright_spot_in_the_patients_right_apex_reaches_that_zone_most() -> None:
    feature_map = torch.zeros(1, 1, 20, 20)
    feature_map[0, 0, 4, 5] = 1.0  # upper left of the image
    assert ZonePooling()([feature_map])[0, :, 0].argmax() == 0  # right_sup


def test_global_context_is_the_same_for_all_zones() -> None:
    maps = random_maps()
    pooled = ZonePooling(global_context=True)(maps)
    context = pooled[:, :, 8:]
    assert pooled.shape == (2, 6, 16)
    torch.testing.assert_close(context, pool_means(maps)[:, None].expand(-1, 6, -1))


def test_global_pooling_is_the_mean_of_each_map() -> None:
    fine, coarse = random_maps()
    pooled = pool_means([fine, coarse])
    torch.testing.assert_close(pooled, torch.cat([fine.mean((2, 3)), coarse.mean((2, 3))], 1))

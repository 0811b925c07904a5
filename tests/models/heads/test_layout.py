import pytest
import torch

from csi_predictor.models.heads.layout import CHEST_LAYOUT
from csi_predictor.specs import MIRRORED_ZONE_INDEX, ZONES


@pytest.mark.parametrize(("height", "width"), [(7, 7), (10, 14), (1, 3)])
def test_each_window_has_the_sum_one_on_a_map_of_any_size(height: int, width: int) -> None:
    windows = CHEST_LAYOUT.soft_windows(height, width)
    assert windows.shape == (6, height, width)
    torch.testing.assert_close(windows.sum(dim=(1, 2)), torch.ones(6))


def test_right_zones_lie_on_the_left_of_the_image__weakness_14() -> None:
    for zone, window in zip(ZONES, CHEST_LAYOUT.soft_windows(20, 20), strict=True):
        left_half = window[:, :10].sum()
        assert (left_half > 0.9) == zone.startswith("right"), zone


def test_upper_zones_lie_above_lower_ones() -> None:
    windows = CHEST_LAYOUT.soft_windows(50, 50)
    height = (windows.sum(dim=2) * torch.arange(50)).sum(dim=1)
    torch.testing.assert_close(height[0::2], height[1::2])
    assert height[0] < height[2] < height[4]


def test_the_mirrored_windows_are_those_of_the_other_side() -> None:
    windows = CHEST_LAYOUT.soft_windows(9, 13)
    torch.testing.assert_close(windows.flip(-1), windows[list(MIRRORED_ZONE_INDEX)])


def test_regions_share_out_every_pixel_once() -> None:
    regions = CHEST_LAYOUT.regions(31, 17)
    assert torch.equal(regions.sum(dim=0), torch.ones(31, 17))


def test_regions_end_halfway_between_the_centres() -> None:
    regions = CHEST_LAYOUT.regions(100, 100)
    # Centres at 0.20, 0.42, 0.64 of the height: borders at rows 31 and 53; at half the width.
    assert regions[0, :31, :50].all()
    assert regions[3, 31:53, 50:].all()
    assert regions[4, 53:, :50].all()

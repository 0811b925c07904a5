import pytest
import torch

from csi_predictor.models.heads.masking import ZoneMasking
from csi_predictor.specs import InputSpec

SPEC = InputSpec(size=(40, 40), channels=1, mean=(0.4,), std=(0.2,))


def brightness(strategy: str, strength: float = 0.7) -> torch.Tensor:
    """Grey value, 0-1, of an all-white picture after masking, (Z, H, W)."""
    masking = ZoneMasking(SPEC, strategy=strategy, strength=strength)
    white = (torch.ones(1, 1, 40, 40) - 0.4) / 0.2
    return masking(white)[:, 0] * 0.2 + 0.4


def test_zero_blackens_all_but_the_zone__weakness_1() -> None:
    grey = brightness("zero")
    torch.testing.assert_close(grey.amax(dim=(1, 2)), torch.ones(6))
    torch.testing.assert_close(grey.sum(dim=0), torch.ones(40, 40))


@pytest.mark.parametrize("strength", [0.7, 0.9])
def test_attention_dims_the_rest_by_its_strength__weakness_1(strength: float) -> None:
    grey = brightness("attention", strength)
    # zone * s + (1 - zone) * (1 - s)
    assert grey[0, 2, 2].item() == pytest.approx(strength, abs=1e-5)
    assert grey[0, 38, 38].item() == pytest.approx(1 - strength, abs=1e-5)


def test_the_first_mask_shows_the_left_of_the_image__weakness_14() -> None:
    right_sup, left_sup = brightness("zero")[:2]
    assert right_sup[5, :20].all()
    assert not right_sup[5, 20:].any()
    assert left_sup[5, 20:].all()


def test_zones_of_one_image_follow_each_other() -> None:
    images = torch.stack([torch.full((1, 40, 40), 1.0), torch.full((1, 40, 40), 2.0)])
    masked = ZoneMasking(SPEC, strategy="zero")(images)
    assert masked.shape == (12, 1, 40, 40)
    assert masked[:6].max() == pytest.approx(1.0)
    assert masked[6:].max() == pytest.approx(2.0)

"""[AUGMENTATION]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import Section, Word, key

Strength = Annotated[choices.Auto | Annotated[float, Field(ge=0)], Word]
Share = Annotated[choices.Auto | Annotated[float, Field(ge=0, le=1)], Word]


class AugmentationSection(Section):
    """Random changes of training images; `auto` takes PROFILE's value."""

    profile: Annotated[choices.Profile, Word] = key(
        "standard",
        "set of strengths; conservative has no flip; skin keeps colours and flips both ways; "
        "randaugment and autoaugment are the published policies",
    )
    mirror_p: Share = key(
        "auto",
        "probability of a left-right flip, which swaps the zones; auto = PROFILE's for TASK = csi "
        "and MedMNIST; 0 for other radiographs and CT, where it would make situs inversus, and "
        "where a label or class says left or right",
    )
    flip_p: Share = key("auto", "probability of an up-down flip; never of volumes")
    rotation_deg: Strength = key("auto", "largest rotation, degrees")
    translate: Share = key("auto", "largest shift, share of the edge")
    scale: Share = key("auto", "largest change of size, share")
    brightness: Share = key("auto", "largest added value, share of the range")
    contrast: Share = key("auto", "largest relative change of contrast")
    gamma: Share = key("auto", "largest exponent change: 1/(1+g) to 1+g")
    noise: Share = key("auto", "largest standard deviation of Gaussian noise, share of the range")
    erase_p: Share = key("auto", "probability that one rectangle is blanked")
    num_ops: int = key(2, "of PROFILE = randaugment: operations on each image", ge=1, le=14)
    magnitude: int = key(9, "of PROFILE = randaugment: their strength", ge=0, le=30)
    mixup: float = key(
        0.0, "alpha of mixup (Zhang 2018), of labels and classes; 0 = none", ge=0, le=10
    )
    cutmix: float = key(
        0.0, "alpha of cutmix (Yun 2019), of labels and classes; 0 = none", ge=0, le=10
    )

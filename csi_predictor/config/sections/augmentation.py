"""[AUGMENTATION]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import Section, Word, key

Strength = Annotated[choices.Auto | Annotated[float, Field(ge=0)], Word]
Share = Annotated[choices.Auto | Annotated[float, Field(ge=0, le=1)], Word]


class AugmentationSection(Section):
    """Random changes of training images; `auto` takes PROFILE's value."""

    profile: Annotated[choices.Profile, Word] = key("standard", "set of strengths")
    mirror_p: Share = key("auto", "probability of a left-right flip, which swaps the zones")
    rotation_deg: Strength = key("auto", "largest rotation, degrees")
    translate: Share = key("auto", "largest shift, share of the edge")
    scale: Share = key("auto", "largest change of size, share")
    brightness: Share = key("auto", "largest added value, share of the range")
    contrast: Share = key("auto", "largest relative change of contrast")
    gamma: Share = key("auto", "largest exponent change: 1/(1+g) to 1+g")
    noise: Share = key("auto", "largest standard deviation of Gaussian noise, share of the range")
    erase_p: Share = key("auto", "probability that one rectangle is blanked")

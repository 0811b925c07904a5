"""The numbers of the longitudinal networks. Source: the description of the longitudinal system."""

IMG_SIZE = 512
"""Edge of the square picture, pixels."""

FEATURE_SIZE = 32
"""Edge of the encoded map at `IMG_SIZE`: a sixteenth of the picture's."""

FEATURE_CHANNELS = 640
"""Channels of the encoded map."""

HIDDEN_CHANNELS = 768
"""Width of a token: ViT-Base."""

INTER_CHANNELS = 704
"""Between the encoded map's channels and a token's."""

PATCHES_NUM = 256
"""Tokens at `IMG_SIZE`: 16 x 16, each of 2 x 2 places of the encoded map."""

GROUP_NORM_GROUPS = 32
"""Groups of a GroupNorm whose channels they divide."""

INIT_STD = 0.02
"""Standard deviation of embeddings and of a transformer's matrices at the start."""

INIT_WEIGHTS = True
"""Whether the networks start from `initialise_weights`; False = torch's and timm's own start."""

LATENT_CHANNELS = 128
"""Width of the contrastive encoder's answer."""

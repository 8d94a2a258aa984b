"""Canonical blocks and networks that submissions are composed of. They import torch only."""

from reference_models.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan_init_
from reference_models.depthwise_separable import DepthwiseSeparableConv2d
from reference_models.normalize import Normalize, to_unit_range
from reference_models.squeeze_excitation import SqueezeExcitation

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DepthwiseSeparableConv2d",
    "Normalize",
    "SqueezeExcitation",
    "dcgan_init_",
    "to_unit_range",
]

"""Reference blocks and networks, the building blocks of submissions. They depend only on torch."""

from reference_models import lopez
from reference_models.averaging import ExponentialMovingAverage
from reference_models.convnext_unet import ConvNeXtBlock, ConvNeXtUNet, SelfAttention2d, sinusoidal_embedding
from reference_models.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan_init_
from reference_models.densenet import DenseLayer, DenseNet, Transition
from reference_models.depthwise_separable import DepthwiseSeparableConv2d
from reference_models.diffusion import ancestral_sample, diffuse, signal_shares
from reference_models.inverted_residual import InvertedResidual
from reference_models.mobilenet_v2 import MobileNetV2
from reference_models.normalize import Normalize, to_unit_range
from reference_models.resnet_cifar import BasicBlock, CifarResNet, he_init_
from reference_models.squeeze_excitation import SqueezeExcitation
from reference_models.standardize import Standardize
from reference_models.training_steps import adversarial_step, cross_entropy_step, to_bytes

__all__ = [
    "BasicBlock",
    "CifarResNet",
    "ConvNeXtBlock",
    "ConvNeXtUNet",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DenseLayer",
    "DenseNet",
    "DepthwiseSeparableConv2d",
    "ExponentialMovingAverage",
    "InvertedResidual",
    "MobileNetV2",
    "Normalize",
    "SelfAttention2d",
    "SqueezeExcitation",
    "Standardize",
    "Transition",
    "adversarial_step",
    "ancestral_sample",
    "cross_entropy_step",
    "dcgan_init_",
    "diffuse",
    "he_init_",
    "lopez",
    "signal_shares",
    "sinusoidal_embedding",
    "to_bytes",
    "to_unit_range",
]

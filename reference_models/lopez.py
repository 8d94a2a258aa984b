"""The eight feed-forward networks in the search of paper 004 (Lopez); it reports CNN6, CNN7 and CNN2.

All map (B, 3, 32, 32) float32 to (B, 100) logits. Kernels of every size are padded by 1, so that sizes other
than 3×3 change the resolution. Unusual widths such as 246, 38, 255 and 399 are the author's; they give the
published counts.
"""

from torch import nn


def cnn1() -> nn.Sequential:
    """Build CNN1: 1,481,574 parameters."""
    return nn.Sequential(
        *_conv(3, 48, norm=True),
        *_conv(48, 100, norm=True, pool=nn.AvgPool2d(2)),
        *_conv(100, 128),
        *_conv(128, 200, activation=None, pool=nn.MaxPool2d(2)),
        *_conv(200, 256, pool=nn.MaxPool2d(2), dropout=0.2),
        nn.Flatten(),
        *_linear(4096, 150, dropout=0.3),
        nn.Linear(150, 100),
    )


def cnn2() -> nn.Sequential:
    """Build CNN2: 10,393,946 parameters; the fourth convolution has no normalisation."""
    return nn.Sequential(
        *_conv(3, 32, norm=True),
        *_conv(32, 64, norm=True, pool=nn.MaxPool2d(2)),
        *_conv(64, 150, norm=True),
        *_conv(150, 300, pool=nn.MaxPool2d(2)),
        nn.Flatten(),
        *_linear(19_200, 512, dropout=0.3),
        nn.Linear(512, 100),
    )


def cnn3() -> nn.Sequential:
    """Build CNN3: 805,406 parameters."""
    leaky = nn.LeakyReLU(0.01)
    return nn.Sequential(
        *_conv(3, 32, kernel_size=7, norm=True, activation=leaky, pool=nn.MaxPool2d(2)),
        *_conv(32, 150, norm=True, activation=leaky, pool=nn.MaxPool2d(2)),
        *_conv(150, 200, activation=leaky, pool=nn.MaxPool2d(2), dropout=0.1),
        nn.Flatten(),
        *_linear(1800, 256, dropout=0.3),
        nn.Linear(256, 100),
    )


def cnn4() -> nn.Sequential:
    """Build CNN4: 471,160 parameters."""
    leaky = nn.LeakyReLU(0.01)
    return nn.Sequential(
        *_conv(3, 32, kernel_size=5, norm=True, activation=leaky, pool=nn.AvgPool2d(2)),
        *_conv(32, 132, norm=True, activation=leaky, pool=nn.MaxPool2d(2), dropout=0.1),
        *_conv(132, 256, kernel_size=2, activation=leaky, pool=nn.AvgPool2d(2), dropout=0.1),
        *_conv(256, 200, kernel_size=1, activation=leaky, pool=nn.MaxPool2d(2), dropout=0.1),
        nn.Flatten(),
        *_linear(1800, 128, dropout=0.3),
        nn.Linear(128, 100),
    )


def cnn5() -> nn.Sequential:
    """Build CNN5: 856,708 parameters."""
    return nn.Sequential(
        *_conv(3, 32, kernel_size=2, activation=nn.LeakyReLU(0.01), pool=nn.MaxPool2d(2)),
        *_conv(32, 128, pool=nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(8192, 100),
    )


def cnn6() -> nn.Sequential:
    """Build CNN6: 2,494,022 parameters, without dropout."""
    return nn.Sequential(
        *_conv(3, 128, norm=True, pool=nn.MaxPool2d(2)),
        *_conv(128, 246, norm=True, pool=nn.MaxPool2d(2)),
        *_conv(246, 256, norm=True),
        nn.Flatten(),
        nn.Linear(16_384, 100),
    )


def cnn7() -> nn.Sequential:
    """Build CNN7: 3,004,917 parameters."""
    leaky = nn.LeakyReLU(0.1)
    return nn.Sequential(
        *_conv(3, 38, norm=True, activation=leaky, pool=nn.MaxPool2d(2), dropout=0.25),
        *_conv(38, 255, norm=True, activation=leaky, dropout=0.1),
        *_conv(255, 399, norm=True, activation=leaky, pool=nn.MaxPool2d(2), dropout=0.1),
        *_conv(399, 200, norm=True, activation=leaky, dropout=0.1),
        nn.Flatten(),
        nn.Linear(12_800, 100),
    )


def cnn8() -> nn.Sequential:
    """Build CNN8: 3,498,724 parameters; the logits pass through an activation."""
    return nn.Sequential(
        *_conv(3, 32, kernel_size=5, norm=True),
        *_conv(32, 64, kernel_size=4, norm=True, pool=nn.MaxPool2d(2)),
        *_conv(64, 128, norm=True, dropout=0.1),
        *_conv(128, 256, kernel_size=2, norm=True, pool=nn.MaxPool2d(2), dropout=0.1),
        nn.Flatten(),
        *_linear(12_544, 256, activation=nn.LeakyReLU(0.05), dropout=0.2),
        *_linear(256, 128, dropout=0.2),
        nn.Linear(128, 100),
        nn.LeakyReLU(0.01),
    )


_RELU = nn.ReLU()  # stateless, so all layers can share it


def _conv(  # noqa: PLR0913 - one line of the author's listing
    width_in: int,
    width_out: int,
    *,
    kernel_size: int = 3,
    norm: bool = False,
    activation: nn.Module | None = _RELU,
    pool: nn.Module | None = None,
    dropout: float = 0.0,
) -> list[nn.Module]:
    layers: list[nn.Module | None] = [
        nn.Conv2d(width_in, width_out, kernel_size, padding=1),
        nn.BatchNorm2d(width_out) if norm else None,
        activation,
        pool,
        nn.Dropout(dropout) if dropout else None,
    ]
    return [layer for layer in layers if layer is not None]


def _linear(
    width_in: int, width_out: int, *, activation: nn.Module = _RELU, dropout: float = 0.0
) -> list[nn.Module]:
    return [nn.Linear(width_in, width_out), activation, nn.Dropout(dropout)]

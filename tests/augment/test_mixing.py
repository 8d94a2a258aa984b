"""mixup and CutMix equal torchvision's, with random parameters per image."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from bench.augment import _mixing, cutmix, mixup
from tests.augment.test_against_torchvision import B, pictures

CLASSES = 7
LABELS = torch.arange(B) % CLASSES


def fixed_share(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """Fix the mixing share: of every image in ours, of the batch in torchvision's."""
    monkeypatch.setattr(_mixing, "_shares", lambda images, *_: torch.full((len(images),), value))
    monkeypatch.setattr(torch, "_sample_dirichlet", lambda alphas: torch.tensor([value, 1 - value]))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_mixup_equals_torchvision(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    fixed_share(monkeypatch, share)
    images = pictures(3, 32)
    ours, targets = mixup(images, LABELS, num_classes=CLASSES)
    expected, expected_targets = v2.MixUp(num_classes=CLASSES)(images.float(), LABELS)
    assert ours.dtype == torch.uint8 and (ours.float() - expected).abs().max() <= 0.5 + 1e-4  # rounding
    assert torch.allclose(targets, expected_targets) and torch.allclose(targets.sum(1), torch.ones(B))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.61, 1.0])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (16, 9), (31, 31)])
def test_cutmix_equals_torchvision(monkeypatch: pytest.MonkeyPatch, share: float, row: int, column: int) -> None:
    fixed_share(monkeypatch, share)
    drawn = iter([row, column])
    monkeypatch.setattr(_mixing, "integers_below", lambda limit, _: torch.full_like(limit, next(drawn)))
    images = pictures(3, 32)
    ours, targets = cutmix(images, LABELS, num_classes=CLASSES)
    drawn = iter([column, row])  # torchvision draws the column first
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([next(drawn)]))
    expected, expected_targets = v2.CutMix(num_classes=CLASSES)(images, LABELS)
    assert torch.equal(ours, expected) and torch.allclose(targets, expected_targets)


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 0.25 / 1.4), (8.0, 0.25 / 17)])
def test_mixup_shares_have_a_beta_distribution(alpha: float, variance: float) -> None:
    images = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8)
    labels = torch.arange(20_000) % 2
    _, targets = mixup(images, labels, num_classes=2, alpha=alpha, generator=torch.Generator().manual_seed(0))
    share = targets.gather(1, labels[:, None])[:, 0]
    assert abs(float(share.mean()) - 0.5) < 0.01 and abs(float(share.var()) / variance - 1) < 0.05


def test_cutmix_label_share_is_the_area_share() -> None:
    """With images of one colour each, the share of the original colour is the share of the original label."""
    images = torch.arange(B, dtype=torch.uint8)[:, None, None, None].expand(B, 3, 32, 32)
    labels = torch.arange(B)
    pasted, targets = cutmix(images, labels, num_classes=B, generator=torch.Generator().manual_seed(0))
    kept_share = (pasted == images).float().mean((1, 2, 3))
    assert torch.allclose(kept_share, targets.diagonal()) and 0.3 < float(kept_share.mean()) < 0.8


@pytest.mark.parametrize("labels", [LABELS[:-1], LABELS.float(), LABELS[:, None]])
@pytest.mark.parametrize("function", [mixup, cutmix])
def test_invalid_labels_are_refused(function: Any, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="`labels` is"):
        function(pictures(3, 32), labels, num_classes=CLASSES)

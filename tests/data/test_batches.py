"""The order of the data: every image once per epoch, the same for all submissions, and accessible at any step."""

import pytest
import torch

from bench.data.batches import BatchStream

COUNT = 50
LABELS = torch.arange(COUNT)
IMAGES = LABELS.view(-1, 1, 1, 1).to(torch.uint8)


def stream(batch_size: int, seed: int = 0) -> BatchStream:
    return BatchStream(IMAGES, LABELS, batch_size=batch_size, seed=seed)


@pytest.mark.parametrize("batch_size", [1, 7, 25, 50, 120])
def test_every_epoch_has_every_image_once_for_any_batch_size(batch_size: int) -> None:
    batches = stream(batch_size)
    order = torch.cat([batches.indices(step) for step in range(-(-150 // batch_size))])[:150]
    for epoch in order.view(3, COUNT):
        assert sorted(epoch.tolist()) == list(range(COUNT))
    assert not torch.equal(order[:COUNT], order[COUNT : 2 * COUNT])
    reference = torch.cat([stream(1).indices(step) for step in range(150)])
    assert torch.equal(order, reference)  # submissions with other batch sizes see the same order


def test_batch_of_a_step_does_not_need_earlier_steps() -> None:
    batches = stream(7)
    sequential = [batches.indices(step) for step in range(30)]
    for step in (29, 0, 17):
        assert torch.equal(stream(7).indices(step), sequential[step])


def test_seeds_give_different_orders_and_images_keep_their_labels() -> None:
    assert not torch.equal(stream(50, 0).indices(0), stream(50, 1).indices(0))
    images, labels = stream(7).batch(3)
    assert torch.equal(images.flatten().long(), labels) and images.dtype == torch.uint8

"""The order of training images: a seeded permutation an epoch, the same for every submission."""

import torch
from torch import Tensor

from bench.seeding import derive_seed


class BatchStream:
    """Batches of a data set that lies whole on the device, as bytes.

    The epochs' permutations follow one another without a gap, so that every batch is full and every image is
    seen once an epoch whatever the batch size. Any step's batch can be had directly, which is what lets a
    resumed run go on at the same place.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, batch_size: int, seed: int) -> None:
        """A stream over images and labels that stay where they are.

        Args:
            images: (N, C, H, W) uint8.
            labels: (N,) int64, on the same device.
            batch_size: Images a batch; may exceed N.
            seed: The run's seed.
        """
        self._images = images
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._permutations: dict[int, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self._images.device

    def indices(self, step: int) -> Tensor:
        """(batch_size,) int64: which images step ``step`` uses."""
        position, parts = step * self._batch_size, []
        end = position + self._batch_size
        count = len(self._labels)
        while position < end:
            epoch, start = divmod(position, count)
            part = self._permutation(epoch)[start : start + end - position]
            parts.append(part)
            position += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Step ``step``'s images, (B, C, H, W) uint8, and labels, (B,) int64."""
        indices = self.indices(step)
        return self._images.index_select(0, indices), self._labels.index_select(0, indices)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            # Drawn on the CPU, so that a GPU trains on the same order; sent over once an epoch.
            generator = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            permutation = torch.randperm(len(self._labels), generator=generator)
            while len(self._permutations) > 1:
                del self._permutations[min(self._permutations)]
            self._permutations[epoch] = permutation.to(self._images.device, non_blocking=True)
        return self._permutations[epoch]

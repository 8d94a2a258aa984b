"""The order of training images: one seeded permutation per epoch, equal for all submissions."""

import torch
from torch import Tensor

from bench.seeding import derive_seed


class BatchStream:
    """Batches of a data set that is stored completely on the device, as bytes.

    The permutations of consecutive epochs are concatenated, so every batch is full and every image is used once
    per epoch, for every batch size. The batch of any step can be computed directly; a resumed run needs this.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, batch_size: int, seed: int) -> None:
        """Create a stream; images and labels are not copied.

        Args:
            images: (N, C, H, W) uint8.
            labels: (N,) int64, on the same device.
            batch_size: Images per batch; may exceed N.
            seed: The run's seed.
        """
        self._images = images
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._permutations: dict[int, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self._images.device

    def indices(self, step: int) -> Tensor:
        """Return the indices of the images of step ``step``, (batch_size,) int64."""
        position, slices = step * self._batch_size, []
        end = position + self._batch_size
        count = len(self._labels)
        while position < end:
            epoch, start = divmod(position, count)
            indices = self._permutation(epoch)[start : start + end - position]
            slices.append(indices)
            position += len(indices)
        return slices[0] if len(slices) == 1 else torch.cat(slices)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the images, (B, C, H, W) uint8, and labels, (B,) int64, of step ``step``."""
        indices = self.indices(step)
        return self._images.index_select(0, indices), self._labels.index_select(0, indices)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            # Drawn on the CPU, so that CPU and GPU runs have the same order; copied to the device once per epoch.
            generator = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            permutation = torch.randperm(len(self._labels), generator=generator)
            while len(self._permutations) > 1:
                del self._permutations[min(self._permutations)]
            self._permutations[epoch] = permutation.to(self._images.device, non_blocking=True)
        return self._permutations[epoch]

"""One thread for every benchmark: two beside each other would measure one another."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)

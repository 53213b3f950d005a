"""Small arrays gain nothing from several threads, and on a busy machine threads that wait for each other cost much."""

import torch

torch.set_num_threads(1)

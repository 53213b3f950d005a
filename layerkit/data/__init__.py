"""Batches: iterators over examples whose position can be saved, and their preparation in the background.

Every iterator here gives tuples (inputs..., targets, weights), what a training or evaluation task takes, and has
``position``, a dict of whole numbers that JSON can hold, and ``seek(position)``, after which the batches go on as they
would have gone on from there.
"""

from layerkit.data.arrays import ArrayBatches
from layerkit.data.prefetch import Prefetch
from layerkit.data.ragged import RaggedBatches, bucket_lengths

__all__ = ["ArrayBatches", "Prefetch", "RaggedBatches", "bucket_lengths"]

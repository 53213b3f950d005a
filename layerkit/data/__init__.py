"""Data: iterators over batches whose position can be saved, and pipelines that make batches of examples.

Iterators (``ArrayBatches``, ``RaggedBatches``, ``Examples``) have ``position``, which JSON can hold, and
``seek(position)``, after which their items go on as they would have gone on from there.

A pipeline is made of stages, each a function from an iterator to an iterator, and is as seekable as what it begins
with: ``data.Serial(data.Shuffle(), data.Batch(16))(examples)``. The names are those of this namespace: ``data.Serial``
puts stages together, and ``layers.Serial`` layers.
"""

from layerkit.faces import face

_HOMES = {
    "arrays": "ArrayBatches",
    "buckets": "BucketByLength",
    "compose": "Map Parallel Serial",
    "examples": "Examples",
    "filters": "Filter FilterByLength FilterEmptyExamples",
    "language_model": "MLM PrefixLM",
    "lengths": "PadToLength TruncateToLength",
    "padding": "pad_to_max_dims",
    "prefetch": "Ahead Prefetch",
    "ragged": "RaggedBatches bucket_lengths",
    "regroup": "Batch Shuffle UnBatch",
    "stage": "Stage",
    "targets": "AddLossWeights AppendValue CastTo ConcatenateToLMInput",
    "tokenize": "Tokenize Tokenizer tokenizer",
    "watch": "CountAndSkip Log UniformlySeek",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)

"""Data: iterators over batches whose position can be saved, and pipelines that make batches of examples.

Iterators (``ArrayBatches``, ``RaggedBatches``, ``Examples``) have ``position``, which JSON can hold, and
``seek(position)``, after which their items go on as they would have gone on from there.

A pipeline is made of stages, each a function from an iterator to an iterator, and is as seekable as what it begins
with: ``data.Serial(data.Shuffle(), data.Batch(16))(examples)``. The names are those of this namespace: ``data.Serial``
puts stages together, and ``layers.Serial`` layers.
"""

from layerkit.data.arrays import ArrayBatches
from layerkit.data.buckets import BucketByLength
from layerkit.data.compose import Map, Parallel, Serial
from layerkit.data.examples import Examples
from layerkit.data.filters import Filter, FilterByLength, FilterEmptyExamples
from layerkit.data.language_model import MLM, PrefixLM
from layerkit.data.lengths import PadToLength, TruncateToLength
from layerkit.data.padding import pad_to_max_dims
from layerkit.data.prefetch import Ahead, Prefetch
from layerkit.data.ragged import RaggedBatches, bucket_lengths
from layerkit.data.regroup import Batch, Shuffle, UnBatch
from layerkit.data.stage import Stage
from layerkit.data.targets import AddLossWeights, AppendValue, CastTo, ConcatenateToLMInput
from layerkit.data.tokenize import Tokenize, Tokenizer, tokenizer
from layerkit.data.watch import CountAndSkip, Log, UniformlySeek

__all__ = [
    "MLM",
    "AddLossWeights",
    "Ahead",
    "AppendValue",
    "ArrayBatches",
    "Batch",
    "BucketByLength",
    "CastTo",
    "ConcatenateToLMInput",
    "CountAndSkip",
    "Examples",
    "Filter",
    "FilterByLength",
    "FilterEmptyExamples",
    "Log",
    "Map",
    "PadToLength",
    "Parallel",
    "Prefetch",
    "PrefixLM",
    "RaggedBatches",
    "Serial",
    "Shuffle",
    "Stage",
    "Tokenize",
    "Tokenizer",
    "TruncateToLength",
    "UnBatch",
    "UniformlySeek",
    "bucket_lengths",
    "pad_to_max_dims",
    "tokenizer",
]

# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from layerkit.data.arrays import ArrayBatches as ArrayBatches
from layerkit.data.buckets import BucketByLength as BucketByLength
from layerkit.data.compose import Map as Map
from layerkit.data.compose import Parallel as Parallel
from layerkit.data.compose import Serial as Serial
from layerkit.data.examples import Examples as Examples
from layerkit.data.filters import Filter as Filter
from layerkit.data.filters import FilterByLength as FilterByLength
from layerkit.data.filters import FilterEmptyExamples as FilterEmptyExamples
from layerkit.data.language_model import MLM as MLM
from layerkit.data.language_model import PrefixLM as PrefixLM
from layerkit.data.lengths import PadToLength as PadToLength
from layerkit.data.lengths import TruncateToLength as TruncateToLength
from layerkit.data.padding import pad_to_max_dims as pad_to_max_dims
from layerkit.data.prefetch import Ahead as Ahead
from layerkit.data.prefetch import Prefetch as Prefetch
from layerkit.data.ragged import RaggedBatches as RaggedBatches
from layerkit.data.ragged import bucket_lengths as bucket_lengths
from layerkit.data.regroup import Batch as Batch
from layerkit.data.regroup import Shuffle as Shuffle
from layerkit.data.regroup import UnBatch as UnBatch
from layerkit.data.stage import Stage as Stage
from layerkit.data.targets import AddLossWeights as AddLossWeights
from layerkit.data.targets import AppendValue as AppendValue
from layerkit.data.targets import CastTo as CastTo
from layerkit.data.targets import ConcatenateToLMInput as ConcatenateToLMInput
from layerkit.data.tokenize import Tokenize as Tokenize
from layerkit.data.tokenize import Tokenizer as Tokenizer
from layerkit.data.tokenize import tokenizer as tokenizer
from layerkit.data.watch import CountAndSkip as CountAndSkip
from layerkit.data.watch import Log as Log
from layerkit.data.watch import UniformlySeek as UniformlySeek

__all__: list[str]

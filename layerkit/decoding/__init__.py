"""Texts written by a model, one id after the other: by sampling, greedily, or with a beam."""

from layerkit.decoding.beams import Beams, beam_search
from layerkit.decoding.sampling import autoregressive_sample, autoregressive_sample_stream

__all__ = ["Beams", "autoregressive_sample", "autoregressive_sample_stream", "beam_search"]

"""Layers that each break one rule, and the table that says which check has to catch each of them."""

from mutants import composition, construction, numbers, tracing
from mutants.table import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "composition", "construction", "numbers", "tracing"]

"""The Python interface: run submissions, read their records, compare them, and load a trained network.

For notebooks and scripts; ``bench`` exports all of these names. A submission's ``model.py`` uses none of them.
"""

from bench.api.models import load_model
from bench.api.records import Records, load_records
from bench.api.runs import Summary, run
from bench.api.tables import Comparisons, compare

__all__ = ["Comparisons", "Records", "Summary", "compare", "load_model", "load_records", "run"]

"""The figures for Prometheus: which there are (`flow.py`, `parts.py`), and as text."""

from collector.metrics.exposition import render

__all__ = ["render"]

"""Preflight: looks at everything that the collector needs, before it is needed.

One file for each group of checks; `findings.py` says what a check is, `doctor.py` in which order
they come. Nothing is changed: what is written is a probe file that is taken away at once, and what
is sent is a message to a topic of its own. Every step over a network has a deadline, and so has the
whole. Nothing that is found holds a secret.
"""

from collector.doctor.doctor import Doctor
from collector.doctor.findings import Finding, Level, Report

__all__ = ["Doctor", "Finding", "Level", "Report"]

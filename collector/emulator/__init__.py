"""A local Zerobus for tests and demonstrations; see `docs/emulator.md`.

It speaks the service's wire contract and writes Delta tables, and it fails as it is told to. It
shares no code with the part of the collector that talks to the real service.
"""

from collector.emulator.emulator import Emulator
from collector.emulator.faults import PlanError
from collector.emulator.options import EmulatorOptions, OptionsError

__all__ = ["Emulator", "EmulatorOptions", "OptionsError", "PlanError"]

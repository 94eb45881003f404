"""From a Zerobus Station to a collector: its `config.json`, its schemas and its `.env`.

Nothing of it is left out silently: what can't be taken over is a mistake, and what is different is
said with what to do.
"""

from collector.migrate.migration import Migration, migrate
from collector.migrate.writing import write

__all__ = ["Migration", "migrate", "write"]

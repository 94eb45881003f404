"""Where the spool and the status file of a configuration are, also while it has mistakes.

A daemon goes on by the file that it has read; one that was broken since must not hide it from those
who look.
"""

from pathlib import Path
from typing import NamedTuple

from collector.errors import ConfigError
from collector.status import FILE


class Places(NamedTuple):
    """`max_bytes` is None where the configuration can't be used."""

    spool: Path
    runtime_dir: Path
    max_bytes: int | None


def places(config: Path) -> Places:
    """Return what a configuration says of its places.

    Raises:
        ConfigError: it can't be used, and what can be read of it leads to nothing that is there.
    """
    from collector.config import load

    try:
        loaded = load(config, secrets=False)
    except ConfigError:
        from collector.config.outline import outline

        found = outline(config)
        if not (found.spool.exists() or (found.runtime_dir / FILE).exists()):
            raise
        return Places(found.spool, found.runtime_dir, None)
    return Places(loaded.spool.path, loaded.runtime_dir, loaded.spool.max_bytes)

"""What formats keep between messages, for commands that map without a daemon."""

from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.plan import Plan


def remember(plan: "Plan") -> None:
    """Give formats with a memory what the spool has kept for them; without a spool they have none.

    Raises:
        SpoolError: there is a spool, and it can't be read.
    """
    from collector.spool import SpoolReader

    path = plan.config.spool.path
    memories = {mapping.station: mapping.decoder.memory for mapping in plan.mappings}
    if all(memory is None for memory in memories.values()) or not path.exists():
        return
    with closing(SpoolReader(path)) as reader:
        for station, memory in memories.items():
            if memory is not None:
                memory.restore(reader.memories(station))

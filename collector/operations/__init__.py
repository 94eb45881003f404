"""What an operator does to a spool: by the daemon when it runs, alone when it does not.

An operation is a generator on an open spool: it yields its progress between two transactions, where
it can be stopped, and returns a summary. Both are plain values, since they may go through a socket.
"""

from collector.operations.perform import OPERATIONS, Operation, Scene, perform

__all__ = ["OPERATIONS", "Operation", "Scene", "perform"]

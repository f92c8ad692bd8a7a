"""The logs of a job's pods, read from a cluster: all of them in one stream, in order, without loss or repetition.

Invariant: bounded in memory, however many pods there are and however long their lines: lines are written as they come,
a limited number of connections is open, and nobody is read faster than the reader's terminal takes it.
"""

from mtj_operator.logs.follow import Reading, read_logs
from mtj_operator.logs.pods import Choice, prefix
from mtj_operator.logs.source import Cluster, Unreadable

__all__ = ["Choice", "Cluster", "Reading", "Unreadable", "prefix", "read_logs"]

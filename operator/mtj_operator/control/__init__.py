"""The operator: keeps every MusicTrainingJob of a cluster moving towards what its spec says.

Events come in by ``handlers`` (kopf, for the jobs) and ``watch`` (for their children) and become trimmed snapshots in
``cache``; ``queue`` hands out the keys of what changed, and ``reconcile`` does for each what ``mtj_operator.plan``
decides. Everything else feeds one of these or tells how they do.

Invariant: nothing that a job needs is held in memory alone, so that the process may be killed at any moment; and one
process acts at a time, the holder of the ``lease``.
"""

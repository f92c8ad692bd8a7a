"""A Kubernetes of three machines on this one: a control plane and two nodes, for trying the operator and for its tests.

A machine is a set of namespaces (network, processes, mounts) with a first process of its own, so that to end that
process is to switch the machine off: its processes, mounts, interfaces and packet filters are gone with it, and a
crash of whatever started it leaves files alone behind. Only ``network`` and ``cgroups`` touch this machine itself.

``python -m testcluster`` is the command; ``make cluster`` and ``make cluster-down`` are how it is typed.
"""

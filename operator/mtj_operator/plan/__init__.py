"""From a job to what has to run: pure functions over the resource, without a clock, a client or an environment.

Invariant: imports ``mtj_api`` and pure parts of the standard library alone. Whatever depends on the machine is
handed in, so that the same plan serves processes on this machine and pods on a cluster.
"""

from mtj_operator.plan.places import absolute, on_cluster
from mtj_operator.plan.stages import STAGES, Gang, Plan, Resources, Site, Stage, plan

__all__ = ["STAGES", "Gang", "Plan", "Resources", "Site", "Stage", "absolute", "on_cluster", "plan"]

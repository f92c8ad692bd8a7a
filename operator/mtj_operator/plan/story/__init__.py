"""The story of a job on a cluster: a pure function from what is seen to what to do next (docs/decisions/0007).

``decide`` asks, in this order: is the job right (``reading``), whom it waits for (``sources``), what became of the
attempt under way (``course``, ``verdict``, ``retrying``), what comes next (``course``, ``idling``, ``waiting``), what
is in the way (``seen``, ``leftovers``), and how to say so (``conditions``, ``results``, ``telling``).
"""

from mtj_operator.plan.story.decide import decide
from mtj_operator.plan.story.decision import Decision, Deletion, StoryEvent

__all__ = ["Decision", "Deletion", "StoryEvent", "decide"]

"""Carrying a plan out. One contract (``tests/execute``), whatever the stages run on."""

from mtj_operator.execute.executor import Executor, Outcome
from mtj_operator.execute.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Outcome"]

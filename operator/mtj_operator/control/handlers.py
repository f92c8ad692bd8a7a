"""What kopf is told: which resources to list and watch, how to log in, and to keep its hands off them.

Invariant: the one handler writes nothing, so kopf needs no finalizer, annotation or patch of its own, and two of its
processes can run side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from mtj_api.contract import GROUP, PLURAL, VERSION
from mtj_operator.control.client import PAGE
from mtj_operator.control.connect import kopf_login
from mtj_operator.control.intake import Intake

_RETRIES = (0.5, 0.5, 1, 1, 2, 2, 5, 5, 5, 5, 10, 10, 10)
"""Seconds between attempts to reach the API server: a restart of it is a matter of seconds. When they are used up,
kopf ends the process, and whoever runs it starts it again."""


def registry(intake: Intake, configuration: Configuration) -> kopf.OperatorRegistry:
    """The handlers: each event of a MusicTrainingJob goes to the intake."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await kopf_login(configuration)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def tell(event: kopf.RawEvent, **_: Any) -> None:
        intake.event(intake.resources, event["type"], event["object"])

    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings: events alone."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = _NoDiffBase()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.watching.chunk_size = PAGE
    chosen.queueing.idle_timeout = 0.2
    chosen.networking.error_backoffs = _RETRIES
    chosen.networking.request_timeout = 60.0
    chosen.process.ultimate_exiting_timeout = None
    return chosen


class _NoDiffBase(kopf.DiffBaseStorage):
    """kopf copies each object to compare it with its last state, which takes more than half of the time of an event;
    handlers of events have no use for it."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


class _NoProgress(kopf.ProgressStorage):
    """No handler has any progress to keep."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        """Nothing was kept."""

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is kept."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing was kept."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: Any) -> None:
        """Nothing is touched."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence

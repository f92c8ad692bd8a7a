"""Which of several replicas acts: the one that holds a Lease, which it renews as long as it lives.

The official client's election is not used: its calls may hang for five minutes while the lease runs out, an error of
the connection ends it while what it started goes on, and it does not give the lease back when it ends.

Invariant: as in client-go. Nobody's clock is compared with another's: a lease has run out when its holder has not
renewed it for its whole length by the clock of the one who looks. The holder itself stops acting earlier than that,
and goes on if it then finds the lease still its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mtj_api.contract import MANAGER
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.log import Log
from mtj_operator.control.rights import LEASE
from mtj_operator.control.snapshots import Key, Raw

LENGTH = 15.0
"""Seconds for which a renewal holds."""

PAUSE = 10.0
"""Seconds without a renewal after which the holder acts no more until the next."""

GIVE_UP = 60.0
"""Seconds without a renewal after which the holder ends. An API server that starts anew is back before."""

EVERY = 2.0
"""Seconds between renewals, and between attempts of the others."""

_CALL_SECONDS = 4.0


class LostError(Exception):
    """Another holds the lease, or it could not be renewed for long: this process must not act any more."""


class Lease:
    """The Lease of all replicas.

    Args:
        client: reads and writes it.
        namespace: where it lies.
        identity: this replica.
        clock: seconds, monotonic.
    """

    def __init__(self, client: Client, namespace: str, identity: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._key = Key(namespace, MANAGER)
        self._identity = identity
        self._clock = clock
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed: float | None = None
        self._held: Raw | None = None
        self._log = Log("lease")

    def is_held(self) -> bool:
        """Whether this process may act now."""
        return self._renewed is not None and self._clock() - self._renewed < PAUSE

    async def acquire(self) -> None:
        """Return once this replica holds it."""
        while await self._try() is not True:
            await asyncio.sleep(EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        self._log.say("acts", identity=self._identity)

    async def keep(self) -> None:
        """Renew it for ever.

        Raises:
            LostError: another holds it, or it could not be renewed for long.
        """
        renewed = self._clock()
        while self._clock() - renewed < GIVE_UP:
            await asyncio.sleep(EVERY)
            outcome = await self._try()
            if outcome is False:
                raise LostError("the lease was lost to another replica")
            renewed = self._clock() if outcome else renewed
        raise LostError(f"the lease could not be renewed for {GIVE_UP:.0f} s")

    async def release(self) -> None:
        """Give it back, so that another replica need not wait for its end."""
        self._renewed = None
        if self._held is None:
            return
        try:
            await self._write(self._held, holder="", length=1.0)
            self._log.say("gave the lease back")
        except (ApiError, UnreachableError) as error:
            self._log.warn("could not give the lease back", error=error)

    async def _try(self) -> bool | None:
        """Take or renew it, if it is free or this replica's; whether it is now, or ``None`` where nobody knows."""
        began = self._clock()
        try:
            lease = await self._read()
            if lease is None:
                self._held = await self._client.create(LEASE, self._new(), seconds=_CALL_SECONDS)
            elif self._is_free(lease):
                self._held = await self._write(lease, holder=self._identity, length=LENGTH)
            else:
                self._renewed = self._held = None
                return False
        except (ApiError, UnreachableError) as error:
            lost_a_race = isinstance(error, ApiError) and error.status == 409
            if not lost_a_race:
                self._log.warn("could not reach the lease", error=error)
            return None
        self._renewed = began
        return True

    async def _read(self) -> Raw | None:
        try:
            return await self._client.get(LEASE, self._key, seconds=_CALL_SECONDS)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _is_free(self, lease: Raw) -> bool:
        spec = lease.get("spec", {})
        if spec.get("holderIdentity", "") in ("", self._identity):
            return True
        if lease["metadata"]["resourceVersion"] != self._seen[0]:
            self._seen = (lease["metadata"]["resourceVersion"], self._clock())
        return self._clock() - self._seen[1] > float(spec.get("leaseDurationSeconds", LENGTH))

    def _new(self) -> Raw:
        metadata = {"name": self._key.name, "namespace": self._key.namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": self._spec({})}

    async def _write(self, lease: Raw, *, holder: str, length: float) -> Raw:
        spec = self._spec(lease.get("spec", {})) | {"holderIdentity": holder, "leaseDurationSeconds": int(length)}
        return await self._client.update(LEASE, {**lease, "spec": spec}, seconds=_CALL_SECONDS)

    def _spec(self, before: Raw) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LENGTH),
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if mine or not before else 1),
        }

"""The kinds of objects that the operator deals with, and what it does with each.

Invariant: the client does nothing that is not in ``USES``, ``CLUSTER_USES`` or ``LEASE_USES``, and the roles of
``charts/mtj-operator`` grant exactly that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mtj_api.contract import GROUP, KIND, PLURAL, VERSION

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]


@dataclass(frozen=True)
class Kind:
    """A kind of objects, as the API server serves it.

    Attributes:
        group: empty for the core group.
        plural: the name in paths; a subresource follows a slash.
    """

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        """As objects of this kind have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "") -> str:
        """The path of one object, or of all; of the whole cluster where there is no namespace."""
        plural, _, subresource = self.plural.partition("/")
        parts = ["/apis" if self.group else "/api", self.api_version]
        parts += ["namespaces", namespace] if namespace else []
        return "/".join(part for part in (*parts, plural, name, subresource) if part)


RESOURCE: Final = Kind(GROUP, VERSION, KIND, PLURAL)
STATUS: Final = Kind(GROUP, VERSION, KIND, f"{PLURAL}/status")
JOB: Final = Kind("batch", "v1", "Job", "jobs")
POD: Final = Kind("", "v1", "Pod", "pods")
CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
SERVICE: Final = Kind("", "v1", "Service", "services")
WORKLOAD: Final = Kind("scheduling.k8s.io", "v1alpha1", "Workload", "workloads")
NODE: Final = Kind("", "v1", "Node", "nodes")
EVENT: Final = Kind("", "v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")

USES: Final[Mapping[Kind, tuple[Verb, ...]]] = {
    RESOURCE: ("delete", "list", "watch"),
    STATUS: ("patch",),
    JOB: ("create", "delete", "get", "list", "watch"),
    POD: ("delete", "list", "patch", "watch"),
    CONFIG_MAP: ("create", "get"),
    SERVICE: ("create", "patch"),
    WORKLOAD: ("create", "get"),
    EVENT: ("create", "list"),
}
"""In every namespace that is served. An apply that makes an object needs ``create`` beside ``patch``."""

CLUSTER_USES: Final[Mapping[Kind, tuple[Verb, ...]]] = {NODE: ("get",)}
"""In no namespace. Without this right all works, and the pods of a lost node are waited for longer."""

LEASE_USES: Final[Mapping[Kind, tuple[Verb, ...]]] = {LEASE: ("create", "get", "update")}
"""In the operator's own namespace."""

DELETED: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (JOB, POD)}
"""What is deleted on the way of a job, by the name of the kind."""

CHILDREN: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (JOB, CONFIG_MAP, SERVICE, WORKLOAD)}
"""What a job's plan may consist of, by the name of the kind."""

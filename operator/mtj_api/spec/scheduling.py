"""``spec.scheduling``: where and when a job runs on a cluster; ``mtj run`` on one machine has no use for it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mtj_api.contract import GROUP
from mtj_api.spec.base import Edit, NamedOnce, Rule, SpecModel, unchanged
from mtj_api.spec.kubernetes import (
    Annotations,
    DataKey,
    DnsLabel,
    ExtendedResource,
    Image,
    Labels,
    LabelValue,
    MountPath,
    ObjectName,
    QualifiedName,
    Quantity,
    VariableName,
)

_OF_THE_POD = ("/work", "/tmp", "/dev", "/proc", "/sys", "/etc/mtj")  # noqa: S108 - a pod's own

_OWN_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")


class PodResources(SpecModel):
    """What each pod of a stage asks for."""

    cpu: Quantity | None = None
    """Cores, such as 4 or 500m; the pod may use more where the node has more."""
    memory: Quantity | None = None
    """Memory, such as 16Gi; also the most that the pod may use."""
    gpus: int = Field(default=0, ge=0, le=64)
    """Devices of ``gpuResource``."""


class StageResources(SpecModel):
    """What each pod asks for, by stage."""

    prepare: PodResources = Field(default_factory=PodResources)
    """Of each pod that prepares."""
    train: PodResources = Field(default_factory=PodResources)
    """Of each pod that trains; its processes share them."""
    evaluate: PodResources = Field(default_factory=PodResources)
    """Of the pods that evaluate, report and publish."""


class Retries(SpecModel):
    """How often a stage that failed is tried again, with growing pauses; a job that cannot work is never."""

    prepare: int = Field(default=2, ge=0, le=100)
    """Failures of preparing after which it is tried again."""
    train: int = Field(default=5, ge=0, le=100)
    """The same of training, which goes on from the last checkpoint."""
    evaluate: int = Field(default=2, ge=0, le=100)
    """The same of each of evaluate, report and publish."""
    disruptions: int = Field(default=100, ge=0, le=10_000)
    """How often a stage may lose a pod to a lost node, a preemption or an eviction; these are no failures."""


class Toleration(SpecModel):
    """A taint of nodes that the pods put up with, as in a pod."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.key) || self.operator == 'Exists'",
            lambda t: t.key is not None or t.operator == "Exists",
            "a toleration without a key is for every taint; write operator: Exists, or the key",
        ),
        Rule(
            "!has(self.value) || self.operator == 'Equal'",
            lambda t: t.value is None or t.operator == "Equal",
            "a toleration by operator Exists has no value; leave value out",
            "value",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            lambda t: t.toleration_seconds is None or t.effect == "NoExecute",
            "only a taint that evicts is put up with for a time; write effect: NoExecute, or leave tolerationSeconds "
            "out",
            "tolerationSeconds",
        ),
    )

    key: QualifiedName | None = None
    """Of the taint; with ``operator: Exists`` alone, every taint is meant."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the taint's value matters."""
    value: LabelValue | None = None
    """Of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Of the taint; every effect where it is left out."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=31_536_000)
    """How long a pod stays where a taint would evict it."""


class KeyReference(SpecModel):
    """A key of a Secret or ConfigMap of the job's namespace."""

    name: ObjectName
    """Of the Secret or ConfigMap."""
    key: DataKey
    """Of the value in it."""


class EnvironmentSource(SpecModel):
    """Where a variable's value comes from."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.secretKeyRef) != has(self.configMapKeyRef)",
            lambda s: (s.secret_key_ref is None) != (s.config_map_key_ref is None),
            "give either secretKeyRef or configMapKeyRef",
        ),
    )

    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""


class EnvironmentVariable(SpecModel):
    """A variable of the stages' environment."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.value) != has(self.valueFrom)",
            lambda v: (v.value is None) != (v.value_from is None),
            "give either value or valueFrom; a secret only by valueFrom",
        ),
        Rule(
            "!self.name.startsWith('MTJ_')",
            lambda v: not v.name.startswith("MTJ_"),
            "variables that begin with MTJ_ are the operator's own; leave this one out",
            "name",
        ),
    )

    name: VariableName
    """Of the variable."""
    value: Annotated[str, StringConstraints(max_length=4096)] | None = None
    """In plain text, which everybody who may read the job can read."""
    value_from: EnvironmentSource | None = None
    """Where the value lies instead."""


class ClaimReference(SpecModel):
    """A PersistentVolumeClaim of the job's namespace."""

    claim_name: ObjectName
    """Of the claim; with several pods at a time it has to be ReadWriteMany."""
    read_only: bool = False
    """Whether the job may only read it."""


class Volume(SpecModel):
    """A volume of the stages' pods, of the kinds that Pod Security "restricted" allows."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.persistentVolumeClaim), has(self.secret), has(self.configMap)].filter(x, x).size() == 1",
            lambda v: [v.persistent_volume_claim, v.secret, v.config_map].count(None) == 2,
            "give one of persistentVolumeClaim, secret and configMap",
        ),
        Rule(
            "!['/work', '/tmp', '/dev', '/proc', '/sys', '/etc/mtj'].exists(p, "
            "self.mountPath == p || self.mountPath.startsWith(p + '/'))",
            lambda v: not any(f"{v.mount_path}/".startswith(f"{path}/") for path in _OF_THE_POD),
            "this folder is the pod's own; write another, such as /music",
            "mountPath",
        ),
    )

    name: DnsLabel
    """To tell it from the others."""
    mount_path: MountPath
    """The folder that the stages find it in, such as /music."""
    persistent_volume_claim: ClaimReference | None = None
    """Music, prepared data, checkpoints or the output may lie on it."""
    secret: ObjectName | None = None
    """Name of a Secret, whose keys become files."""
    config_map: ObjectName | None = None
    """Name of a ConfigMap, whose keys become files."""


class IdleGpus(SpecModel):
    """What happens to a job whose training leaves a GPU of its first pod unused."""

    below_percent: int = Field(default=10, ge=1, le=100)
    """A GPU that computes in a smaller part of the time is idle."""
    seconds: int = Field(default=1800, ge=60, le=31_536_000)
    """For how long it has to be idle all the time."""
    action: Literal["warn", "suspend", "fail"] = "warn"
    """warn sets the condition GPUsIdle; suspend also stops the pods, with a checkpoint, until the spec is changed; fail
    ends the job."""


class PodTemplate(SpecModel):
    """What is added to the pods of every stage; all else about them is the operator's to keep safe."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!self.labels.exists(k, k.startsWith('{GROUP}/') || "
            "k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'])",
            lambda t: not any(key.startswith(f"{GROUP}/") or key in _OWN_LABELS for key in t.labels),
            f"labels of {GROUP} and app.kubernetes.io/name, instance and managed-by are the operator's own; leave "
            "them out",
            "labels",
        ),
        Rule(
            "self.volumes.all(v, self.volumes.exists_one(w, w.mountPath == v.mountPath))",
            lambda t: len({volume.mount_path for volume in t.volumes}) == len(t.volumes),
            "two volumes have the same mountPath; give each a folder of its own",
            "volumes",
        ),
    )

    labels: Labels = Field(default_factory=dict)
    """More labels."""
    annotations: Annotations = Field(default_factory=dict)
    """More annotations."""
    service_account_name: ObjectName | None = None
    """For storage by workload identity; no token of the cluster is mounted."""
    image_pull_secrets: list[ObjectName] = Field(default_factory=list, max_length=8)
    """Names of Secrets for a registry that asks who pulls."""
    env: Annotated[list[EnvironmentVariable], Field(max_length=64), NamedOnce] = Field(default_factory=list)
    """More variables."""
    volumes: Annotated[list[Volume], Field(max_length=16), NamedOnce] = Field(default_factory=list)
    """Folders that the stages find."""


def _while_suspended(field: str) -> Edit:
    return Edit(
        f"oldSelf.suspend || ({unchanged(field)})",
        f"{field} may change only while the job is suspended: apply 'suspend: true' first, then the change; it acts "
        "when 'suspend: false' resumes the job",
        field,
    )


class Scheduling(SpecModel):
    """Where and when the pods run."""

    EDITS: ClassVar[tuple[Edit, ...]] = tuple(
        _while_suspended(field)
        for field in (
            "image",
            "storageSecret",
            "resources",
            "gpuResource",
            "nodeSelector",
            "tolerations",
            "priorityClassName",
            "queue",
            "podTemplate",
        )
    )

    suspend: bool = False
    """Stop the pods, with a checkpoint; false goes on from it."""
    image: Image | None = None
    """Of the trainer; the operator's own choice where it is left out."""
    storage_secret: ObjectName | None = None
    """A Secret whose keys are the environment that S3 needs, such as AWS_ACCESS_KEY_ID."""
    resources: StageResources = Field(default_factory=StageResources)
    """What each pod asks for."""
    gpu_resource: ExtendedResource = "nvidia.com/gpu"
    """The name by which nodes offer GPUs."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: list[Toleration] = Field(default_factory=list, max_length=32)
    """Taints of nodes that the pods put up with."""
    priority_class_name: ObjectName | None = None
    """A PriorityClass of the cluster."""
    queue: Annotated[ObjectName, Field(max_length=63)] | None = None
    """A LocalQueue of Kueue, which then decides when the pods start."""
    deadline_seconds: int | None = Field(default=None, ge=1, le=31_536_000)
    """The job fails when it is not done so long after its first start."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=31_536_000)
    """The resource and its pods are deleted so long after the end; what lies in the output stays."""
    idle_gpus: IdleGpus = Field(default_factory=IdleGpus)
    """What happens when GPUs are held and not used."""
    retries: Retries = Field(default_factory=Retries)
    """How often a stage that failed is tried again."""
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    """What is added to the pods."""

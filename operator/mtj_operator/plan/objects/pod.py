"""The pods of an attempt at a stage.

Invariant: they pass Pod Security "restricted", and nothing that a job may say changes that, the operator's own labels,
variables and folders, or what runs.
"""

from __future__ import annotations

from mtj_api.contract import CONTAINER, POD_WORK_DIR, SCRAPE_PATH
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.environment import TERMINATION_LOG, environment, sources
from mtj_operator.plan.objects.gang import placement
from mtj_operator.plan.objects.metadata import attempt_labels
from mtj_operator.plan.objects.resources import requirements
from mtj_operator.plan.objects.tolerations import tolerations
from mtj_operator.plan.objects.volumes import mounts, volumes

USER = 65532
"""Number of the user and group that stages run as; no image needs to know it."""

GRACE_SECONDS = 120
"""How long a stage that is told to stop may take to save its work."""


def pod_template(attempt: Attempt) -> Object:
    """The template of the pods, for their Job."""
    template = attempt.scheduling.pod_template
    annotations = {**_scraped(attempt), **template.annotations}
    metadata: Object = {"labels": {**template.labels, **attempt_labels(attempt)}}
    return {
        "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **_network(attempt),
            **_wishes(attempt),
            **placement(attempt),
            "containers": [_container(attempt)],
            "volumes": volumes(attempt),
        },
    }


def _container(attempt: Attempt) -> Object:
    """The stage itself. Its last words are what it writes on purpose, and never the end of its log."""
    stage = attempt.stage
    ports = [{"name": f"metrics-{rank}", "containerPort": port} for rank, port in enumerate(stage.metrics_ports)]
    secrets = sources(attempt)
    return {
        "name": CONTAINER,
        "image": attempt.scheduling.image or attempt.settings.trainer_image,
        "command": list(stage.command),
        "workingDir": POD_WORK_DIR,
        "env": environment(attempt),
        **({"envFrom": secrets} if secrets else {}),
        **({"ports": ports} if ports else {}),
        "resources": requirements(attempt),
        "volumeMounts": mounts(attempt),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def _scraped(attempt: Attempt) -> Object:
    """By what Prometheus' usual discovery finds a pod. No port is named: it then asks each that a container has."""
    if not attempt.stage.metrics_ports:
        return {}
    return {"prometheus.io/scrape": "true", "prometheus.io/path": SCRAPE_PATH}


def _network(attempt: Attempt) -> Object:
    """A name for each pod, where pods look for each other; Kubernetes itself gives the host's part."""
    return {"subdomain": names.service(attempt.owner.name)} if attempt.stage.nodes > 1 else {}


def _wishes(attempt: Attempt) -> Object:
    """What the job asks for, in the pod's own words; what it leaves out is left out."""
    scheduling, template = attempt.scheduling, attempt.scheduling.pod_template
    wishes = {
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [{"name": name} for name in template.image_pull_secrets],
        "nodeSelector": scheduling.node_selector,
        "tolerations": tolerations(scheduling),
        "priorityClassName": scheduling.priority_class_name,
    }
    return {name: wish for name, wish in wishes.items() if wish}

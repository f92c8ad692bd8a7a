"""What the objects of a job are called.

Invariant: the same for the same job, stage and attempt, so that nothing is made twice; different for different ones;
and each a DNS label of at most 63 characters, as the longest becomes the host name of a pod.
"""

from __future__ import annotations


def config_map(job: str) -> str:
    """Of the ConfigMap with the resolved job."""
    return f"{job}-job"


def service(job: str) -> str:
    """Of the headless Service, the domain in which the pods of a stage know each other."""
    return job


def attempt(job: str, stage: str, number: int) -> str:
    """Of the Job of an attempt at a stage."""
    return f"{job}-{stage}-{number}"


def room(job: str, number: int) -> str:
    """Of the Job that looks for room for the nodes that an attempt at training goes without."""
    return f"{job}-room-{number}"


def gang(job: str, stage: str) -> str:
    """Of the Workload that has the pods of a stage start together."""
    return f"{job}-{stage}"


def host(job: str, stage: str, number: int, index: int) -> str:
    """The host name that Kubernetes gives to a pod of an attempt."""
    return f"{attempt(job, stage, number)}-{index}"


def first_host(job: str, stage: str, number: int) -> str:
    """Where pod 0 of an attempt is found from the others."""
    return f"{host(job, stage, number, 0)}.{service(job)}"

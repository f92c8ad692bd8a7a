"""What whoever runs the operator has decided for all jobs of a cluster, and what the cluster can do."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtj_api.spec import Scheduling


@dataclass(frozen=True)
class ClusterSettings:
    """Facts of one cluster that go into the objects of every job.

    Attributes:
        trainer_image: the image of a job's pods where the job names none.
        storage_secret: a Secret in the job's namespace with the environment that S3 needs, where the job names none;
            empty for none.
        job_defaults: what else jobs get where they leave it out; see ``mtj_operator.plan.job_defaults``.
        python: the interpreter in the image that has ``mtj_trainer``.
        gangs: whether the API server serves ``scheduling.k8s.io/v1alpha1``, so that it starts a gang whole or not.
    """

    trainer_image: str
    storage_secret: str = ""
    job_defaults: Scheduling = field(default_factory=Scheduling)
    python: str = "python3"
    gangs: bool = False

"""``spec.monitoring``: how a running job is watched."""

from __future__ import annotations

from pydantic import Field

from mtj_api.spec.base import SpecModel


class Monitoring(SpecModel):
    """Prometheus and TensorBoard."""

    metrics_port: int = Field(default=9640, ge=0, le=65_000)
    """Each training process serves /metrics and /progress on this port plus its local rank; 0 serves none."""
    tensorboard: bool = True
    """Write TensorBoard event files to the output."""

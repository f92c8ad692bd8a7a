"""A codec and a MusicGen on it by ``kubectl apply``, on a real cluster of two nodes: the second is applied first, and
waits; recordings and codes come from S3, and both are trained by two pods on two nodes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mtj_trainer.families.codec import load_codec
from mtj_trainer.families.musicgen.published import load_published
from mtj_trainer.storage import open_storage
from support.applied_jobs import ClusterJob, Namespace
from support.seaweedfs import BUCKET
from support.sounds import encoded, phrases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

TWO_NODES: dict[str, Any] = {"nodes": 2, "precision": "fp32", "steps": 20}
SMALL: dict[str, Any] = {
    "resources": {
        "prepare": {"cpu": "500m", "memory": "3Gi"},
        "train": {"cpu": "500m", "memory": "3Gi"},
        "evaluate": {"cpu": "500m", "memory": "3Gi"},
    }
}


def job(name: str, bucket: str, **spec: Any) -> str:
    document = {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": name},
        "spec": {**spec, "scheduling": SMALL, "output": f"{bucket}/{name}"},
    }
    return yaml.safe_dump(document)


def test_a_player_waits_for_its_codec_and_both_are_published(jobs: Namespace) -> None:
    bucket = f"s3://{BUCKET}/{jobs.kubectl.namespace}"
    source = open_storage(f"{bucket}/raw")
    for number in range(8):
        source.write(f"Artist {number}/take.flac", encoded(phrases([2.0, 2.5, 2.0], 0.3), "flac"))
    player = jobs.apply_text(
        job(
            "player",
            bucket,
            dataset={"from": {"job": "codec"}, "workers": {"nodes": 2}},
            model={
                "family": "musicgen",
                "codec": {"from": {"job": "codec"}},
                "architecture": {"layers": 1, "width": 32, "heads": 2, "context": 64},
            },
            training={**TWO_NODES, "batch": {"size": 4}},
            evaluation={"samples": 3, "seconds": 1.0},
        )
    )
    player.until(lambda: "waits for job codec, which does not exist" in player.status.get("message", ""))
    codec = jobs.apply_text(
        job(
            "codec",
            bucket,
            dataset={
                "source": f"{bucket}/raw",
                "audio": {"segment": {"minSeconds": 2, "maxSeconds": 4, "boundaries": "none"}},
            },
            model={
                "family": "codec",
                "codecArchitecture": {"encoderWidth": 8, "decoderWidth": 64, "codebooks": 3, "codebookSize": 32},
            },
            training={**TWO_NODES, "batch": {"size": 2}, "cropSeconds": 0.4},
            evaluation={"samples": 3, "seconds": 1.0},
        )
    )
    codec.succeed()
    player.succeed()
    for trained in (codec, player):
        assert {pod["spec"]["nodeName"] for pod in trained.pods("train")} == {"node1", "node2"}
    assert player.status["sources"] == {"codec": codec.output}
    assert_published(codec, player)


def assert_published(codec: ClusterJob, player: ClusterJob) -> None:
    assert load_codec(codec.storage.child("model")).codebooks == 3
    assert load_published(f"{player.output}/model").codebooks == 3
    assert codec.figures["reconstruction.stft_distance"] > 0
    assert player.figures["heldout.nll"] < player.figures["baseline.untrained.nll"]
    assert "fad.spectrogram" in player.status["evaluation"]

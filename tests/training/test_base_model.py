"""The model that training starts from comes to a machine once, however many of its processes start from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mtj_api import parse_job
from mtj_api.contract import WORK_DIR_ENV
from mtj_api.spec import MidiPreparation
from mtj_trainer.families.make import base_model_at_hand
from mtj_trainer.families.symbolic import SymbolicConfig, SymbolicModel, load_model, save_model
from mtj_trainer.storage import open_storage
from mtj_trainer.tokens import make_tokenizer
from mtj_trainer.train.pulse import Pulse, feel
from support.s3_proxy import Fault, standing_between
from support.seaweedfs import S3Server

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: further}}
spec:
  dataset: {{importer: bach-chorales}}
  model: {{pretrained: {base}}}
  output: ./unused
"""


def test_its_processes_share_one_copy_and_beat_while_it_comes(
    s3_server: S3Server, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_tokenizer(MidiPreparation(tokenizer="grid", steps_per_beat=4))
    model = SymbolicModel(SymbolicConfig(tokenizer.size, tokenizer.feature_sizes, 1, 8, 1, 16, dropout=0.0))
    save_model(open_storage(s3_url), model.config, tokenizer, dict(model.state_dict()))
    monkeypatch.setenv(WORK_DIR_ENV, str(tmp_path / "work"))
    job, together = parse_job(JOB.format(base=s3_url)).job, Barrier(4)

    def begin(rank: int) -> SymbolicModel:
        pulse = Pulse(tmp_path / f"{rank}.pulse", rank)
        with base_model_at_hand(job, pulse.beat):
            loaded, _ = load_model(open_storage(s3_url))
            together.wait()
        return loaded

    with standing_between(s3_server) as link, ThreadPoolExecutor(4) as each:
        monkeypatch.setenv("AWS_ENDPOINT_URL", link.endpoint)
        link.break_with(Fault.SLOW, only=f"GET /{s3_url.removeprefix('s3://')}/model.safetensors ")
        sizes = {sum(weight.numel() for weight in loaded.parameters()) for loaded in each.map(begin, range(4))}
        assert link.hit == 1
    assert sizes == {sum(weight.numel() for weight in model.parameters())}
    assert sum(beat.count for beat in feel(tmp_path)) == 3  # the model's files, each in one piece
    assert not list((tmp_path / "work").iterdir())

"""The report stage: ``figures.json`` and ``report.html`` from what the other stages left.

Invariant: reads results and changes none, so that it can be run again at any time, after any stage.
"""

from __future__ import annotations

from markupsafe import Markup

from mtj_api import MusicTrainingJob
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.progress import Progress
from mtj_trainer.recipe import recipe
from mtj_trainer.report.comparisons import comparisons
from mtj_trainer.report.curves import curves, read_rows
from mtj_trainer.report.data import data_part
from mtj_trainer.report.figures import KEY, figures_json, merged, stage_records
from mtj_trainer.report.page import Page, render
from mtj_trainer.report.players import audio_players, midi_players, sample_players
from mtj_trainer.stage import leave_figures, stage_record, work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.tokens import make_tokenizer

REPORT = "report.html"


def report(job: MusicTrainingJob) -> None:
    """Write the report and the figures of a resolved job."""
    output = open_storage(job.spec.output)
    dataset = PreparedDataset.open(stage_record(output, "prepare")["dataset"], work_dir())
    records = stage_records(output)
    figures = merged(records.values())
    is_trained = "train" in records
    prepared = audio_players(dataset)
    if not is_trained:
        prepared += midi_players(dataset, make_tokenizer(job.spec.dataset.midi))
    page = Page(
        name=job.metadata.name,
        figures=figures,
        samples=sample_players(output) if "evaluate" in records else [],
        curves=_curves(job, output, records["train"]["curves"]) if is_trained else [],
        data=data_part(dataset),
        prepared=prepared,
        comparisons=comparisons(output) if "evaluate" in records else [],
        job=recipe(job),
    )
    output.write(KEY, figures_json(figures))
    output.write(REPORT, render(page).encode())
    progress = Progress("report", 1)
    progress.say(f"report: {_place(output.url, REPORT)}")
    progress.say(f"figures: {_place(output.url, KEY)}")
    leave_figures({}, report=f"{output.url}/{REPORT}")


def _curves(job: MusicTrainingJob, output: Storage, key: str) -> list[Markup]:
    assert job.spec.model is not None
    is_codec = job.spec.model.family == "codec"
    unit = "spectral distance" if is_codec else "nats a token"
    return curves(read_rows(output.read(key)), unit, one_scale=not is_codec)


def _place(url: str, key: str) -> str:
    """Where a person finds a file: its path on this machine, else its URL."""
    return f"{url.removeprefix('file://')}/{key}"

"""The report, end to end on real small data: complete, self-contained, and audible."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from mtj_api import JobError, parse_job
from mtj_trainer.evaluate.sound import measure
from mtj_trainer.report.stage import report
from support.finished import STEPS, chorales, copy_of, evaluated_job, prepared_job

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Collects what the tests look at, and checks that elements are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    report(copy_of(evaluated_job(), folder))
    return folder / "out"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    few = dict(list(chorales().items())[:5])
    report(prepared_job(folder, few))
    return folder / "out"


@pytest.mark.parametrize(
    ("which", "sections"),
    [
        ("trained", ["summary", "listen", "training", "data", "figures", "job"]),
        ("prepared", ["summary", "data", "figures", "job"]),
    ],
)
def test_the_page_is_complete_and_asks_nothing_of_others(
    which: str, sections: list[str], request: pytest.FixtureRequest
) -> None:
    html = (request.getfixturevalue(which) / "report.html").read_text()
    reader = read(html)
    assert [i for i in reader.ids if not i.endswith("-title")] == sections
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith(("data:", "#")), (tag, name, value)
        if name == "href" and value.startswith("#"):
            assert value[1:] in reader.ids
    assert not re.search(r"https?://|url\(|@import", html), "nothing outside is even named"
    assert "default-src 'none'" in html
    assert ("html", "lang", "en") in reader.attributes


def test_every_table_and_picture_speaks_to_those_who_do_not_see_it(trained: Path) -> None:
    html = (trained / "report.html").read_text()
    assert html.count("<table") == html.count("<caption")
    for svg in re.findall(r"<svg[^>]*>", html):
        assert 'role="img"' in svg
        assert 'aria-label="' in svg
    for audio in re.findall(r"<audio[^>]*>", html):
        assert "aria-label=" in audio


def recordings(html: str) -> list[tuple[np.ndarray, int]]:
    found = []
    for encoded in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html):
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="float32", always_2d=True)
        found.append((audio, rate))
    return found


def test_players_play_what_was_composed(trained: Path) -> None:
    html = (trained / "report.html").read_text()
    entries = json.loads((trained / "samples/samples.json").read_text())
    heard = recordings(html)
    assert len(heard) == len(entries) == 2
    for (audio, rate), entry in zip(heard, entries, strict=True):
        sound = measure(audio, rate)
        assert not sound.is_silent
        assert not sound.is_clipped
        assert sound.seconds == pytest.approx(entry["sound"]["seconds"], abs=0.1)
    shown = [float(seconds) for seconds in re.findall(r'data-seconds="([^"]+)"', html)]
    assert shown == pytest.approx([entry["seconds"] for entry in entries], abs=0.01)


def test_players_play_prepared_segments(prepared: Path) -> None:
    heard = recordings((prepared / "report.html").read_text())
    assert len(heard) == 3
    for audio, rate in heard:
        assert rate == 16_000
        assert not measure(audio, rate).is_silent


def test_figures_are_those_of_the_stages_and_the_page_shows_them(trained: Path) -> None:
    figures = json.loads((trained / "figures.json").read_text())
    assert list(figures) == sorted(figures)
    assert {"heldout.nll", "baseline.untrained.nll", "baseline.ngram.nll", "prepare.quarantined"} <= figures.keys()
    assert all(np.isfinite(value) for value in figures.values())
    text = read((trained / "report.html").read_text()).text["table"]
    for name in ("heldout.nll", "baseline.untrained.nll", "baseline.ngram.nll"):
        assert f"{figures[name]:.2f}" in text


def test_each_file_that_was_left_out_is_there_with_its_reason(prepared: Path) -> None:
    html = (prepared / "report.html").read_text()
    assert "broken <b>" not in html, "names of files are no markup"
    text = read(html).text["section"]
    for file in ("broken <b>.mid", "broken <b>.wav", "empty.mid"):
        assert file in text
    assert "3 of 11 files" in " ".join(text.split())


def test_the_job_on_the_page_is_a_job(trained: Path) -> None:
    text = read((trained / "report.html").read_text()).text["pre"]
    job = parse_job(text).job
    assert job.metadata.name == "chorales"
    assert yaml.safe_load(text)["spec"]["training"]["steps"] == STEPS


def test_running_it_again_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    report(job)
    out = capsys.readouterr().out
    assert f"report: {tmp_path}/out/report.html" in out
    assert f"figures: {tmp_path}/out/figures.json" in out
    before = (tmp_path / "out/report.html").read_bytes()
    report(job)
    assert (tmp_path / "out/report.html").read_bytes() == before


def test_without_data_it_says_so(tmp_path: Path) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    (tmp_path / "out/stages/prepare.json").unlink()
    with pytest.raises(JobError, match="prepare"):
        report(job)

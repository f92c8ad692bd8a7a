"""Recordings that are to be heard beside each other come onto the page together, with what was asked and found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtj_trainer.evaluate.audio.copies import Likeness
from mtj_trainer.evaluate.audio.hearing import Hearing
from mtj_trainer.evaluate.audio.samples import AudioSample, Take, write_audio_samples
from mtj_trainer.report.comparisons import Comparison, comparisons
from mtj_trainer.report.data import DataPart
from mtj_trainer.report.page import Page, render
from mtj_trainer.report.players import sample_players
from mtj_trainer.storage import Storage, open_storage
from support.tunes import RATE, tune

CODED = AudioSample(
    "reconstruction-1",
    "reconstruction",
    "Wachet <auf>",
    [
        Take("original", "Original", tune(0, 2)),
        Take("reconstruction", "Reconstruction", tune(0, 1.5), {"si_sdr": 8.25, "snr": 9.0}),
        Take("griffin-lim", "Griffin-Lim", tune(1, 2), {"mel_distance": 2.5}),
    ],
    judged="reconstruction",
)
PLAYED = AudioSample(
    "generated-1",
    "generated",
    "A calm chorale",
    [Take("before", "Before training", tune(2, 2)), Take("after", "After training", tune(3, 2))],
    judged="after",
    text="a calm chorale in C <major>",
    asked=Hearing(100, "Cmaj"),
    found=Hearing(201, "Amin"),
    likeness=Likeness(0.43, 3, 1.0, 5.0),
)


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    written = open_storage(f"file://{tmp_path}")
    write_audio_samples(written, [CODED, PLAYED], RATE)
    return written


def page(found: list[Comparison]) -> str:
    data = DataPart([], False, False, [], [], [], [], 0)
    return render(Page("job", {}, [], [], data, [], "spec: {}", found))


def test_each_take_has_a_player_whose_pictures_last_equally_long(output: Storage) -> None:
    coded, played = comparisons(output)
    assert [take.title for take in coded.takes] == ["Original", "Reconstruction", "Griffin-Lim"]
    assert {take.seconds for take in coded.takes} == {2.0}
    assert [take.note for take in coded.takes] == ["", "SI-SDR 8.25 dB", "mel distance 2.50 dB"]
    assert all(take.mp3 and take.mp3.startswith("data:audio/mpeg;base64,") for take in coded.takes + played.takes)
    assert coded.conditions == []
    assert coded.note == ""


def test_what_was_asked_stands_beside_what_is_heard(output: Storage) -> None:
    played = comparisons(output)[1]
    assert played.text == "a calm chorale in C <major>"
    assert [(c.name, c.asked, c.found, c.met) for c in played.conditions] == [
        ("Tempo", "100 bpm", "201 bpm", True),
        ("Key", "Cmaj", "Amin", False),
    ]
    assert "similarity 0.43" in played.note


def test_the_page_shows_them_and_names_nothing_outside(output: Storage) -> None:
    html = page(comparisons(output))
    assert 'href="#listen"' in html
    assert html.count('<section class="player"') == html.count("<audio ") == 5
    assert html.count('<svg class="roll"') == html.count('class="playhead"') == 5
    assert len(re.findall(r'data-seconds="2\.000"', html)) == 5
    assert "Wachet &lt;auf&gt;" in html
    assert "in C &lt;major&gt;</blockquote>" in html
    assert "<auf>" not in html
    assert not re.search(r"https?://|url\(|@import", html)
    assert html.count("<table") == html.count("<caption")


def test_without_recordings_there_is_nothing_to_listen_to(tmp_path: Path) -> None:
    empty = open_storage(f"file://{tmp_path}/empty")
    assert comparisons(empty) == []
    assert 'id="listen"' not in page([])


def test_compositions_and_recordings_do_not_get_mixed(output: Storage) -> None:
    assert sample_players(output) == []

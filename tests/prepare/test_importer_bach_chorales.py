"""The chorales: the notes that music21 reads, at the right places in the right bars, and each piece once."""

from __future__ import annotations

import importlib.util
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from symusic import Score

from mtj_trainer.prepare.importers.bach_chorales import COLLECTION, import_bach_chorales, row, without_repeats
from mtj_trainer.prepare.importers.chorale import Chorale, metre_changes, read_chorale
from mtj_trainer.prepare.importers.musicxml import Bar, ScoreNote, read_part
from mtj_trainer.prepare.pool import Done, WorkerPool
from mtj_trainer.storage import open_storage

spec = importlib.util.find_spec("music21")
assert spec is not None
assert spec.submodule_search_locations
CORPUS = Path(spec.submodule_search_locations[0]) / "corpus" / "bach"


class HerePool(WorkerPool):
    """Does the work in this process, where Ray is not what is tested."""

    def run(self, function, items):  # type: ignore[no-untyped-def]
        for item in items:
            yield Done(item, function(item))


def bars(*lengths: float, metre: str = "4/4") -> Iterator[Bar]:
    start = Fraction(0)
    for length in lengths:
        yield Bar(start, Fraction(length), metre)
        start += Fraction(length)


@pytest.mark.parametrize(
    ("upbeat", "lengths", "changes"),
    [
        (0, (4, 4, 4), {0: "4/4"}),
        (3, (1, 4, 4, 3), {0: "4/4"}),  # the last bar lacks what the upbeat has
        (3, (1, 4, 3, 1, 4, 3), {0: "4/4"}),  # a repeat sign inside the second bar
        (3, (1, 4, 2, 4, 4), {0: "4/4", 8: "2/4", 10: "4/4"}),  # a bar of two beats
        (0, (4, 10, 4), {0: "4/4", 12: "2/4", 14: "4/4"}),  # bars that were not divided
        (0, (4, 1.5, 4), {0: "4/4", 4: "3/8", 5.5: "4/4"}),
        (0, (4, 8), {0: "4/4"}),  # a long last note
    ],
)
def test_metres_make_every_bar_line_fall_where_it_is_notated(
    upbeat: int, lengths: tuple[float, ...], changes: dict[float, str]
) -> None:
    assert dict(metre_changes(list(bars(*lengths)), Fraction(upbeat))) == changes


def test_a_change_of_metre_is_one() -> None:
    notated = [Bar(Fraction(0), Fraction(4), "4/4"), *(Bar(Fraction(4 + 3 * n), Fraction(3), "3/4") for n in range(3))]
    assert dict(metre_changes(notated, Fraction(0))) == {0: "4/4", 4: "3/4"}


def test_musicxml_ties_chords_rests_and_voices_are_understood() -> None:
    from xml.etree import ElementTree

    note = "<note>{extra}<pitch><step>{step}</step><octave>4</octave></pitch><duration>{length}</duration>{tie}</note>"

    def xml(step: str, length: int, extra: str = "", tie: str = "") -> str:
        return note.format(step=step, length=length, extra=extra, tie=tie)

    part = ElementTree.fromstring(
        "<part><measure><attributes><divisions>2</divisions><time><beats>2</beats><beat-type>4</beat-type></time>"
        "</attributes>"
        + xml("C", 2, tie='<tie type="start"/>')
        + xml("E", 2, extra="<chord/>")
        + xml("D", 0, extra="<grace/>")
        + "<note><rest/><duration>2</duration></note>"
        + "<backup><duration>2</duration></backup>"
        + xml("C", 2, tie='<tie type="stop"/>')
        + "</measure></part>"
    )
    read = read_part(part)
    assert read.notes == (ScoreNote(Fraction(0), Fraction(1), 64), ScoreNote(Fraction(0), Fraction(2), 60))
    assert read.bars == (Bar(Fraction(0), Fraction(2), "2/4"),)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.mxl"))[::20], ids=lambda path: path.stem)
def test_notes_are_those_that_music21_reads_with_ties_merged(path: Path) -> None:
    from music21 import converter

    chorale = read_chorale(path)
    parts = list(converter.parse(path, forceSource=True).parts)
    assert (chorale is None) == (len(parts) != 4)
    if chorale is None:
        return
    measure = parts[0].getElementsByClass("Measure")[0]
    upbeat = Fraction(measure.paddingLeft)
    for part, voice in zip(parts, chorale.voices, strict=True):
        expected = Counter(
            (Fraction(note.offset) + upbeat, Fraction(note.quarterLength), pitch.midi)
            for note in part.flatten().stripTies().notes
            for pitch in note.pitches
            if note.quarterLength
        )
        assert Counter((note.start, note.length, note.pitch) for note in voice) == expected


def test_midi_says_what_the_chorale_is() -> None:
    chorale = read_chorale(CORPUS / "bwv66.6.mxl")  # F sharp minor, with an upbeat of one beat
    assert chorale is not None
    score = Score.from_midi(chorale.to_midi())
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert {track.program for track in score.tracks} == {19}
    assert [len(track.notes) for track in score.tracks] == [len(voice) for voice in chorale.voices]
    assert min(track.notes[0].time for track in score.tracks) == 3 * score.ticks_per_quarter
    assert [(m.time, m.numerator, m.denominator) for m in score.time_signatures] == [(0, 4, 4)]
    assert [(k.time, k.key, k.tonality) for k in score.key_signatures] == [(0, 3, 1)]
    assert [tempo.qpm for tempo in score.tempos] == [100.0]
    assert chorale.key == "F#min"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("bwv102.7", "Cmin"),  # notated with two flats, as the dorian mode was
        ("bwv269", "Gmaj"),
        ("bwv281", "Fmaj"),
        ("bwv10.7", "Gmin"),
    ],
)
def test_the_key_is_the_one_that_is_heard(name: str, key: str) -> None:
    chorale = read_chorale(CORPUS / f"{name}.mxl")
    assert chorale is not None
    assert chorale.key == key


def a_chorale(bwv: str, pitch: int) -> Chorale:
    voices = tuple((ScoreNote(Fraction(0), Fraction(1), pitch - 12 * voice),) for voice in range(4))
    return Chorale(bwv, voices, ((Fraction(0), "4/4"),), "Cmaj")


def test_of_equal_pieces_the_first_in_the_catalogue_is_kept() -> None:
    chorales = [a_chorale("398", 60), a_chorale("17.7", 62), a_chorale("197.7-a", 60), a_chorale("9.7", 64)]
    assert [chorale.bwv for chorale in without_repeats(chorales)] == ["9.7", "17.7", "197.7-a"]


def test_movements_of_a_work_are_its_album_and_there_is_no_artist() -> None:
    one, other = (row(a_chorale(bwv, 60), None) for bwv in ("248.9-1", "248.64"))
    assert one["album"] == other["album"] == "BWV 248"
    assert one["programs"] == other["programs"]
    assert "artist" not in one
    assert row(a_chorale("269", 60), "Aus meines Herzens Grunde")["title"] == "Aus meines Herzens Grunde (BWV 269)"


@pytest.mark.slow
def test_the_collection_is_complete_and_made_once(tmp_path: Path) -> None:
    cache = open_storage(str(tmp_path))
    imported = import_bach_chorales(cache, ["midi"], HerePool(1))
    pieces = [entry for entry in imported.entries if entry.key.endswith(".mid")]
    assert len(pieces) == COLLECTION.pieces
    scores = [Score.from_midi(imported.storage.read(entry.key), ttype="second") for entry in pieces]
    assert sum(score.end() for score in scores) / 3600 == pytest.approx(COLLECTION.hours, abs=0.001)
    metres = Counter(f"{s.time_signatures[0].numerator}/{s.time_signatures[0].denominator}" for s in scores)
    assert set(metres) == {"4/4", "3/4", "3/2"}
    rows = [json.loads(line) for line in imported.storage.read("metadata.jsonl").decode().split("\n")[:-1]]
    assert {r["file_path"] for r in rows} == {entry.key for entry in pieces}
    assert sum(r["title"].startswith("Chorale BWV") for r in rows) < len(rows) / 4

    times = file_times(tmp_path)
    assert import_bach_chorales(cache, ["midi"], HerePool(1)).entries == imported.entries
    assert file_times(tmp_path) == times
    assert (
        import_bach_chorales(open_storage(str(tmp_path / "elsewhere")), ["midi"], HerePool(1)).entries
        == imported.entries
    )


@pytest.mark.slow
def test_audio_is_rendered_from_the_same_notes_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtj_trainer.prepare.importers import bach_chorales

    monkeypatch.setattr(bach_chorales, "_corpus", lambda: [CORPUS / "bwv66.6.mxl", CORPUS / "bwv269.mxl"])
    cache = open_storage(str(tmp_path))
    midi = import_bach_chorales(cache, ["midi"], HerePool(1))
    both = import_bach_chorales(cache, ["audio", "midi"], HerePool(1))
    assert {entry.key for entry in both.entries} - {entry.key for entry in midi.entries} == {
        "bwv66.6.flac",
        "bwv269.flac",
    }
    audio = import_bach_chorales(cache, ["audio"], HerePool(1))
    assert {Path(entry.key).suffix for entry in audio.entries} == {".flac", ".jsonl"}
    samples, rate = soundfile.read(io.BytesIO(both.storage.read("bwv269.flac")))
    score = Score.from_midi(both.storage.read("bwv269.mid"), ttype="second")
    assert rate == 44_100
    assert score.end() <= len(samples) / rate <= score.end() + 6
    assert np.sqrt(np.mean(samples**2)) > 0.01


def file_times(folder: Path) -> Iterable[tuple[Path, int]]:
    return [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*.*"))]

"""The notes and bars of a MusicXML score, and nothing else of it: a hundredth of the time of a full reader.

It holds for scores with any number of voices a part, ties, chords, upbeats and changes of metre. Grace notes, which
have no length of their own, are left out; repeats are read once.
Invariant: the notes are those that music21 finds, with ties merged.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, order=True)
class ScoreNote:
    """A note: its start and length in quarters, and its MIDI pitch."""

    start: Fraction
    length: Fraction
    pitch: int


@dataclass(frozen=True)
class Bar:
    """A bar as it is notated: where it starts and how long it is, in quarters, and the metre that it stands in."""

    start: Fraction
    length: Fraction
    metre: str


@dataclass(frozen=True)
class Part:
    """A part of a score, from quarter 0.

    Attributes:
        key: sharps (flats are negative) and ``major`` or ``minor``, where a signature names a mode.
    """

    notes: tuple[ScoreNote, ...]
    bars: tuple[Bar, ...]
    key: tuple[int, str] | None


def read_score(path: Path) -> list[Element]:
    """The parts of a ``.xml`` or compressed ``.mxl`` file, for ``read_part``."""
    if path.suffix == ".mxl":
        with zipfile.ZipFile(path) as archive:
            container = _parse(archive.read("META-INF/container.xml"))
            names = [name for found in container.iter() if (name := found.get("full-path"))]
            text = archive.read(names[0])
    else:
        text = path.read_bytes()
    return _parse(text).findall("part")


def read_part(part: Element) -> Part:
    """The notes and bars of one part."""
    pieces: list[tuple[Fraction, Fraction, int, bool]] = []
    bars: list[Bar] = []
    key: tuple[int, str] | None = None
    divisions, metre, start = Fraction(1), "4/4", Fraction(0)
    for measure in part.findall("measure"):
        at = last = end = start
        for element in measure:
            if element.tag == "attributes":
                divisions = Fraction(element.findtext("divisions", str(divisions)))
                time = element.find("time")
                if time is not None:
                    metre = f"{time.findtext('beats')}/{time.findtext('beat-type')}"
                if element.findtext("key/mode") and key is None:
                    key = int(element.findtext("key/fifths", "0")), element.findtext("key/mode", "")
            elif element.tag in ("backup", "forward"):
                length = Fraction(element.findtext("duration", "0")) / divisions
                at += length if element.tag == "forward" else -length
            elif element.tag == "note" and element.find("grace") is None:
                length = Fraction(element.findtext("duration", "0")) / divisions
                if element.find("chord") is None:
                    last, at = at, at + length
                if element.find("pitch") is not None:
                    tied = any(tie.get("type") == "stop" for tie in element.findall("tie"))
                    pieces.append((last, length, _pitch(element), tied))
            end = max(end, at)
        bars.append(Bar(start, end - start, metre))
        start = end
    return Part(tuple(_without_ties(pieces)), tuple(bars), key)


def _parse(text: bytes) -> Element:
    return ElementTree.fromstring(text)  # noqa: S314 - files of an installed package


def _pitch(note: Element) -> int:
    octave, step = int(note.findtext("pitch/octave", "")), note.findtext("pitch/step", "")
    return 12 * (octave + 1) + SEMITONES[step] + int(note.findtext("pitch/alter", "0"))


def _without_ties(pieces: list[tuple[Fraction, Fraction, int, bool]]) -> Iterator[ScoreNote]:
    finished: list[ScoreNote] = []
    sounding: dict[int, ScoreNote] = {}
    for start, length, pitch, tied in sorted(pieces, key=lambda piece: piece[0]):
        before = sounding.get(pitch)
        if tied and before is not None and before.start + before.length == start:
            sounding[pitch] = ScoreNote(before.start, before.length + length, pitch)
            continue
        if before is not None:
            finished.append(before)
        sounding[pitch] = ScoreNote(start, length, pitch)
    yield from sorted([*finished, *sounding.values()])

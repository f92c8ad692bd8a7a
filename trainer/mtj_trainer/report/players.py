"""What can be heard on the page: compositions with what was asked and found, and prepared music."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import soundfile
from markupsafe import Markup
from symusic import Score

from mtj_api.spec.dataset import Modality
from mtj_trainer.evaluate.samples import INDEX
from mtj_trainer.evaluate.sound import to_mp3
from mtj_trainer.prepare.dataset import PreparedDataset, Sample, Track
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.report.charts import waveform
from mtj_trainer.report.pianoroll import instrument_name, piano_roll
from mtj_trainer.storage import Storage
from mtj_trainer.tokens import Conditions, Tokenizer

EXCERPT_SECONDS = 15.0
EXCERPT_BARS = 8
EXCERPTS = 3
"""Of each kind of prepared music so many are shown, so that the page stays small."""


@dataclass(frozen=True)
class Condition:
    """A line of a player's table; ``met`` is ``None`` where the music cannot tell."""

    name: str
    asked: str
    found: str
    met: bool | None


@dataclass(frozen=True)
class Player:
    """Something to look at and listen to.

    Attributes:
        picture: a piano roll or waveform with a playhead.
        seconds: that the picture lasts.
        mp3, midi: data URIs, or ``None``.
        parts: names and colour classes of a piano roll's parts.
    """

    title: str
    kind: str
    picture: Markup
    seconds: float
    mp3: str | None = None
    midi: str | None = None
    file_name: str = ""
    conditions: list[Condition] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""


def sample_players(output: Storage) -> list[Player]:
    """A player for each composition in ``samples.json``; none where nothing was composed."""
    try:
        entries = json.loads(output.read(INDEX))
    except FileNotFoundError:
        return []
    return [_sample_player(output, entry) for entry in entries if "midi" in entry.get("files", {})]


def _sample_player(output: Storage, entry: dict[str, Any]) -> Player:
    midi = output.read(entry["files"]["midi"])
    mp3 = output.read(entry["files"]["mp3"]) if "mp3" in entry["files"] else None
    roll = piano_roll(Score.from_midi(midi), entry["title"], given_beats=entry["prompt_beats"])
    is_request = entry["kind"] == "request"
    return Player(
        title=entry["title"],
        kind="Composed from a request" if is_request else "Continued from a held-out piece",
        picture=roll.svg,
        seconds=roll.seconds,
        mp3=data_uri("audio/mpeg", mp3) if mp3 else None,
        midi=data_uri("audio/midi", midi),
        file_name=f"{entry['name']}.mid",
        conditions=list(_conditions(entry)),
        parts=roll.parts,
        note="" if is_request else "The shaded bars were given; the model wrote the rest.",
    )


def _conditions(entry: dict[str, Any]) -> Iterator[Condition]:
    asked, found, matches = entry["asked"], entry["found"], entry["matches"]
    for name in ("key", "metre", "tempo", "instruments"):
        if asked[name] is not None:
            met = matches.get(name)
            heard = _text(name, found[name]) if met is not None else "as set"
            yield Condition(name.capitalize(), _text(name, asked[name]), heard, met)


def _text(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "instruments":
        return ", ".join(instrument_name(program) for program in value)
    return f"{value:g} bpm" if name == "tempo" else str(value)


def audio_players(dataset: PreparedDataset) -> list[Player]:
    """The beginnings of a few prepared segments, as they will be trained on."""
    players = []
    for sample, track in _chosen(dataset, "audio"):
        audio, rate = soundfile.read(io.BytesIO(dataset.read(sample)), dtype="float32", always_2d=True)
        audio = audio[: int(EXCERPT_SECONDS * rate)]
        title = track.title or track.id
        players.append(
            Player(
                title=title,
                kind="Prepared segment",
                picture=waveform(audio, f"Waveform of {title}"),
                seconds=len(audio) / rate,
                mp3=data_uri("audio/mpeg", to_mp3(audio, rate)),
                note=f"{track.file_path}, from {sample.start:.1f} s; {sample.length:.1f} s long, {rate / 1000:g} kHz.",
            )
        )
    return players


def midi_players(dataset: PreparedDataset, tokenizer: Tokenizer) -> list[Player]:
    """The openings of a few pieces, as the tokens keep them."""
    players = []
    for sample, track in _chosen(dataset, "midi"):
        tokens = dataset.read_tokens(sample)
        known = Conditions(track.key, track.metre, track.tempo, tuple(track.programs) or None)
        score = tokenizer.decode(tokenizer.first_bars(tokens, known, EXCERPT_BARS), known)
        title = track.title or track.id
        roll = piano_roll(score, title)
        midi = data_uri("audio/midi", bytes(score.dumps_midi()))
        players.append(
            Player(
                title=title,
                kind="Prepared piece",
                picture=roll.svg,
                seconds=roll.seconds,
                midi=midi,
                file_name=f"{track.id.rpartition('/')[2]}.mid",
                parts=roll.parts,
                note=f"{track.file_path}, its first {EXCERPT_BARS} bars as the tokens keep them.",
            )
        )
    return players


def _chosen(dataset: PreparedDataset, kind: Modality) -> list[tuple[Sample, Track]]:
    """The first samples of tracks spread evenly over the data set."""
    first: dict[str, Sample] = {}
    for side in SIDES:
        for sample in dataset.samples(kind, side):
            first.setdefault(sample.track, sample)
    tracks = sorted(first)
    step = max(1, len(tracks) // EXCERPTS)
    return [(first[track], dataset.tracks[track]) for track in tracks[::step][:EXCERPTS]]


def data_uri(kind: str, data: bytes) -> str:
    """A file's content, of a MIME type, as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

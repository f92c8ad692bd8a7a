"""Tags of every format are read alike, and none of them ever stops a recording."""

from __future__ import annotations

import io
from typing import Any

import mutagen
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen.id3 import TALB, TCON, TDRC, TIT2, TPE1
from mutagen.wave import WAVE

from mtj_trainer.prepare.audio.tags import read_tags
from support import sounds

TAGS = {
    "title": "Désir d’été",
    "artist": "J. S. Bach",
    "album": "Chorales",
    "genre": ["Baroque", "Sacred"],
    "year": 1736,
}


def tagged(kind: str, genre: list[str], date: str) -> bytes:
    file = io.BytesIO(sounds.encoded(sounds.sine(0.3), kind))
    texts = {"title": TAGS["title"], "artist": TAGS["artist"], "album": TAGS["album"], "genre": genre, "date": date}
    if kind == "wav":
        wave = WAVE(file)
        wave.add_tags()
        for frame in (TIT2(text=texts["title"]), TPE1(text=texts["artist"]), TALB(text=texts["album"])):
            wave.tags.add(frame)
        wave.tags.add(TCON(text=genre))
        wave.tags.add(TDRC(text=date))
        file.seek(0)
        wave.save(file)
        return file.getvalue()
    easy = mutagen.File(file, easy=True)
    if easy.tags is None:
        easy.add_tags()
    for name, value in texts.items():
        easy[name] = value
    file.seek(0)
    easy.save(file)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("genre", [["Baroque", "Sacred"], ["Baroque; Sacred"], ["Baroque", "Sacred", "Baroque"]])
@pytest.mark.parametrize("date", ["1736", "1736-03-30"])
def test_tags_of_every_format_are_read_alike(kind: str, genre: list[str], date: str) -> None:
    assert read_tags(tagged(kind, genre, date)) == TAGS


def test_the_info_list_of_a_wav_file_is_read() -> None:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", sounds.RATE, 2, "PCM_16", format="WAV") as sound:
        sound.title, sound.artist, sound.date = "Aria", "Goldberg", "1741"
        sound.write(sounds.sine(0.3))
    assert read_tags(out.getvalue()) == {"title": "Aria", "artist": "Goldberg", "year": 1741}


def test_numbers_of_id3_version_1_become_the_names_of_genres() -> None:
    assert read_tags(tagged("mp3", ["(32)"], ""))["genre"] == ["Classical"]


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_a_file_without_tags_has_none(kind: str) -> None:
    found: dict[str, Any] = read_tags(sounds.encoded(sounds.sine(0.3), kind))
    assert found == {}


@given(data=st.binary(max_size=300), magic=st.sampled_from([b"", b"ID3\x04\x00\x00\x00\x00\x01\x00", b"fLaC", b"OggS"]))
def test_no_bytes_stop_a_recording(data: bytes, magic: bytes) -> None:
    assert isinstance(read_tags(magic + data), dict)

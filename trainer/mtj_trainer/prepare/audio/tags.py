"""Title, artist, album, genre and year that a recording carries in itself.

Invariant: tags are a courtesy of the file; whatever is wrong with them, the recording stays usable.
"""

from __future__ import annotations

import io
import re
from typing import Any

import mutagen
import soundfile
from mutagen.id3 import ID3

_ID3_FRAMES = {"title": "TIT2", "artist": "TPE1", "album": "TALB", "genre": "TCON", "date": "TDRC"}
_TEXTS = ("title", "artist", "album")


def read_tags(data: bytes) -> dict[str, Any]:
    """Those of ``title``, ``artist``, ``album`` (str), ``genre`` (list of str) and ``year`` (int) that are there."""
    try:
        fields = _fields(data)
    except Exception:  # tag parsers meet hostile bytes and raise much more than they document
        return {}
    tags: dict[str, Any] = {name: fields[name][0] for name in _TEXTS if fields.get(name)}
    genres = [part.strip() for text in fields.get("genre", []) for part in re.split(r"[;/\x00]", text)]
    if any(genres):
        tags["genre"] = list(dict.fromkeys(filter(None, genres)))
    year = re.search(r"\b(1\d{3}|20\d{2})", " ".join(fields.get("date", [])))
    if year:
        tags["year"] = int(year.group(1))
    return tags


def _fields(data: bytes) -> dict[str, list[str]]:
    """Tag name to texts, without the empty ones."""
    file = mutagen.File(io.BytesIO(data), easy=True)
    found = None if file is None else file.tags
    if isinstance(found, ID3):  # a wav file, for which mutagen has no easy names
        texts = {name: _id3_texts(found, frame) for name, frame in _ID3_FRAMES.items()}
    elif found:
        texts = {name: found.get(name, []) for name in _ID3_FRAMES}
    else:  # the INFO list of a wav file, which mutagen does not read
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            texts = {name: [text] for name, text in sound.copy_metadata().items()}
    stripped = {name: [str(text).strip() for text in values] for name, values in texts.items()}
    return {name: list(filter(None, values)) for name, values in stripped.items()}


def _id3_texts(tags: ID3, frame: str) -> list[Any]:
    return [text for found in tags.getall(frame) for text in (found.genres if frame == "TCON" else found.text)]

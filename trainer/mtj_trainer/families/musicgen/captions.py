"""What a track's metadata say of it, as a sentence that a text encoder reads.

Invariant: equal metadata give equal captions, so that a caption's states can be computed once and looked up by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mtj_trainer.music.instruments import PROGRAM_NAMES
from mtj_trainer.prepare.dataset import Track

OWN_FIELDS = ("caption", "description", "text")
"""Fields of a source's metadata that are captions already; the first that says something is taken as it is."""

MOST_INSTRUMENTS = 4
"""A caption names so many instruments, the busiest first."""

UNKNOWN = "music"
"""The caption of a track of which nothing is known."""

FORMS = frozenset(
    [
        *("anthem", "aria", "ballad", "ballade", "bourree", "canon", "cantata", "carol", "chorale", "concerto"),
        *("courante", "etude", "fantasia", "fugue", "gavotte", "gigue", "hymn", "intermezzo", "jig", "jingle"),
        *("lullaby", "madrigal", "march", "mass", "mazurka", "minuet", "motet", "nocturne", "overture", "polka"),
        *("polonaise", "prelude", "reel", "rhapsody", "rondo", "sarabande", "scherzo", "serenade", "sonata"),
        *("sonatina", "song", "suite", "symphony", "tarantella", "toccata", "variation", "waltz"),
    ]
)
"""Genres that name a piece by themselves: a waltz, where rock is the style of a piece."""


def caption(track: Track) -> str:
    """A caption such as ``a solemn baroque chorale in G major, 4/4, 96 bpm, church organ``.

    A caption of the source's own wins. The title, which names a piece and seldom describes it, speaks only where
    nothing else is known; names of people never do.
    """
    for name in OWN_FIELDS:
        own = " ".join(track.extra.get(name, "").split())
        if own:
            return own
    details = [*_measure(track), *_instruments(track)]
    if not (details or track.genre or track.mood or track.key):
        return track.title or UNKNOWN
    piece = _piece(track)
    if track.key is not None:
        piece = f"{piece} in {key_name(track.key)}"
    return ", ".join([piece, *details])


def key_name(key: str) -> str:
    """``F#min`` as ``F sharp minor``."""
    tonic = key[:-3].replace("#", " sharp").replace("b", " flat")
    return f"{tonic} {'minor' if key.endswith('min') else 'major'}"


def _piece(track: Track) -> str:
    genres = [genre.lower() for genre in track.genre]
    noun = "" if genres and genres[-1].split()[-1] in FORMS else "piece"
    moods = ", ".join(mood.lower() for mood in track.mood)
    words = " ".join(part for part in (moods, *genres, noun) if part)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _measure(track: Track) -> Iterable[str]:
    if track.metre is not None:
        yield track.metre
    if track.tempo is not None:
        yield f"{track.tempo:.0f} bpm"


def _instruments(track: Track) -> Iterable[str]:
    names = track.instruments or tuple(PROGRAM_NAMES[program] for program in track.programs)
    return list(dict.fromkeys(name.lower() for name in names))[:MOST_INSTRUMENTS]

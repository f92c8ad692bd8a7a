"""Metadata: what rows, tags and folder names say of a track, and what is said about rows that say nothing."""

from __future__ import annotations

import json

import pytest

from mtj_trainer.prepare.metadata import (
    Description,
    describe,
    from_folders,
    match_rows,
    merge,
    parse_key,
    read_rows,
)
from mtj_trainer.storage import Entry


def rows_of(name: str, text: str) -> tuple[list, list[str]]:  # type: ignore[type-arg]
    rows, complaints = read_rows(lambda key: text.encode(), [Entry(name, 1, "1")])
    return rows, [str(complaint) for complaint in complaints]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Cmaj", "Cmaj"),
        ("C major", "Cmaj"),
        ("C", "Cmaj"),
        ("a minor", "Amin"),
        ("Am", "Amin"),
        ("F#min", "F#min"),
        ("B♭", "Bbmaj"),
        ("Ebm", "Ebmin"),
        ("bb minor", "Bbmin"),
    ],
)
def test_a_key_may_be_written_in_many_ways(text: str, key: str) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["", "a", "H", "C dorian", "8A", "none"])
def test_what_is_no_key_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_key(text)


def test_a_row_holds_the_guides_schema() -> None:
    description, complaints = describe(
        {
            "file_path": "x.wav",
            "genre": ["jazz", "fusion"],
            "instruments": ["piano"],
            "tempo": 120,
            "key": "Cmaj",
            "mood": [],
            "year": "2018-03-01",
            "source": "collection",
            "duration": 30.5,
            "split": "train",
            "performer": "Ann",
        }
    )
    assert complaints == []
    assert description == Description(
        genre=("jazz", "fusion"),
        instruments=("piano",),
        tempo=120.0,
        key="Cmaj",
        year=2018,
        source="collection",
        extra={"performer": "Ann"},
    )


def test_a_value_that_cannot_be_understood_is_left_out_and_the_rest_kept() -> None:
    description, complaints = describe({"tempo": "fast", "year": 1999, "key": "H", "metre": "3/4"})
    assert description == Description(year=1999, metre="3/4")
    assert complaints == [
        'tempo "fast" is not a number of quarter notes a minute',
        'key "H" is not a key such as Cmaj or F#min',
    ]


def test_rows_win_over_tags_and_tags_over_folders() -> None:
    row, tags, folders = Description(title="Row"), Description(title="Tag", artist="Tag"), from_folders("F/A/x.mp3")
    assert merge(row, tags, folders) == Description(title="Row", artist="Tag", album="A")


@pytest.mark.parametrize(
    ("key", "artist", "album"),
    [
        ("Ann/First/01.mp3", "Ann", "First"),
        ("library/Ann/First/01.mp3", "Ann", "First"),
        ("First/01.mp3", None, None),
        ("01.mp3", None, None),
        ("audio/raw/01.wav", None, None),
        ("Ann/FLAC/01.flac", None, None),
    ],
)
def test_folders_say_artist_and_album(key: str, artist: str | None, album: str | None) -> None:
    assert (from_folders(key).artist, from_folders(key).album) == (artist, album)


def test_csv_lists_are_split_at_semicolons() -> None:
    rows, complaints = rows_of("metadata.csv", "file_path,genre,tempo\nx.wav,jazz; fusion ;,\n")
    assert complaints == []
    assert rows[0].description == Description(genre=("jazz", "fusion"))


def test_bad_rows_are_named_by_line_and_the_others_read() -> None:
    lines = [
        "",
        json.dumps({"file_path": "x.wav"}),
        "{",
        "[1]",
        json.dumps({"title": "x"}),
        json.dumps({"file_name": "y.wav"}),
    ]
    rows, complaints = rows_of("sub/metadata.jsonl", "\n".join(lines))
    assert [(row.file, row.folder) for row in rows] == [("x.wav", "sub"), ("y.wav", "sub")]
    assert [complaint.split(":", 2)[1] for complaint in complaints] == ["3", "4", "5"]


def test_a_csv_row_with_too_few_columns_is_malformed() -> None:
    rows, complaints = rows_of("metadata.csv", "file_path,title\nx.wav\ny.wav,Y\n")
    assert [row.file for row in rows] == ["y.wav"]
    assert complaints == ["metadata.csv:2: has not the 2 columns of the first line"]


def test_metadata_that_is_not_text_is_one_complaint() -> None:
    _, complaints = read_rows(lambda key: b"\xff\xfe\x00", [Entry("metadata.csv", 3, "1")])
    assert [str(c) for c in complaints] == ["metadata.csv: is not text in UTF-8"]


@pytest.mark.parametrize(
    ("folder", "file", "track"),
    [
        ("", "a/x.wav", "a/x"),
        ("a", "x.wav", "a/x"),
        ("a", "a/x.wav", "a/x"),
        ("", "y.mid", "b/y"),
        ("", "y.flac", "b/y"),  # another file of the same track
        ("", "./a/x.wav", "a/x"),
        ("", "a\\x.wav", "a/x"),
        ("", "1. Song.mp3", "b/1. Song"),
        ("", "1. Song", "b/1. Song"),
        ("", "x.wav", None),  # there are two
        ("a", "y.mid", None),  # lies elsewhere
        ("", "z.wav", None),
    ],
)
def test_a_row_finds_its_track_by_path_or_by_name(folder: str, file: str, track: str | None) -> None:
    text = json.dumps({"file_path": file, "title": "T"})
    rows, _ = rows_of(f"{folder}/metadata.jsonl".lstrip("/"), text)
    found, complaints = match_rows(rows, {"a/x", "b/x", "b/y", "b/1. Song"})
    assert found == ({track: Description(title="T")} if track else {})
    assert len(complaints) == (0 if track else 1)

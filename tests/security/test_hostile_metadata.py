"""Metadata is written by strangers: whatever a line says, the others hold, and nothing that it says is acted on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtj_api.spec import AudioPreparation, Split
from mtj_trainer.prepare import metadata
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.manifest import MOST_COMPLAINTS, Contents, write_dataset
from mtj_trainer.prepare.metadata import Complaint, Row, match_rows, read_rows
from mtj_trainer.prepare.records import FileRecord, UnitRecord
from mtj_trainer.storage import Entry, open_storage
from support.music_folder import midi
from support.prepared import prepare_files

GOOD = '{"file_path": "a.mid", "artist": "Ann"}'

MALFORMED = {
    "ten thousand brackets": "[" * 10_000,
    "ten thousand levels": '{"a":' * 10_000,
    "a number of 5,000 digits": f'{{"file_path": "b.mid", "tempo": {"9" * 5000}}}',
    "half a character": '{"file_path": "b.mid", "artist": "\\ud800"}',
    "a file without a name": '{"file_path": "/"}',
    "a file that is a list": '{"file_path": []}',
    "a tempo without bound": '{"file_path": "b.mid", "tempo": 1e999}',
    "a tempo of 400 digits": f'{{"file_path": "b.mid", "tempo": {"9" * 400}}}',
    "a program without bound": '{"file_path": "b.mid", "programs": [1e999]}',
    "a year that is none": '{"file_path": "b.mid", "year": {}}',
    "a key that is an attack on regular expressions": f'{{"file_path": "b.mid", "key": "C{" " * 50_000}x"}}',
    "a metre that is one": f'{{"file_path": "b.mid", "metre": "{" " * 50_000}3/x"}}',
    "no object": "null",
}


def read(content: bytes, name: str = "metadata.jsonl") -> tuple[list[Row], list[Complaint]]:
    return read_rows(lambda _: content, [Entry(name, len(content), "1")])


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED)
def test_a_hostile_line_is_told_and_the_others_hold(line: str) -> None:
    rows, complaints = read(f"{line}\n{GOOD}\n".encode())
    assert rows[-1].description.artist == "Ann"
    assert [complaint.where for complaint in complaints] == ["metadata.jsonl:1"]
    assert len(str(complaints[0])) <= metadata.LONGEST_SENTENCE


lines = st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*metadata._READERS, "file_path", "x"]), inner, max_size=6)
    ),
    max_leaves=10,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=200, deadline=None)
@given(content=st.lists(lines, max_size=4).map(b"\n".join), name=st.sampled_from(["metadata.jsonl", "metadata.csv"]))
@example(content=b'file_path,artist\n"a.mid,' + b"x" * 200_000, name="metadata.csv")
@example(content=b"file_path\n\0\n", name="metadata.csv")
def test_no_metadata_ends_the_job(content: bytes, name: str) -> None:
    rows, complaints = read(content, name)
    match_rows(rows, {"a", "b/c"})
    for row in rows:
        repr(row).encode("utf-8", "backslashreplace")
        json.dumps(vars(row.description), default=dict, ensure_ascii=False).encode()
    assert all(str(complaint).isprintable() for complaint in complaints)


def test_metadata_that_is_too_large_is_not_even_read() -> None:
    def read_nothing(_: str) -> bytes:
        raise AssertionError

    rows, (complaint,) = read_rows(read_nothing, [Entry("metadata.csv", metadata.LARGEST_BYTES + 1, "1")])
    assert not rows
    assert str(complaint) == "metadata.csv: has more than 256 MiB"


def test_a_file_of_other_things_is_told_in_few_sentences(tmp_path: Path) -> None:
    records = tuple(FileRecord(f"{name}.mid", "midi", 1.0, None, None, {}) for name in "abc")
    _, complaints = read(b"x\n" * (MOST_COMPLAINTS + 500))
    units = [UnitRecord("0", records, ())]
    found = write_dataset(open_storage(str(tmp_path)), "d", Contents(units, (), complaints), Split(keep_together=[]))
    told = [warning for warning in found["warnings"] if "metadata.jsonl" in warning or "more" in warning]
    assert len(told) == MOST_COMPLAINTS + 1
    assert told[-1] == "and 500 more"


def test_what_looks_like_a_formula_or_a_path_stays_text(tmp_path: Path) -> None:
    """It is kept as it was written: nothing here is a spreadsheet, and no field but the file's names a file."""
    said = {"artist": '=HYPERLINK("http://evil")', "album": "../../etc/passwd", "cover": "@SUM(1)"}
    line = json.dumps({"file_path": "00.mid", **said})
    files = {f"{n:02d}.mid": midi(8, seed=n) for n in range(6)} | {"metadata.jsonl": line.encode()}
    track = PreparedDataset.open(prepare_files(tmp_path, files, AudioPreparation()), tmp_path / "local").tracks["00"]
    assert (track.artist, track.album, track.extra["cover"]) == tuple(said.values())


def test_a_row_that_names_a_file_elsewhere_matches_nothing() -> None:
    rows, _ = read(b'{"file_path": "../../../etc/passwd", "artist": "x"}\n{"file_path": "/etc/passwd"}\n')
    found, complaints = match_rows(rows, {"a"})
    assert not found
    assert len(complaints) == 2

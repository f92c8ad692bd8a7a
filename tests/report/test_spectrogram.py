"""A spectrogram is a small, well-formed picture whose axes say what is drawn where."""

from __future__ import annotations

import base64
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from mtj_trainer.report.png import palette_png
from mtj_trainer.report.spectrogram import BANDS, HEIGHT, LEVELS, WIDTH, spectrogram
from support.tunes import RATE, tune

Pixels = npt.NDArray[np.uint8]
RAINBOW = np.arange(256 * 4, dtype=np.uint32).reshape(256, 4).astype(np.uint8)


def decoded(png: bytes) -> tuple[Pixels, Pixels]:
    """Indices and palette, by the standard's own words."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 3, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any(), "no filter"
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    return rows[:, 1:], np.column_stack([colours, np.frombuffer(chunks[b"tRNS"], np.uint8)])


def pixels(svg: str) -> Pixels:
    """How strong each pixel is, the lowest band last."""
    (image,) = [element for element in ElementTree.fromstring(svg) if element.tag == "image"]
    return decoded(base64.b64decode(image.attrib["href"].removeprefix("data:image/png;base64,")))[0]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg) if element.tag == "text"]


@given(picture=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_png_holds_its_pixels(picture: Pixels) -> None:
    found, palette = decoded(palette_png(picture, RAINBOW))
    np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(palette, RAINBOW)


@pytest.mark.parametrize("picture", [np.zeros((0, 3), np.uint8), np.full((2, 2), 4, np.uint8)])
def test_what_no_palette_covers_is_refused(picture: Pixels) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        palette_png(picture, RAINBOW[:4])


@pytest.mark.parametrize(("hertz", "rate"), [(500, 16_000), (5_000, 44_100)])
def test_a_tone_lies_at_its_label(hertz: int, rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(3 * rate) / rate).astype(np.float32)
    svg = str(spectrogram(tone, rate, "tone"))
    strongest = pixels(svg)[:, 100].argmax() + 0.5
    label = f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
    root = ElementTree.fromstring(svg)
    (at,) = [float(e.attrib["y"]) - 4 for e in root if e.tag == "text" and e.text == label]
    (image,) = [element for element in root if element.tag == "image"]
    y = float(image.attrib["y"]) + strongest / BANDS * float(image.attrib["height"])
    assert y == pytest.approx(at, abs=2.5)


def test_sound_is_drawn_when_it_is_heard() -> None:
    audio = np.concatenate([np.zeros(2 * RATE, np.float32), tune(0, 2)])
    strength = pixels(str(spectrogram(audio, RATE, "late"))).sum(axis=0)
    middle = len(strength) // 2
    assert not strength[: middle - 4].any()
    assert (strength[middle + 4 :] > 0).all()


def test_pictures_to_be_compared_last_equally_long() -> None:
    svg = str(spectrogram(tune(0, 2), RATE, "short", seconds=8.0))
    strength = pixels(svg).sum(axis=0)
    assert not strength[len(strength) * 2 // 7 :].any()
    assert "8" in texts(svg)
    assert "8 seconds" in svg


def test_silence_is_empty() -> None:
    for audio in (np.zeros(RATE), np.zeros(0), np.full(RATE, 1e-6), np.zeros((RATE, 2))):
        assert not pixels(str(spectrogram(audio.astype(np.float32), RATE, "silence"))).any()


def test_the_picture_is_small_labelled_and_has_a_playhead() -> None:
    svg = str(spectrogram(tune(0, 30), RATE, 'a "title" & <more>'))
    assert len(svg) < 40_000
    root = ElementTree.fromstring(svg)
    assert (root.attrib["viewBox"], root.attrib["role"]) == (f"0 0 {WIDTH} {HEIGHT}", "img")
    assert 'a "title" & <more>: 30 seconds, up to 8 kHz' in root.attrib["aria-label"]
    assert [text for text in texts(svg) if text[-1] == "k" or text.isdigit()][:5] == ["100", "500", "1k", "2k", "5k"]
    (head,) = [element for element in root if element.attrib.get("class") == "playhead"]
    assert float(head.attrib["data-to"]) == WIDTH
    assert pixels(svg).max() == LEVELS - 1
    assert "url(" not in svg
    narrow = ElementTree.fromstring(str(spectrogram(tune(0, 2), RATE, "narrow", width=300)))
    assert narrow.attrib["viewBox"] == f"0 0 300 {HEIGHT}"

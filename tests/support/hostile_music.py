"""Files that were made to harm whoever reads them: a table of the known ways, and random damage to good ones.

Damage follows from a seed alone, so that a file that did harm can be made again by its number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from random import Random

import numpy as np

from support.music_folder import midi
from support.sounds import encoded, noise, silence

FURTHEST = 0x0FFFFFFF
"""The longest time that a MIDI file can say at once, in ticks."""

END = b"\0\xff\x2f\0"


def variable(number: int) -> bytes:
    """A number as MIDI files write it: seven bits a byte, the highest first."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))


def note(after: int, ticks: int, pitch: int = 60) -> bytes:
    """A note that begins so many ticks after what came before."""
    return variable(after) + bytes([0x90, pitch, 80]) + variable(ticks) + bytes([0x80, pitch, 0])


def midi_file(*tracks: bytes, division: int = 480, claimed: int | None = None) -> bytes:
    """A MIDI file of raw tracks, which says that it has ``claimed`` of them."""
    header = struct.pack(">IHHH", 6, 1, len(tracks) if claimed is None else claimed, division)
    return b"MThd" + header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


HOSTILE_MIDI: dict[str, Callable[[], bytes]] = {
    "a note after fifty years of bars": lambda: midi_file(note(0, 1) + note(FURTHEST, 1) + END, division=1),
    "a note that lasts fifty years": lambda: midi_file(note(0, FURTHEST) + END, division=1),
    "times beyond 32 bits": lambda: midi_file(note(0, 1) + note(FURTHEST, 1) * 10 + END, division=1),
    "a tempo of no time": lambda: midi_file(b"\0\xff\x51\x03\0\0\0" + note(0, 480) + END),
    "the slowest tempo": lambda: midi_file(b"\0\xff\x51\x03\xff\xff\xff" + note(0, 480) + END),
    "a metre of no beats": lambda: midi_file(b"\0\xff\x58\x04\0\2\x18\x08" + note(0, 480) + END),
    "a metre of 4 / 2^255": lambda: midi_file(b"\0\xff\x58\x04\x04\xff\x18\x08" + note(0, 480) + END),
    "a metre of 255 / 64": lambda: midi_file(b"\0\xff\x58\x04\xff\x06\x18\x08" + note(0, 480) + END),
    "no ticks a quarter note": lambda: midi_file(note(0, 480) + END, division=0),
    "ticks of film frames": lambda: midi_file(note(0, 480) + END, division=0xE728),
    "65,535 tracks that are not there": lambda: midi_file(note(0, 480) + END, claimed=65_535),
    "a track of 4 GiB that is not there": lambda: b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\xff\xff\xff\xff" + note(0, 480),
    "a text of 256 MiB that is not there": lambda: midi_file(b"\0\xff\x01" + variable(FURTHEST) + b"x" + END),
    "a message of 256 MiB that is not there": lambda: midi_file(b"\0\xf0" + variable(FURTHEST) + b"x" + END),
    "a thousand tracks": lambda: midi_file(*[note(0, 480) + END] * 1000),
    "data without a status": lambda: midi_file(b"\0" + b"\x40" * 1000 + END),
    "20,000 notes in a second": lambda: midi_file(note(0, 1) * 20_000 + END, division=30_000),
    "a name that a terminal obeys": lambda: midi_file(b"\0\xff\x03\x0a\x1b]0;mine\x07\0" + note(0, 480) + END),
}


def wav(rate: int, channels: int, bits: int, frames: int) -> bytes:
    """A wav file of silence whose header may say anything."""
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * width & 0xFFFFFFFF, width & 0xFFFF, bits)
    data = bytes(frames * width)
    size = struct.pack("<I", 36 + len(data))
    return b"RIFF" + size + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", len(data)) + data


def flac_that_says(frames: int) -> bytes:
    """A flac file whose header counts so many samples (36 bits of STREAMINFO; RFC 9639, section 8.2)."""
    whole = bytearray(encoded(noise(1.0), "flac"))
    whole[21] = whole[21] & 0xF0 | frames >> 32 & 0x0F
    whole[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(whole)


def flac_bomb() -> bytes:
    """Six hours of silence at 8 kHz, in some 600 KB."""
    return encoded(np.zeros((6 * 3600 * 8000, 1), np.float32), "flac", 8000, subtype="PCM_S8")


HOSTILE_AUDIO: dict[str, Callable[[], bytes]] = {
    "four billion samples a second": lambda: wav(0xFFFFFFFF, 1, 16, 1000),
    "no samples a second": lambda: wav(0, 1, 16, 1000),
    "one sample a second": lambda: wav(1, 1, 16, 100_000),
    "65,535 channels": lambda: wav(44_100, 0xFFFF, 8, 10),
    "1,024 channels": lambda: wav(44_100, 1024, 16, 4000),
    "no channels": lambda: wav(44_100, 0, 16, 0) + bytes(1000),
    "no bits": lambda: wav(44_100, 2, 0, 0) + bytes(1000),
    "six hours in 600 KB": flac_bomb,
    "two weeks in a header": lambda: flac_that_says((1 << 36) - 1),
    "samples that are not there": lambda: flac_that_says(44_100 * 3600),
    "a list of a million empty chunks": lambda: b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 125_000,
    "a tag of 256 MiB that is not there": lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + encoded(noise(1.0), "mp3"),
    "a megabyte of the first byte of an mp3 frame": lambda: encoded(noise(0.5), "mp3") + b"\xff" * (1 << 20),
    "pages of an ogg stream without an end": lambda: b"OggS" + bytes(22) + b"\0" + (b"OggS" + bytes(23)) * 50_000,
}

KINDS = ("wav", "flac", "ogg", "mp3", "mid")


def damaged(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many files, each with a name that says how it was made: bits flipped, bytes taken, put in, cut and joined."""
    good = {kind: encoded(np.concatenate([noise(1.5, 0.2), silence(0.2)]), kind) for kind in KINDS[:-1]}
    good["mid"] = midi(4)
    for number in range(count):
        random = Random(f"{seed}/{number}")
        kind = KINDS[number % len(KINDS)]
        yield f"{seed}-{number}.{kind}", _damage(bytearray(good[kind]), random)


def _damage(data: bytearray, random: Random) -> bytes:
    header = min(len(data), 200)  # where sizes and rates are
    for _ in range(random.randint(1, 8)):
        if not data:
            break
        at = random.randrange(header if random.random() < 0.7 else len(data)) % len(data)
        match random.randrange(6):
            case 0:
                data[at : at + 1] = bytes([data[at] ^ 1 << random.randrange(8)])
            case 1:
                data[at : at + 4] = random.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
            case 2:
                del data[at : at + random.randint(1, 64)]
            case 3:
                data[at:at] = random.randbytes(random.randint(1, 64))
            case 4:
                data[at:at] = data[at : at + random.randint(1, 2000)]
            case 5:
                del data[random.randrange(len(data) + 1) if random.random() < 0.3 else len(data) :]
    return bytes(data)

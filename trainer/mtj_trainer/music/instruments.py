"""The names of General MIDI's programs (General MIDI 1, 1991), in the words of a caption."""

from __future__ import annotations

from itertools import chain

DRUMS = 128
"""The program under which a drum kit is listed."""

_FAMILIES = (
    ("grand piano", "bright piano", "electric grand piano", "honky-tonk piano"),
    ("electric piano", "electric piano", "harpsichord", "clavinet"),
    ("celesta", "glockenspiel", "music box", "vibraphone", "marimba", "xylophone", "tubular bells", "dulcimer"),
    ("drawbar organ", "percussive organ", "rock organ", "church organ"),
    ("reed organ", "accordion", "harmonica", "tango accordion"),
    ("nylon guitar", "steel guitar", "jazz guitar", "clean electric guitar"),
    ("muted electric guitar", "overdriven guitar", "distorted guitar", "guitar harmonics"),
    ("acoustic bass", "fingered bass", "picked bass", "fretless bass"),
    ("slap bass", "slap bass", "synth bass", "synth bass"),
    ("violin", "viola", "cello", "contrabass", "tremolo strings", "pizzicato strings", "harp", "timpani"),
    ("string ensemble", "string ensemble", "synth strings", "synth strings"),
    ("choir", "voice", "synth voice", "orchestra hit"),
    ("trumpet", "trombone", "tuba", "muted trumpet", "horn", "brass section", "synth brass", "synth brass"),
    ("soprano saxophone", "alto saxophone", "tenor saxophone", "baritone saxophone"),
    ("oboe", "english horn", "bassoon", "clarinet"),
    ("piccolo", "flute", "recorder", "pan flute", "bottle", "shakuhachi", "whistle", "ocarina"),
    (
        "square lead",
        "saw lead",
        "calliope lead",
        "chiff lead",
        "charang lead",
        "voice lead",
        "fifths lead",
        "bass lead",
    ),
    ("new age pad", "warm pad", "polysynth pad", "choir pad", "bowed pad", "metallic pad", "halo pad", "sweep pad"),
    ("rain effect", "soundtrack effect", "crystal effect", "atmosphere effect"),
    ("brightness effect", "goblins effect", "echoes effect", "science fiction effect"),
    ("sitar", "banjo", "shamisen", "koto", "kalimba", "bagpipe", "fiddle", "shanai"),
    ("tinkle bell", "agogo", "steel drums", "woodblock", "taiko drum", "melodic tom", "synth drum", "reverse cymbal"),
    ("fret noise", "breath noise", "seashore", "bird tweet", "telephone", "helicopter", "applause", "gunshot"),
)

PROGRAM_NAMES: tuple[str, ...] = (*chain.from_iterable(_FAMILIES), "drums")
"""(129,) a name for each of the programs from 0, and for ``DRUMS``; neighbours that sound alike share one."""

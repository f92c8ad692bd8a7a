"""``spec.dataset``: where the music comes from and how it becomes training data (guide: Data Preparation)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mtj_api.spec.base import Distinct, Rule, SpecModel, Url, derived
from mtj_api.spec.reference import JobReference

Feature = Literal[
    "mel",
    "mfcc",
    "chroma",
    "spectralContrast",
    "onsetStrength",
    "tempo",
    "key",
    "loudness",
    "dynamicRange",
]
Modality = Literal["audio", "midi"]
MetadataField = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Segmentation(SpecModel):
    """How long recordings are cut into training segments."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minSeconds <= self.maxSeconds",
            lambda s: s.min_seconds <= s.max_seconds,
            "minSeconds must not exceed maxSeconds",
            "minSeconds",
        ),
        Rule(
            "self.overlapSeconds < self.minSeconds",
            lambda s: s.overlap_seconds < s.min_seconds,
            "overlapSeconds must be less than minSeconds",
            "overlapSeconds",
        ),
    )

    min_seconds: float = Field(default=10.0, ge=0.5, le=600.0)
    """Shortest segment; a recording that is shorter as a whole is left out and counted."""
    max_seconds: float = Field(default=30.0, ge=0.5, le=600.0)
    """Longest segment."""
    overlap_seconds: float = Field(default=1.0, ge=0.0, le=60.0)
    """What a segment repeats of the one before it."""
    boundaries: Literal["phrase", "beat", "none"] = "phrase"
    """Where cuts are placed: at phrase ends, else at beats, else at equal lengths."""


class AudioPreparation(SpecModel):
    """How recordings (wav, flac, ogg, mp3) are standardized."""

    sample_rate: int = derived(ge=8_000, le=192_000)
    """Samples a second after resampling; a codec works at this rate."""
    channels: int = derived(ge=1, le=2)
    """1 mixes down to mono, 2 keeps or makes stereo."""
    bit_depth: Literal[16, 24] = 16
    """Bits a sample of the stored FLAC."""
    loudness_lufs: float = Field(default=-14.0, ge=-36.0, le=-6.0)
    """Integrated loudness (ITU-R BS.1770) that each recording is brought to."""
    peak_dbfs: float = Field(default=-1.0, ge=-12.0, le=0.0)
    """Peaks are limited to this level."""
    trim_silence: bool = True
    """Cut silence from both ends."""
    fade_seconds: float = Field(default=0.01, ge=0.0, le=5.0)
    """Fade at both ends of each segment, against clicks."""
    segment: Segmentation = Field(default_factory=Segmentation)
    """How recordings are cut."""
    features: Annotated[list[Feature], Field(max_length=9), Distinct] = Field(default_factory=list)
    """Features stored beside each segment."""


class MidiPreparation(SpecModel):
    """How MIDI files are cleaned and tokenized."""

    tokenizer: Literal["remi", "grid"] = "remi"
    """``remi``: bar, position, pitch, velocity, duration (miditok). ``grid``: one token a voice and step."""
    steps_per_beat: int = derived(ge=1, le=24)
    """Quantization: steps a quarter note."""
    velocity_bins: int = Field(default=8, ge=1, le=127)
    """Velocities are rounded to this many levels."""
    voices: int = Field(default=4, ge=1, le=16)
    """Voices of the grid, from the highest part to the lowest; other pieces are left out and counted."""


class Augmentation(SpecModel):
    """Variations made while training; never of validation or test data."""

    transpose_semitones: int = derived(ge=0, le=12)
    """Each MIDI sequence is transposed by a random interval of at most this size, up or down."""


class Split(SpecModel):
    """How tracks are divided among training, validation and test."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.train + self.validation + self.test > 0.999 && self.train + self.validation + self.test < 1.001",
            lambda s: abs(s.train + s.validation + s.test - 1.0) < 0.001,
            "train, validation and test must add up to 1, as 0.8, 0.1 and 0.1 do",
        ),
    )

    train: float = Field(default=0.8, gt=0.0, le=1.0)
    """Part of the tracks that the model learns from."""
    validation: float = Field(default=0.1, gt=0.0, le=1.0)
    """Part that chooses the best weights."""
    test: float = Field(default=0.1, gt=0.0, le=1.0)
    """Part that only the evaluation sees."""
    keep_together: Annotated[list[MetadataField], Field(max_length=8), Distinct] = Field(
        default_factory=lambda: ["artist", "album"]
    )
    """Tracks that share a value of one of these metadata fields are never on two sides."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Another seed gives another split."""


class Workers(SpecModel):
    """Ray workers that prepare files in parallel."""

    count: int = Field(default=2, ge=1, le=1024)
    """Files prepared at a time, over all machines."""
    nodes: int = Field(default=1, ge=1, le=256)
    """Machines that prepare together, a pod each on a cluster; one machine prepares alone whatever this says."""


class Dataset(SpecModel):
    """The music."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.source), has(self.importer), has(self.prepared), has(self.from)].filter(x, x).size() == 1",
            lambda d: [d.source, d.importer, d.prepared, d.from_job].count(None) == 3,
            "give one of source, a folder or prefix of audio and MIDI, importer, such as bach-chorales, or from, "
            "another job's data",
        ),
    )

    source: Url | None = None
    """A folder or prefix of audio (wav, flac, ogg, mp3) and MIDI, with an optional metadata.jsonl or .csv."""
    importer: Literal["bach-chorales"] | None = None
    """A named collection instead of a source."""
    from_job: JobReference | None = Field(default=None, alias="from")
    """The data that another job prepared, as it prepared them: what is said of preparation here has no effect."""
    prepared: Url | None = None
    """The same by the other job's output."""
    cache: Url = derived()
    """Where prepared data lies, under the hash of what made it; jobs may share it."""
    modalities: Annotated[list[Modality], Field(min_length=1, max_length=2), Distinct] = derived()
    """What to prepare of what is found."""
    audio: AudioPreparation = Field(default_factory=AudioPreparation)
    midi: MidiPreparation = Field(default_factory=MidiPreparation)
    augmentation: Augmentation = Field(default_factory=Augmentation)
    split: Split = Field(default_factory=Split)
    workers: Workers = Field(default_factory=Workers)

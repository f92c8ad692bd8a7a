"""The first thing a reader sees: whether the model is better than its baselines, in words and as bars."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from mtj_trainer.report.charts import Bar, bar_chart
from mtj_trainer.report.figures import CONTESTANTS, Figures
from mtj_trainer.report.numbers import duration, short

NAMES = {
    "baseline.ngram.": "the 5-gram",
    "baseline.griffin_lim.": "Griffin-Lim",
    "baseline.untrained.": "the untrained model",
    "baseline.pretrained.": "the model before fine-tuning",
}
"""What rivals are called in a sentence."""


@dataclass(frozen=True)
class Contest:
    """The figure by which a family's models are judged first; less is better.

    Attributes:
        name: of the model's figure.
        own: the part of the name that falls away for a rival.
        unit: what it counts.
        sentence: says what ``value`` of it was found in ``count`` pieces.
        counted: the figure with how many pieces it was measured on.
        noun: what these are.
    """

    name: str
    own: str
    unit: str
    sentence: str
    counted: str
    noun: str

    def of(self, rival: str) -> str:
        """The name of a rival's figure; empty is the model."""
        return rival + self.name.removeprefix(self.own) if rival else self.name


CONTESTS = (
    Contest(
        "reconstruction.stft_distance",
        "reconstruction.",
        "multi-resolution STFT distance",
        "{count} {noun} come back at a spectral distance of {value}",
        "heldout.clips",
        "held-out clips",
    ),
    Contest(
        "fad.spectrogram",
        "",
        "Fréchet audio distance",
        "What it plays for the texts of {count} {noun} is at a Fréchet distance of {value} from them",
        "heldout.clips",
        "held-out clips",
    ),
    Contest(
        "heldout.nll",
        "heldout.",
        "nats a token",
        "On {count} {noun} it needs {value} nats a token",
        "heldout.pieces",
        "held-out pieces",
    ),
)
"""The first whose figure is there counts."""

CLEAR = 2.0
"""Standard errors of the difference, piece by piece, that a gain must exceed to be called one."""


@dataclass(frozen=True)
class Tile:
    """A number with its name."""

    value: str
    label: str


def verdict(figures: Figures) -> tuple[str, str]:
    """A headline and a sentence about held-out music; of the data alone where nothing was trained."""
    contest = _contest(figures)
    if contest is None:
        if "train.steps" in figures:
            return "Trained, not measured", "The test split holds no piece, so there is no held-out music to judge by."
        return _data_verdict(figures)
    known = [rival for rival in NAMES if contest.of(rival) in figures]
    results = {rival: _compare(figures, contest, rival) for rival in known}
    against = " and ".join(f"{short(figures[contest.of(rival)])} for {NAMES[rival]}" for rival in known)
    sentence = contest.sentence.format(
        count=f"{figures.get(contest.counted, 0):,.0f}", noun=contest.noun, value=short(figures[contest.name])
    )
    sentence += f", against {against}." if against else "."
    if not known:
        return "Measured on held-out music", sentence
    if all(result == "better" for result in results.values()):
        return ("Better than both baselines" if len(known) == 2 else "Better than every baseline"), sentence
    worse = [NAMES[rival] for rival, result in results.items() if result == "worse"]
    if worse:
        return f"Not better than {' or '.join(worse)}", sentence
    equal = [NAMES[rival] for rival, result in results.items() if result == "equal"]
    return f"No clear gain over {' or '.join(equal)}", sentence


def contest_bars(figures: Figures) -> Markup:
    """The figure that is judged by, of the model, its rivals, and what bounds it."""
    contest = _contest(figures)
    if contest is None:
        return Markup()
    bars = []
    for prefix, name in CONTESTANTS.items():
        key = contest.of(prefix)
        if key in figures:
            style = "muted" if prefix else "accent"
            bars.append(Bar(name, figures[key], style, figures.get(f"{key}.standard_error", 0.0)))
    return bar_chart(bars, title=f"{contest.unit[0].upper()}{contest.unit[1:]}, held out (less is better)")


def tiles(figures: Figures) -> list[Tile]:
    """The few numbers that tell what kind of run this was."""
    found = []
    contest = _contest(figures)
    if contest is not None:
        found.append(Tile(short(figures[contest.name]), f"{contest.unit}, held out"))
    if "heldout.accuracy" in figures:
        found.append(Tile(f"{figures['heldout.accuracy']:.0%}", "held-out tokens guessed right"))
    if "model.parameters" in figures:
        found.append(Tile(f"{figures['model.parameters']:,.0f}", "parameters"))
    if "train.steps" in figures:
        found.append(Tile(f"{figures['train.steps']:,.0f}", "training steps"))
    if "train.seconds" in figures:
        found.append(Tile(duration(figures["train.seconds"]), "of training"))
    if "prepare.tracks" in figures:
        found.append(Tile(f"{figures['prepare.tracks']:,.0f}", "tracks"))
    hours = figures.get("prepare.hours.audio", 0.0) + figures.get("prepare.hours.midi", 0.0)
    if hours:
        found.append(Tile(duration(hours * 3600), "of music"))
    if "prepare.quarantined" in figures:
        found.append(Tile(f"{figures['prepare.quarantined']:,.0f}", "files left out"))
    return found


def _contest(figures: Figures) -> Contest | None:
    return next((contest for contest in CONTESTS if contest.name in figures), None)


def _compare(figures: Figures, contest: Contest, rival: str) -> str:
    own, other = contest.name, contest.of(rival)
    gain = figures[other] - figures[own]
    noise = figures.get(f"{rival}gain.standard_error", 0.0)
    if not noise:
        noise = math.hypot(*(figures.get(f"{name}.standard_error", 0.0) for name in (own, other)))
    if gain > CLEAR * noise:
        return "better"
    return "worse" if gain <= 0 else "equal"


def _data_verdict(figures: Figures) -> tuple[str, str]:
    tracks, left_out = figures.get("prepare.tracks", 0), figures.get("prepare.quarantined", 0)
    headline = f"{tracks:,.0f} tracks are prepared"
    if not left_out:
        return headline, "Every file that was found could be used."
    files = "One file was" if left_out == 1 else f"{left_out:,.0f} files were"
    return headline, f"{files} left out; the reasons are below."

"""The first thing a reader sees: whether the model is better than its baselines, in words and as bars."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from mtj_trainer.report.charts import Bar, bar_chart
from mtj_trainer.report.figures import CONTESTANTS, Figures
from mtj_trainer.report.numbers import duration, short

RIVALS = ("baseline.ngram.", "baseline.untrained.", "baseline.pretrained.")

NAMES = {
    "baseline.ngram.": "the 5-gram",
    "baseline.untrained.": "the untrained model",
    "baseline.pretrained.": "the model before fine-tuning",
}

CLEAR = 2.0
"""Standard errors of the difference, piece by piece, that a gain must exceed to be called one."""


@dataclass(frozen=True)
class Tile:
    """A number with its name."""

    value: str
    label: str


def verdict(figures: Figures) -> tuple[str, str]:
    """A headline and a sentence about held-out music; of the data alone where nothing was trained."""
    if "heldout.nll" not in figures:
        if "train.steps" in figures:
            return "Trained, not measured", "The test split holds no piece, so there is no held-out music to judge by."
        return _data_verdict(figures)
    own = figures["heldout.nll"]
    known = [rival for rival in RIVALS if f"{rival}nll" in figures]
    results = {rival: _compare(figures, rival) for rival in known}
    against = " and ".join(f"{short(figures[f'{rival}nll'])} for {NAMES[rival]}" for rival in known)
    music = f"{figures.get('heldout.pieces', 0):,.0f} held-out pieces"
    sentence = f"On {music} it needs {short(own)} nats a token" + (f", against {against}." if against else ".")
    if not known:
        return "Measured on held-out music", sentence
    if all(result == "better" for result in results.values()):
        return ("Better than both baselines" if len(known) == 2 else "Better than every baseline"), sentence
    worse = [NAMES[rival] for rival, result in results.items() if result == "worse"]
    if worse:
        return f"Not better than {' or '.join(worse)}", sentence
    equal = [NAMES[rival] for rival, result in results.items() if result == "equal"]
    return f"No clear gain over {' or '.join(equal)}", sentence


def loss_bars(figures: Figures) -> Markup:
    """Held-out loss of the model and its baselines."""
    bars = []
    for prefix, name in CONTESTANTS.items():
        key = f"{prefix or 'heldout.'}nll"
        if key in figures and prefix != "floor.":
            error = figures.get(f"{key}.standard_error", 0.0)
            bars.append(Bar(name, figures[key], "muted" if prefix else "accent", error))
    return bar_chart(bars, title="Held-out loss, nats a token (less is better)")


def tiles(figures: Figures) -> list[Tile]:
    """The few numbers that tell what kind of run this was."""
    found = []
    if "heldout.nll" in figures:
        found.append(Tile(short(figures["heldout.nll"]), "nats a held-out token"))
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


def _compare(figures: Figures, rival: str) -> str:
    gain = figures[f"{rival}nll"] - figures["heldout.nll"]
    noise = CLEAR * figures.get(f"{rival}gain.standard_error", 0.0)
    if gain > noise:
        return "better"
    return "worse" if gain <= 0 else "equal"


def _data_verdict(figures: Figures) -> tuple[str, str]:
    tracks, left_out = figures.get("prepare.tracks", 0), figures.get("prepare.quarantined", 0)
    headline = f"{tracks:,.0f} tracks are prepared"
    if not left_out:
        return headline, "Every file that was found could be used."
    files = "One file was" if left_out == 1 else f"{left_out:,.0f} files were"
    return headline, f"{files} left out; the reasons are below."

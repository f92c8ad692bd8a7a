"""What turns a clip into points whose distances mean something: the ``spectrogram``, ``clap`` and ``encodec``.

Invariant: an embedding is a pure function of the samples; the same clip gives the same numbers in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from mtj_api import JobError
from mtj_trainer.evaluate.audio.mel import log_mel
from mtj_trainer.families.quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import ClapModel, EncodecModel

Floats = npt.NDArray[np.float32]

Embedded = Sequence[npt.ArrayLike] | npt.NDArray[Any]
"""The (frames, D) points of each clip; as many frames as the clip is long."""

WEIGHTS = {"clap": "laion/larger_clap_music", "encodec": "facebook/encodec_32khz"}
"""The weights that an embedder takes by default, which are those of published figures."""


class Embedder(Protocol):
    """Turns a clip into points.

    Attributes:
        name: as figures are named after it.
        rate: samples a second that it wants.
    """

    @property
    def name(self) -> str: ...

    @property
    def rate(self) -> int: ...

    def embed(self, audio: Floats) -> Floats:
        """(frames, D), at least one frame, of (n,) samples in -1 to 1 at ``rate``."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """An embedder whose space has texts in it too."""

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """(len(texts), D), each of length 1, to compare with clips by cosine."""
        ...


def make_embedder(name: str, weights: str | None = None, device: torch.device | str = "cpu") -> Embedder:
    """The embedder of this name.

    Args:
        name: ``spectrogram``, ``clap`` or ``encodec``.
        weights: a ``save_pretrained`` folder or a hub's ``owner/name``; ``WEIGHTS`` by default.

    Raises:
        JobError: no embedder has this name, or its weights are not at hand.
    """
    if name == "spectrogram":
        return SpectrogramEmbedder()
    if name not in WEIGHTS:
        raise JobError(
            f"there is no embedder {name}",
            where="spec.evaluation.embedders",
            instead=f"write one of spectrogram, {', '.join(WEIGHTS)}",
        )
    place = weights or WEIGHTS[name]
    quiet_transformers()
    try:
        return ClapEmbedder(place, device) if name == "clap" else EncodecEmbedder(place, device)
    except (OSError, ValueError) as error:
        raise JobError(
            f"the weights of {name} are not at hand: {place} is neither the folder of a saved model nor in the hub",
            where="spec.evaluation.embedders",
            instead="leave it out (spectrogram needs no weights), or fetch them into the hub's cache beforehand",
        ) from error


class SpectrogramEmbedder:
    """Statistics of a log-mel spectrogram over windows of one second, every half second: 48 numbers, in dB.

    Of 16 bands, equally wide on the mel scale up to 8 kHz: the mean level, its standard deviation, and the mean
    size of its change from one 16 ms frame to the next. So: timbre and balance, dynamics, and how busy it is. It knows
    nothing of harmony or style. So few numbers, because a covariance of D dimensions asks for more than D windows.
    A clip shorter than a window is one window.
    """

    name = "spectrogram"
    rate = 16_000
    bands = 16
    dimensions = 3 * bands

    _FFT, _HOP = 1024, 256
    _WINDOW, _STEP = 63, 31  # frames: 1.0 s and 0.5 s

    def embed(self, audio: Floats) -> Floats:
        level = log_mel(audio, self.rate, bands=self.bands, window=self._FFT, hop=self._HOP)
        change = np.abs(np.diff(level, axis=1, prepend=level[:, :1]))
        width = min(self._WINDOW, level.shape[1])
        windows = np.lib.stride_tricks.sliding_window_view(level, width, axis=1)[:, :: self._STEP]
        moves = np.lib.stride_tricks.sliding_window_view(change, width, axis=1)[:, :: self._STEP]
        statistics = [windows.mean(axis=-1), windows.std(axis=-1), moves.mean(axis=-1)]
        return np.concatenate(statistics).T.astype(np.float32)


class ClapEmbedder:
    """CLAP's joint space of music and text (Wu et al. 2023): one point of length 1 for every ten seconds.

    A remainder of five seconds or more is a point too; what is shorter is repeated to fill its ten seconds only where
    it is the whole clip.

    Raises:
        OSError: there is no such model.
    """

    name = "clap"

    def __init__(self, weights: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

        self._extractor: Any = AutoFeatureExtractor.from_pretrained(weights, trust_remote_code=False)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(weights, trust_remote_code=False)
        self._model: ClapModel = ClapModel.from_pretrained(weights, use_safetensors=True).to(device).eval()
        self._device = device

    @property
    def rate(self) -> int:
        return int(self._extractor.sampling_rate)

    def embed(self, audio: Floats) -> Floats:
        length = int(self._extractor.nb_max_samples)
        whole, rest = divmod(len(audio), length)
        count = max(1, whole + (2 * rest >= length))
        # The extractor cuts what is longer than its window at random places; pieces of its length it leaves alone.
        pieces = [audio[index * length : (index + 1) * length] for index in range(count)]
        inputs = self._extractor(pieces, sampling_rate=self.rate, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _unit(self._model.get_audio_features(**inputs))

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        inputs = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _unit(self._model.get_text_features(**inputs))


class EncodecEmbedder:
    """What EnCodec's encoder says before its quantizer (Defossez et al. 2022): one point a frame, as it is published.

    Raises:
        OSError: there is no such model.
    """

    name = "encodec"

    def __init__(self, weights: str, device: torch.device | str = "cpu") -> None:
        from transformers import EncodecModel

        self._model: EncodecModel = EncodecModel.from_pretrained(weights, use_safetensors=True).to(device).eval()
        self._device = device

    @property
    def rate(self) -> int:
        return int(self._model.config.sampling_rate)

    def embed(self, audio: Floats) -> Floats:
        channels = int(self._model.config.audio_channels)
        samples = torch.from_numpy(np.array(audio, dtype=np.float32)).to(self._device)
        with torch.inference_mode():
            frames = self._model.encoder(samples.expand(1, channels, -1))[0]
        return np.asarray(frames.T.float().cpu().numpy())


def _unit(features: Any) -> Floats:
    """(n, D) of length 1, of what the model returns: a tensor, or an output that carries it."""
    rows = features if isinstance(features, torch.Tensor) else features.pooler_output
    return np.asarray(torch.nn.functional.normalize(rows, dim=-1).float().cpu().numpy())

"""A neural codec for inference: audio to codes and back, whoever trained it.

Invariant: N samples are ceil(N / hop) frames, and T frames are T * hop samples. A second has sample_rate / hop frames.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from mtj_api import JobError
from mtj_trainer.families.quiet import quiet_transformers
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage
from mtj_trainer.storage.local import on_this_machine

if TYPE_CHECKING:
    from transformers import DacModel, EncodecModel

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Codec(Protocol):
    """A codec with residual quantization: each codebook refines what the ones before it say.

    Attributes:
        sample_rate: samples a second.
        channels: of the audio, 1 for mono.
        codebooks: codes a frame, the coarsest first.
        codebook_size: a code is from 0 to below it.
        hop: samples a frame.
    """

    sample_rate: int
    channels: int
    codebooks: int
    codebook_size: int
    hop: int

    def encode(self, audio: Tensor) -> Tensor:
        """(B, channels, N) in -1 to 1 to (B, codebooks, T) int64; silence fills the last frame.

        Raises:
            ValueError: the audio is empty or has other channels.
        """
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """(B, codebooks, T) to (B, channels, T * hop) float32."""
        ...

    def to(self, device: torch.device) -> Self:
        """Itself, computing on ``device``, to which it also takes what it is given."""
        ...


def load_codec(folder: Storage) -> Codec:
    """The codec in a folder that ``save_pretrained`` wrote: ``config.json`` and ``model.safetensors``.

    Raises:
        JobError: there is no codec, or one that MusicGen's kind of model cannot use.
    """
    from transformers import DacModel, EncodecModel  # takes seconds to import

    quiet_transformers()
    try:
        kind = json.loads(folder.read(CONFIG)).get("model_type")
    except FileNotFoundError:
        raise JobError("there is no codec here", where=folder.url, instead="name a folder with config.json") from None
    except ValueError as error:
        raise JobError(f"config.json cannot be read ({error})", where=folder.url, instead="publish it again") from None
    classes: dict[str, Any] = {"dac": DacModel, "encodec": EncodecModel}
    if kind not in classes:
        raise JobError(
            f"this is no codec but a model of type {kind!r}",
            where=folder.url,
            instead="name one of type dac or encodec",
        )
    with on_this_machine(folder, work_dir()) as files, tempfile.TemporaryDirectory(prefix="codec-") as local:
        try:
            for name in (CONFIG, WEIGHTS):  # alone, whatever lies beside them
                if not (files / name).is_file():
                    raise FileNotFoundError(name)
                (Path(local) / name).symlink_to((files / name).resolve())
            module, found = classes[kind].from_pretrained(
                local, use_safetensors=True, local_files_only=True, output_loading_info=True, dtype="float32"
            )
        except FileNotFoundError:
            raise JobError(f"{WEIGHTS} is not here", where=folder.url, instead="publish the codec again") from None
        except (ValueError, RuntimeError, SafetensorError) as error:
            raise JobError(
                f"this codec cannot be read ({error})", where=folder.url, instead="publish it again"
            ) from None
    if found["missing_keys"]:
        missing = ", ".join(sorted(found["missing_keys"])[:3])
        raise JobError(f"{WEIGHTS} lacks weights ({missing})", where=folder.url, instead="publish the codec again")
    try:
        return codec_of(module)
    except ValueError as error:
        raise JobError(str(error), where=folder.url, instead="name a codec without it") from None


def codec_of(module: nn.Module) -> Codec:
    """The codec in a ``DacModel`` or an ``EncodecModel``, such as the ``audio_encoder`` of a MusicGen.

    The module itself is used, in eval mode and without gradients.

    Raises:
        ValueError: it is neither, or it says more than codes (EnCodec at 48 kHz has a loudness for each chunk).
    """
    from transformers import DacModel, EncodecModel  # takes seconds to import

    if isinstance(module, DacModel):
        return DacCodec(module)
    if isinstance(module, EncodecModel):
        return EncodecCodec(module)
    raise ValueError(f"a {type(module).__name__} is no codec known here")


class DacCodec:
    """See ``Codec``: the Descript Audio Codec (Kumar et al. 2023, arXiv 2306.06546), always mono."""

    channels = 1

    def __init__(self, module: DacModel) -> None:
        config = module.config
        self.module = module.eval()
        self.sample_rate: int = config.sampling_rate
        self.codebooks: int = config.n_codebooks
        self.codebook_size: int = config.codebook_size
        self.hop: int = config.hop_length

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """See ``Codec.encode``."""
        whole = whole_frames(audio, self.channels, self.hop).to(self.module.device)
        codes: Tensor = self.module.encode(whole).audio_codes
        return codes

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """See ``Codec.decode``."""
        audio: Tensor = self.module.decode(audio_codes=codes.to(self.module.device)).audio_values
        # A transposed convolution with an odd stride is a sample short, here and in Descript's own models.
        length = codes.shape[-1] * self.hop
        return F.pad(audio.float(), (0, length - audio.shape[-1]))[:, None]

    def to(self, device: torch.device) -> Self:
        """See ``Codec.to``."""
        self.module.to(device)
        return self


class EncodecCodec:
    """See ``Codec``: EnCodec (Défossez et al. 2022, arXiv 2210.13438) at its highest bandwidth, with all codebooks."""

    def __init__(self, module: EncodecModel) -> None:
        config = module.config
        if config.normalize or config.chunk_length_s is not None:
            raise ValueError("this EnCodec normalizes or cuts its audio, which codes alone cannot undo")
        self.module = module.eval()
        self._bandwidth = max(config.target_bandwidths)
        self.sample_rate: int = config.sampling_rate
        self.channels: int = config.audio_channels
        self.codebooks: int = module.quantizer.get_num_quantizers_for_bandwidth(self._bandwidth)
        self.codebook_size: int = config.codebook_size
        self.hop: int = config.hop_length

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """See ``Codec.encode``."""
        whole = whole_frames(audio, self.channels, self.hop).to(self.module.device)
        codes: Tensor = self.module.encode(whole, bandwidth=self._bandwidth).audio_codes[0]
        return codes

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """See ``Codec.decode``."""
        audio: Tensor = self.module.decode(codes.to(self.module.device)[None], [None]).audio_values
        return audio.float()

    def to(self, device: torch.device) -> Self:
        """See ``Codec.to``."""
        self.module.to(device)
        return self


def whole_frames(audio: Tensor, channels: int, hop: int) -> Tensor:
    """(B, channels, N) with silence after it up to a multiple of ``hop``.

    Raises:
        ValueError: N is 0, or the shape is another.
    """
    if audio.ndim != 3 or audio.shape[1] != channels or not audio.shape[-1]:
        raise ValueError(f"expected (batch, {channels}, samples) of audio, not {tuple(audio.shape)}")
    return F.pad(audio, (0, -audio.shape[-1] % hop))

"""The models that recordings and captions go through: which they are, and the codec where every worker finds it.

A codec comes by itself, or inside a MusicGen beside a frozen text encoder. Its weights are copied to the cache under
their fingerprint, so that workers need not load a whole MusicGen for it, the codes' reader finds what made them, and
codes are shared wherever the same codec comes from. What was found in a place is noted under the versions of its files:
a rerun loads no model to know which it is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtj_api import JobError
from mtj_api.spec import Model
from mtj_trainer.prepare.codes.dataset import CodesInfo
from mtj_trainer.prepare.units import stable_hash
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage

if TYPE_CHECKING:
    from torch import nn

    from mtj_trainer.families.musicgen.complete import MusicGen

CODECS, NOTES = "codes/codecs", "codes/encoders"
"""Below the cache."""

WEIGHTS = "model.safetensors"

NOTE_VERSION = 1

_NAMES = {"dac": "DAC", "encodec": "EnCodec"}
_UNREAD = frozenset({"transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures"})
"""What a configuration says of how it was saved."""


@dataclass(frozen=True)
class Encoders:
    """A codec, and a text encoder or none.

    Attributes:
        codec: fingerprint of the codec.
        kind: its ``model_type``.
        info: what its codes are of; of a stereo MusicGen both channels' codebooks.
        text_encoder: fingerprint of the text encoder and its tokenizer; ``None`` without one.
    """

    codec: str
    kind: str
    info: CodesInfo
    text_encoder: str | None

    @property
    def name(self) -> str:
        """The codec, as a person calls it."""
        return f"{_NAMES.get(self.kind, self.kind)} {self.info.sample_rate / 1000:g} kHz"

    def codec_url(self, cache: Storage) -> str:
        """The folder with the codec."""
        return cache.child(f"{CODECS}/{self.codec}").url


def find_encoders(model: Model, cache: Storage) -> Encoders:
    """The encoders that a model of the MusicGen family needs; the codec is in the cache when this returns.

    Raises:
        JobError: there is no codec where the job says.
    """
    place, where = _place(model)
    version = _version(place)
    note = f"{NOTES}/{version}.json"
    if version is not None and cache.exists(note):
        values = json.loads(cache.read(note))
        found = Encoders(**{**values, "info": CodesInfo(**values["info"])})
        if cache.exists(f"{CODECS}/{found.codec}/{WEIGHTS}"):
            return found
    try:
        found = _take_in(model, cache)
    except StorageUnavailable:
        raise
    except JobError as error:
        raise error if error.where.startswith("spec.") else error.at(where) from None
    if version is not None:
        cache.write(note, json.dumps(asdict(found)).encode())
    return found


def load_checkpoint(model: Model) -> MusicGen:
    """The MusicGen that a job starts from; without its adaptation, which no encoder has a part in."""
    from mtj_trainer.families.musicgen.pretrained import load_pretrained

    return load_pretrained(_place(model)[0])


def fingerprint(module: nn.Module) -> str:
    """A hash of a model's weights and of what its configuration says of them, wherever it was saved."""
    import torch

    config: dict[str, Any] = module.config.to_diff_dict()  # type: ignore[union-attr, operator]
    said = {name: value for name, value in config.items() if name not in _UNREAD}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for name, weights in sorted(module.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)  # NumPy has no bfloat16
    return digest.hexdigest()[:32]


def _place(model: Model) -> tuple[str, str]:
    """Where the codec is, and the field that says so."""
    if model.codec is not None:
        assert model.codec.url is not None  # a job's name has become the URL of its model
        return model.codec.url, "spec.model.codec"
    from mtj_trainer.adaptation import base_of, holds_adaptation

    place = model.pretrained
    assert place is not None  # a rule of the spec
    while not _is_on_hub(place) and holds_adaptation(open_storage(place)):
        base = base_of(open_storage(place))
        if base is None:
            raise JobError(
                "this adaptation does not say which model it belongs to",
                where="spec.model.pretrained",
                instead="publish it again, or merge it",
            )
        place = base
    return place, "spec.model.pretrained"


def _version(place: str) -> str | None:
    """Changes with the files at a place; ``None`` where that is not known."""
    if _is_on_hub(place):
        from huggingface_hub import snapshot_download

        try:
            commit = Path(snapshot_download(place, allow_patterns=["config.json"])).name
        except Exception:  # of several kinds; whoever loads the model says what is wrong
            return None
        return stable_hash(NOTE_VERSION, place, commit)
    storage = open_storage(place)
    return stable_hash(NOTE_VERSION, storage.url, [[e.key, e.size, e.version] for e in storage.list()])


def _is_on_hub(place: str) -> bool:
    from mtj_trainer.families.musicgen.pretrained import HUB_NAME

    return HUB_NAME.fullmatch(place) is not None


def _take_in(model: Model, cache: Storage) -> Encoders:
    from mtj_trainer.families.codec.codec import DacCodec, EncodecCodec, codec_of, load_codec

    if model.codec is not None:
        codec, text_encoder, channels = load_codec(open_storage(str(model.codec.url))), None, 0
    else:
        whole = load_checkpoint(model)
        try:
            codec, channels = codec_of(whole.complete.audio_encoder), whole.channels
        except ValueError as error:
            raise JobError(str(error), where="spec.model.pretrained", instead="start from another model") from None
        text_encoder = text_fingerprint(whole)
    assert isinstance(codec, DacCodec | EncodecCodec)
    name = fingerprint(codec.module)
    _save(codec.module, cache.child(f"{CODECS}/{name}"))
    channels = max(channels, codec.channels)
    info = CodesInfo(
        codebooks=codec.codebooks * channels // codec.channels,
        codebook_size=codec.codebook_size,
        hop=codec.hop,
        sample_rate=codec.sample_rate,
        channels=channels,
    )
    return Encoders(name, codec.module.config.model_type, info, text_encoder)


def text_fingerprint(whole: MusicGen) -> str:
    """A hash of a MusicGen's text encoder and tokenizer."""
    return stable_hash(fingerprint(whole.complete.text_encoder), sorted(whole.tokenizer.get_vocab().items()))


def _save(module: Any, folder: Storage) -> None:
    """In the form of ``save_pretrained``, which would import DeepSpeed to look for a model of its own; weights last."""
    from safetensors.torch import save as save_tensors

    weights = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    folder.write("config.json", module.config.to_json_string().encode())
    folder.write(WEIGHTS, save_tensors(weights, {"format": "pt"}))

"""A whole MusicGen as files, in transformers' own form: whoever has transformers can load it by its usual call.

With an EnCodec inside, ``MusicgenForConditionalGeneration`` generates from the folder as well. With a DAC it loads and
trains, but its ``generate`` decodes codes as only EnCodec takes them; ``generate.generate_audio`` here takes both.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from mtj_api import JobError
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.melody import CHROMA, ChromaSettings
from mtj_trainer.families.quiet import quiet_transformers
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage
from mtj_trainer.storage.local import on_this_machine

WEIGHTS, CONFIG = "model.safetensors", "config.json"

MODEL_TYPES = {
    "musicgen": "MusicgenForConditionalGeneration",
    "musicgen_melody": "MusicgenMelodyForConditionalGeneration",
}

USUAL_CONTEXT = 1500
"""Of the published models: 30 seconds at 50 frames a second."""


def save_model(folder: Storage, model: MusicGen, trained: dict[str, Tensor] | None = None) -> None:
    """Write the whole model; its weights last, so that a folder with weights is complete.

    Args:
        trained: weights by their names in ``MusicGen.step().state_dict()``, instead of the model's own.
    """
    from safetensors.torch import save_file

    complete = model.complete
    weights = {**complete.state_dict(), **(trained or {})}
    weights["text_encoder.shared.weight"] = weights.pop(
        "text_encoder.encoder.embed_tokens.weight", weights.get("text_encoder.shared.weight")
    )
    with tempfile.TemporaryDirectory(prefix="musicgen-") as local:
        complete.config.architectures = [MODEL_TYPES[complete.config.model_type]]
        complete.config.save_pretrained(local)
        complete.generation_config.save_pretrained(local)
        model.tokenizer.save_pretrained(local)
        _feature_extractor(model).save_pretrained(local)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
            Path(local) / WEIGHTS,
            metadata={"format": "pt"},
        )
        names = sorted(path.name for path in Path(local).iterdir())
        for name in [*(name for name in names if name != WEIGHTS), WEIGHTS]:
            folder.write(name, Path(local) / name)


def load_model(folder: Storage) -> MusicGen:
    """The model in a folder of ``save_model``, or of transformers' ``save_pretrained`` with its tokenizer beside it.

    Raises:
        JobError: there is no such model, or its files do not fit together.
    """
    with on_this_machine(folder, work_dir()) as local:
        return read_model(local, folder.url)


def read_model(folder: Path, name: str) -> MusicGen:
    """See ``load_model``; ``name`` is what the folder is called where something is wrong with it."""
    import transformers
    from safetensors import SafetensorError

    quiet_transformers()
    try:
        kind = json.loads((folder / CONFIG).read_text()).get("model_type")
    except FileNotFoundError:
        raise JobError("there is no published model here", where=name, instead=f"name a folder with {CONFIG}") from None
    if kind not in MODEL_TYPES:
        raise JobError(
            f"this is a model of type {kind!r}", where=name, instead="name one of type musicgen or musicgen_melody"
        )
    try:
        complete, found = getattr(transformers, MODEL_TYPES[kind]).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype="float32"
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise JobError(f"this model cannot be read ({error})", where=name, instead="publish it again") from None
    if found["missing_keys"]:
        missing = ", ".join(sorted(found["missing_keys"])[:3])
        raise JobError(f"{WEIGHTS} lacks weights ({missing})", where=name, instead="publish the model again")
    return MusicGen(complete.eval(), tokenizer, context_of(complete))


def context_of(complete: Any) -> int:
    """Frames that a model was trained on at a time, which its generation's ``max_length`` tells."""
    decoder, length = complete.config.decoder, complete.generation_config.max_length
    longest = min(length or USUAL_CONTEXT, decoder.max_position_embeddings)
    return max(1, int(longest) - int(decoder.num_codebooks // decoder.audio_channels))


def _feature_extractor(model: MusicGen) -> Any:
    """What makes ``AutoProcessor`` load, beside the tokenizer: how audio is fed in as a melody, or to be continued."""
    from transformers import EncodecFeatureExtractor, MusicgenMelodyFeatureExtractor

    rate = model.complete.config.audio_encoder.sampling_rate
    if not model.is_melodic:
        return EncodecFeatureExtractor(feature_size=model.channels, sampling_rate=rate)
    settings = ChromaSettings.at(rate)
    return MusicgenMelodyFeatureExtractor(
        sampling_rate=rate, hop_length=settings.hop, n_fft=settings.window, num_chroma=CHROMA
    )

"""``mtj generate``: from a published model, or a checkpoint, and texts to WAV files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_trainer.slug import slug

DESCRIPTION = """\
Plays what texts say with a musicgen or audiogen model, and writes a WAV file for each.
MODEL is a folder or s3:// prefix that a job has published (its output works too), an adaptation such as a LoRA, a
checkpoint of transformers or audiocraft, or a hub's name such as facebook/musicgen-small.
"""

EXAMPLES = """\
examples:
  mtj generate out/chorales-musicgen "a baroque chorale in G major, 96 bpm"
  mtj generate out/chorales-musicgen/model --prompts prompts.txt --seconds 20 --out samples
  mtj generate ./model "strings" --melody hummed.wav --count 4 --seed 7
  mtj generate facebook/musicgen-small "lo-fi piano" --temperature 1.1 --guidance 4

The same model, text, settings and seed give the same sound on the same machine.
exit status: 0 done, 65 the model or a file cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate as the arguments (``sys.argv`` by default) say; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _generate(options)
    except JobError as error:
        print(error, file=sys.stderr)
        return ExitCode.WRONG_JOB
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def _generate(options: argparse.Namespace) -> None:
    from mtj_trainer.generate.texts import read_texts
    from mtj_trainer.generate.write import write_wav

    texts = read_texts(options.prompt, options.prompts)
    began = time.perf_counter()
    from mtj_trainer.families.musicgen.generate import Request, codec_of_model, generate_audio
    from mtj_trainer.families.musicgen.published import find_published, load_published
    from mtj_trainer.families.musicgen.sampling import Sampling
    from mtj_trainer.generate.melody import read_melody
    from mtj_trainer.train.precision import usual_device

    model = load_published(find_published(options.model))
    model.complete.to(usual_device())
    codec = codec_of_model(model)
    melody = read_melody(options.melody, codec.sample_rate) if options.melody else None
    if melody is not None and not model.is_melodic:
        raise JobError("this model listens to no melody", where="--melody", instead="leave it out")
    print(f"{options.model} is loaded ({time.perf_counter() - began:.0f} s)", flush=True)
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.guidance)
    for number, text in enumerate(texts, start=1):
        for take in range(options.count):
            began = time.perf_counter()
            (sound,) = generate_audio(model, [Request(text, options.seed + take, melody)], options.seconds, sampling)
            sound = sound[:, : round(options.seconds * codec.sample_rate)]
            takes = f"-{take + 1}" if options.count > 1 else ""
            path = options.out / f"{number:03d}-{slug(text)}{takes}.wav"
            write_wav(path, sound.numpy().T, codec.sample_rate)
            spent = time.perf_counter() - began
            print(f"{path}  {options.seconds:g} s of sound in {spent:.1f} s", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtj generate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="where the model lies")
    parser.add_argument("prompt", metavar="TEXT", nargs="*", help="what to play")
    parser.add_argument("--prompts", metavar="FILE", type=Path, help="a text a line, beside those given")
    parser.add_argument("--melody", metavar="FILE", type=Path, help="a recording whose tune to follow")
    parser.add_argument("--seconds", type=_positive, default=10.0, help="length of each (10)")
    parser.add_argument("--count", type=_count, default=1, help="takes of each text, with the seeds that follow (1)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("samples"), help="where to (samples)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another take (0)")
    parser.add_argument("--temperature", type=_not_negative, default=1.0, help="0 takes the likeliest (1.0)")
    parser.add_argument("--top-k", type=int, default=250, help="draw from so many of the likeliest; 0 is all (250)")
    parser.add_argument(
        "--top-p", type=_positive, default=1.0, help="draw from the likeliest of this probability (1.0)"
    )
    parser.add_argument("--guidance", type=_positive, default=3.0, help="how far the text pulls (3.0)")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def _not_negative(text: str) -> float:
    return 0.0 if float(text) == 0.0 else _positive(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

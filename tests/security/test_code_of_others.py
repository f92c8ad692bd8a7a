"""No file of a user's is ever run: weights are numbers, and there is no call in the project by which they could be."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from mtj_api import JobError
from mtj_trainer.families.codec.codec import load_codec
from mtj_trainer.families.musicgen.audiocraft_checkpoint import COMPRESSION_MODEL, LANGUAGE_MODEL
from mtj_trainer.families.musicgen.pretrained import load_pretrained
from mtj_trainer.families.musicgen.weights import save_model
from mtj_trainer.families.symbolic.weights import load_model as load_symbolic
from mtj_trainer.storage import open_storage
from support.musicgen import dac, tiny

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "operator").rglob("*.py"), *(ROOT / "trainer").rglob("*.py")])

NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
NEVER_CALLED |= {"tempfile.mktemp", "tarfile.extractall", "shutil.unpack_archive", "torch.hub.load"}


class Bomb:
    """What a pickle of it does when it is read is leave a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def bomb(mark: Path) -> bytes:
    return pickle.dumps({"best_state": Bomb(mark)})


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, by the words that it is made with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_no_module_can_run_what_it_reads() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = {one.name for one in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            assert not names & NEVER_IMPORTED, path
        for name, call in calls(path):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            where = f"{path}:{call.lineno}"
            assert name not in NEVER_CALLED, where
            assert given.get("shell", "False") == "False", where
            assert given.get("trust_remote_code", "False") == "False", where
            assert given.get("allow_pickle", "False") == "False", where
            if name == "torch.load":
                assert given.get("weights_only") == "True", where
            if name in ("np.load", "np.save", "np.savez"):
                assert given.get("allow_pickle") == "False", where
            if name.endswith(".from_pretrained"):
                model = given.get("use_safetensors") == "True"
                assert model or given.get("trust_remote_code") == "False", where


def test_a_program_is_called_by_a_list_of_words() -> None:
    for path in SOURCES:
        for name, call in calls(path):
            if name in ("subprocess.run", "subprocess.Popen"):
                assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), f"{path}:{call.lineno}"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.pt", "model.ckpt"])
@pytest.mark.parametrize("load", [load_pretrained, lambda folder: load_codec(open_storage(folder))])
def test_a_pickle_in_a_models_folder_is_refused_and_not_run(
    name: str, load: Callable[[str], object], tmp_path: Path
) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    if load is load_pretrained:
        save_model(open_storage(str(folder)), tiny())
    else:
        dac().save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(bomb(mark))
    with pytest.raises(JobError):
        load(str(folder))
    assert not mark.exists()


def test_a_pickle_in_the_folder_of_a_symbolic_model_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"family": "symbolic"}')
    (tmp_path / "tokenizer.json").write_text('{"tokenizer": "grid", "steps_per_beat": 4, "voices": 4, "size": 1}')
    (tmp_path / "model.safetensors").write_bytes(bomb(tmp_path / "mark"))
    with pytest.raises(JobError):
        load_symbolic(open_storage(str(tmp_path)))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", [LANGUAGE_MODEL, COMPRESSION_MODEL])
def test_a_checkpoint_of_audiocraft_that_runs_code_is_refused_and_not_run(name: str, tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    folder.mkdir()
    torch.save({"best_state": {}, "xp.cfg": "{}"}, folder / LANGUAGE_MODEL)
    (folder / name).write_bytes(bomb(mark))
    with pytest.raises(JobError, match="is no file of weights"):
        load_pretrained(str(folder))
    assert not mark.exists()


@pytest.mark.parametrize(
    "settings",
    [
        "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 40)),
        "a: ${b}\nb: ${a}\n",
        "!!python/object/apply:os.system ['true']",
    ],
    ids=["a billion laughs", "references in a circle", "an object of Python"],
)
def test_settings_of_a_checkpoint_are_bounded(settings: str, tmp_path: Path) -> None:
    torch.save({"best_state": {}, "xp.cfg": settings}, tmp_path / LANGUAGE_MODEL)
    with pytest.raises(JobError, match="its settings"):
        load_pretrained(str(tmp_path))


def test_code_beside_a_model_is_not_run(tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    save_model(open_storage(str(folder)), tiny())
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Evil: ...\n")
    for name, key in (("tokenizer_config.json", "AutoTokenizer"), ("config.json", "AutoModel")):
        path = folder / name
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {"auto_map": {key: ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}))
    with suppress(JobError):
        load_pretrained(str(folder))
    assert not mark.exists()

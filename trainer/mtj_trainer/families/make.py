"""From a resolved job to its family, ready to train on the prepared data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mtj_api import MusicTrainingJob
from mtj_api.spec.model import MUSICGEN_FAMILIES
from mtj_trainer.families.family import Family
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import open_storage
from mtj_trainer.storage.local import on_this_machine


def make_family(job: MusicTrainingJob, prepared: dict[str, Any]) -> Family[Any]:
    """The family that ``spec.model`` names; each is imported where it is wanted, as its libraries take seconds to load.

    Args:
        job: a resolved job with a model.
        prepared: the prepare stage's record.

    Raises:
        JobError: the data or the pretrained model do not fit the job.
    """
    assert job.spec.model is not None
    name = job.spec.model.family
    if name in MUSICGEN_FAMILIES:
        from mtj_trainer.families.musicgen.family import MusicGenFamily
        from mtj_trainer.prepare.codes.dataset import CodesDataset

        return MusicGenFamily(job, CodesDataset.open(prepared["codes"], work_dir()))
    dataset = PreparedDataset.open(prepared["dataset"], work_dir())
    if name == "codec":
        from mtj_trainer.families.codec.family import CodecFamily

        return CodecFamily(job, dataset)
    from mtj_trainer.families.symbolic.family import SymbolicFamily

    return SymbolicFamily(job, dataset)


@contextmanager
def base_model_at_hand(job: MusicTrainingJob, on_piece: Callable[[], None]) -> Iterator[None]:
    """What the family of a job starts from lies on this machine meanwhile, if it starts from anything.

    Whichever process comes first fetches it for all, and ``make_family`` of each finds it there.

    Args:
        job: a resolved job with a model.
        on_piece: is called whenever some more of it has come.
    """
    assert job.spec.model is not None
    if job.spec.model.pretrained is None:
        yield
        return
    with on_this_machine(open_storage(job.spec.model.pretrained), work_dir(), on_piece):
        yield

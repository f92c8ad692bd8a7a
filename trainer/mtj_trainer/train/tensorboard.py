"""Scalars as TensorBoard event files in the output.

Invariant: what is in the output belongs to a step that a resumed run does not repeat, or is marked as void by the
file that comes after it: TensorBoard drops what lies at or after the step of a session's start.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from mtj_trainer.storage import Storage

_FILE_BYTES = 1 << 20
"""A file that has reached this size is left as it is: a long run must not upload all of its past every time."""


class ScalarEvents:
    """Writes event files; nothing is in the output before ``sync``.

    Args:
        storage: the folder of event files, such as the output's ``tensorboard``.
        resumed: the step that the run goes on from; 0 for a new run, which removes the files of an older one.
        clock: seconds since 1970.
    """

    def __init__(self, storage: Storage, resumed: int, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        if resumed == 0:
            storage.delete_tree("")
        self._files = 0
        self._has_news = False
        self._started = clock()
        self._begin()
        self.go_back(resumed)

    def go_back(self, step: int) -> None:
        """Mark what was written of later steps as void."""
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(wall_time=self._clock(), step=step + 1, session_log=start))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take up the values of a step by their tags, such as ``train/loss``."""
        scalars = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        summary = summary_pb2.Summary(value=scalars)
        self._write(event_pb2.Event(wall_time=self._clock(), step=step, summary=summary))

    def sync(self) -> None:
        """Bring all that was added to the output."""
        if not self._has_news:
            return
        self._storage.write(self._name, self._buffer.getvalue())
        self._has_news = False
        if self._buffer.tell() >= _FILE_BYTES:
            self._begin()

    def close(self) -> None:
        """Bring the rest to the output."""
        self.sync()

    def _begin(self) -> None:
        # TensorBoard reads the files of a folder in the order of their names.
        self._name = f"events.out.tfevents.{self._started:017.6f}.{self._files:06d}"
        self._files += 1
        self._buffer = io.BytesIO()
        self._records = RecordWriter(self._buffer)
        self._write(event_pb2.Event(wall_time=self._clock(), file_version="brain.Event:2"))
        self._has_news = False

    def _write(self, event: event_pb2.Event) -> None:
        self._records.write(event.SerializeToString())
        self._has_news = True

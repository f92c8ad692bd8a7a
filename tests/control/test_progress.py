"""What is taken from the answers of training processes, which may say anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from mtj_operator.control import progress
from mtj_operator.control.cache import Cache, Entry
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.progress import Progress, read
from mtj_operator.control.snapshots import Key
from mtj_operator.plan.observed import GpuIdleness, PodSnapshot, Resource, TrainingProgress
from support.ports import free_ports

ANSWER = {
    "stage": "train",
    "rank": 0,
    "step": 120,
    "of": 600,
    "loss": 1.31,
    "tokens_per_second": 15246.5,
    "eta_seconds": 131,
    "checkpoint": {"step": 100, "url": "s3://music/out/checkpoints/100", "time": "2026-01-31T12:00:00Z"},
}

ENDLESS = 10**400
"""A whole number that is more than any float."""


def told(**more: object) -> TrainingProgress | None:
    return read(json.dumps({**ANSWER, **more}).encode(), "chorales-train-1", 7.0)


def test_an_answer_is_taken_up_whole() -> None:
    assert told() == TrainingProgress(
        job="chorales-train-1",
        told=7.0,
        step=120,
        of=600,
        loss=1.31,
        tokens_per_second=15246.5,
        eta_seconds=131.0,
        checkpoint_step=100,
        checkpoint_url="s3://music/out/checkpoints/100",
        checkpoint_time="2026-01-31T12:00:00Z",
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"step": 1}',
        b'{"step": "1", "of": 2}',
        b'{"step": -1, "of": 2}',
        b'{"step": 1, "of": 9007199254740992}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_answer_is_left(answer: bytes) -> None:
    assert read(answer, "chorales-train-1", 7.0) is None


def test_before_the_first_logged_step_nothing_is_told() -> None:
    assert told(step=0, of=None) is None


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -ENDLESS, ENDLESS, "1.3", True, None, [1]], ids=lambda value: str(value)[:8]
)
def test_figures_that_are_no_numbers_are_left_out(value: object) -> None:
    found = told(loss=value, tokens_per_second=value, eta_seconds=value)
    assert found is not None
    assert (found.loss, found.tokens_per_second, found.eta_seconds) == (None, None, None)


def test_a_number_of_steps_ends_where_readers_of_json_no_longer_agree() -> None:
    most = 2**53 - 1
    found = told(step=most, of=most, checkpoint={"step": most})
    assert found is not None
    assert (found.step, found.of, found.checkpoint_step) == (most, most, most)


@pytest.mark.parametrize(
    "checkpoint",
    [None, {}, {"step": "1", "url": 7, "time": 3}, {"step": 2**53}, {"step": ENDLESS}, {"step": -1}],
)
def test_a_training_without_a_checkpoint_has_none(checkpoint: object) -> None:
    found = told(checkpoint=checkpoint)
    assert found is not None
    assert (found.checkpoint_step, found.checkpoint_url, found.checkpoint_time) == (None, "", "")


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        ({"below": 10, "seconds": 12.5}, GpuIdleness(10, 12.5)),
        (None, None),
        ({}, None),
        ({"below": 10, "seconds": None}, None),
        ({"below": "10", "seconds": 12.5}, None),
        ({"below": ENDLESS, "seconds": 12.5}, None),
        ({"below": 10, "seconds": ENDLESS}, None),
        ({"below": 10, "seconds": float("inf")}, None),
    ],
)
def test_for_how_long_gpus_are_idle_is_told_where_it_is_known(idle: object, expected: GpuIdleness | None) -> None:
    found = told(gpu_idle=idle)
    assert found is not None
    assert found.gpu_idle == expected


async def answer_with(answer: bytes, _: web.Request) -> web.Response:
    return web.Response(body=answer)


@asynccontextmanager
async def trainings(answers: Mapping[str, bytes]) -> AsyncIterator[Cache]:
    """A cache of jobs whose first training processes run and answer so."""
    cache, runners = Cache(), []
    for (name, answer), port in zip(answers.items(), free_ports(len(answers)), strict=True):
        app = web.Application()
        app.router.add_get("/progress", partial(answer_with, answer))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        runners.append(runner)
        key, spec = Key("music", name), json.dumps({"monitoring": {"metricsPort": port}})
        job = Resource(key.namespace, name, name, 1, "1", 0.0, spec, "{}")
        pod = PodSnapshot("0", f"{name}-train-1", "train", 1, 0, "Running", address="127.0.0.1")
        cache.resources.put(Entry(key, name, name, 1, job))
        cache.pods.put(Entry(key, pod.name, name, 1, pod))
    try:
        yield cache
    finally:
        for runner in runners:
            await runner.cleanup()


def told_by(answers: Mapping[str, bytes]) -> set[str]:
    """The jobs that told something when all were asked once."""

    async def ask() -> set[str]:
        marked: set[str] = set()
        async with trainings(answers) as cache, aiohttp.ClientSession() as session:
            asks = Progress(cache, lambda key: marked.add(key.name), Metrics(), 0.0)
            await asks.ask(session)
            assert {key.name for key in cache.progress} == marked
        return marked

    return asyncio.run(ask())


def test_a_training_that_tells_of_a_number_without_end_is_heard_like_all_others() -> None:
    endless = json.dumps({**ANSWER, "loss": ENDLESS}).encode()
    assert told_by({"endless": endless, "plain": json.dumps(ANSWER).encode()}) == {"endless", "plain"}


def test_an_answer_that_nobody_foresaw_ends_the_asking_of_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprised(answer: bytes, job: str, now: float) -> TrainingProgress | None:
        if answer == b"surprise":
            raise ArithmeticError("nobody foresaw this")
        return read(answer, job, now)

    monkeypatch.setattr(progress, "read", surprised)
    assert told_by({"surprises": b"surprise", "plain": json.dumps(ANSWER).encode()}) == {"plain"}
    assert [record.getMessage() for record in caplog.records] == ["could not be asked"]

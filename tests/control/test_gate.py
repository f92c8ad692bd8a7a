"""Who waits for a slot to write gets it in the order in which the writes are due."""

from __future__ import annotations

import asyncio

from mtj_operator.control.gate import Gate


def test_no_more_pass_at_once_than_there_are_slots() -> None:
    async def most() -> int:
        gate, inside, peak = Gate(3), 0, 0

        async def write() -> None:
            nonlocal inside, peak
            async with gate.slot(0.0):
                inside += 1
                peak = max(peak, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(write() for _ in range(20)))
        return peak

    assert asyncio.run(most()) == 3


def test_what_is_due_first_goes_first() -> None:
    async def order() -> list[float]:
        gate, passed = Gate(1), []

        async def write(due: float) -> None:
            async with gate.slot(due):
                passed.append(due)

        async with gate.slot(0.0):
            writes = [asyncio.create_task(write(due)) for due in (5.0, 1.0, 9.0, 2.0)]
            await asyncio.sleep(0)
        await asyncio.gather(*writes)
        return passed

    assert asyncio.run(order()) == [1.0, 2.0, 5.0, 9.0]


def test_who_gives_up_leaves_the_slot_to_the_next() -> None:
    async def outcome() -> list[str]:
        gate, passed = Gate(1), []

        async def write(name: str) -> None:
            async with gate.slot(0.0):
                passed.append(name)

        async with gate.slot(0.0):
            impatient, patient = asyncio.create_task(write("impatient")), asyncio.create_task(write("patient"))
            await asyncio.sleep(0)
            impatient.cancel()
        await asyncio.gather(impatient, patient, return_exceptions=True)
        await write("later")
        return passed

    assert asyncio.run(outcome()) == ["patient", "later"]


def test_who_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    async def outcome() -> list[str]:
        gate, passed = Gate(1), []

        async def write(name: str) -> None:
            async with gate.slot(0.0):
                passed.append(name)

        async with gate.slot(0.0):
            chosen, next_one = asyncio.create_task(write("chosen")), asyncio.create_task(write("next"))
            await asyncio.sleep(0)
        chosen.cancel()  # its turn has been given to it, but it has not run since
        await asyncio.gather(chosen, next_one, return_exceptions=True)
        return passed

    assert asyncio.run(outcome()) == ["next"]

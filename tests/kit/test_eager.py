"""A coroutine run at once: what becomes of results, errors, waits and cancellations, and when it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from longshore.kit.eager import run_eagerly


class Told:
    """What `done` was called with; more than once would show."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, BaseException | None]] = []
        self.event = asyncio.Event()

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.calls.append((result, error))
        self.event.set()

    async def once(self) -> tuple[Any, BaseException | None]:
        await asyncio.wait_for(self.event.wait(), 2)
        await asyncio.sleep(0)
        (call,) = self.calls
        return call


async def test_what_never_waits_has_ended_before_the_call_returns() -> None:
    async def ready() -> int:
        return 7

    told = Told()
    assert run_eagerly(ready(), told) is None
    assert told.calls == [(7, None)]


async def test_an_error_before_the_first_wait_is_told_and_not_raised() -> None:
    async def fails() -> None:
        raise KeyError("x")

    told = Told()
    assert run_eagerly(fails(), told) is None
    ((result, error),) = told.calls
    assert result is None
    assert isinstance(error, KeyError)


async def test_what_waits_goes_on_when_the_wait_is_over() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def waits() -> int:
        steps.append("begun")
        got = await gate
        await asyncio.sleep(0)
        steps.append("ended")
        return got + 1

    told = Told()
    task = run_eagerly(waits(), told)
    assert task is not None
    assert (steps, told.calls) == (["begun"], [])
    gate.set_result(1)
    assert await told.once() == (2, None)
    assert steps == ["begun", "ended"]
    assert await task == 2


async def test_an_error_after_a_wait_is_told_and_leaves_no_complaint() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    told, complaints = Told(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = run_eagerly(fails(), told)
    _, error = await told.once()
    assert isinstance(error, KeyError)
    del task
    await asyncio.sleep(0)
    assert complaints == []


async def test_what_a_wait_raises_is_raised_where_it_waits() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def mends() -> str:
        try:
            await gate
        except ValueError as error:
            return f"mended {error}"
        return "not raised"

    told = Told()
    run_eagerly(mends(), told)
    gate.set_exception(ValueError("it"))
    assert await told.once() == ("mended it", None)


async def test_a_wait_that_was_over_already_is_no_wait() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    gate.set_result(3)

    async def waits() -> int:
        return await gate

    told = Told()
    assert run_eagerly(waits(), told) is None
    assert told.calls == [(3, None)]


@pytest.mark.parametrize("turns", [0, 1, 3], ids=["before its first step", "while it waits", "later"])
async def test_a_cancellation_is_told_once_and_the_coroutine_cleans_up(turns: int) -> None:
    cleaned: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("up")

    told = Told()
    task = run_eagerly(waits(), told)
    assert task is not None
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    result, error = await told.once()
    assert result is None
    assert isinstance(error, asyncio.CancelledError)
    assert cleaned == ["up"]
    assert task.cancelled()


async def test_a_coroutine_may_survive_its_cancellation() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "still here"

    told = Told()
    task = run_eagerly(stubborn(), told)
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    assert await told.once() == ("still here", None)


async def test_waits_of_every_kind_are_waits() -> None:
    class Once:
        def __await__(self) -> Generator[None, None, str]:
            yield
            return "bare"

    async def all_of_them() -> list[Any]:
        lock, event = asyncio.Lock(), asyncio.Event()
        await asyncio.sleep(0)  # what follows needs a task around it
        asyncio.get_running_loop().call_soon(event.set)
        async with lock, asyncio.timeout(5):
            await event.wait()
        gathered = await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b"))
        threaded = await asyncio.to_thread(lambda: "thread")
        return [await Once(), *gathered, threaded]

    told = Told()
    run_eagerly(all_of_them(), told)
    assert await told.once() == (["bare", "a", "b", "thread"], None)


async def test_many_at_once_do_not_get_mixed_up() -> None:
    gates = [asyncio.get_running_loop().create_future() for _ in range(50)]

    async def numbered(number: int) -> int:
        await gates[number]
        return number

    told = [Told() for _ in gates]
    for number, each in enumerate(told):
        run_eagerly(numbered(number), each)
    for gate in reversed(gates):
        gate.set_result(None)
    assert [await each.once() for each in told] == [(number, None) for number in range(50)]

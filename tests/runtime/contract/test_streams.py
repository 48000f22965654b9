"""Commands in containers and what containers write: what every runtime promises of both."""

from __future__ import annotations

import asyncio

import pytest

from longshore.runtime.base import Chunk, Execution, RuntimeFailure
from longshore.runtime.fake import FakeRuntime
from tests.runtime.contract.conftest import Engine


async def running(engine: Engine) -> str:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    return container_id


async def all_of(execution: Execution) -> tuple[bytes, bytes]:
    output = errors = b""
    async with asyncio.timeout(20):
        while (chunk := await execution.read()) is not None:
            output, errors = (output, errors + chunk.data) if chunk.is_error else (output + chunk.data, errors)
    return output, errors


async def test_a_command_gives_back_every_byte_it_was_given_and_ends_with_its_input(engine: Engine) -> None:
    execution = await engine.runtime.execute(await running(engine), ["cat"], tty=False)
    blob = bytes(range(256)) * 2000
    reading = asyncio.create_task(all_of(execution))
    for start in range(0, len(blob), 16_384):
        await execution.write(blob[start : start + 16_384])
    await execution.end_input()
    assert await reading == (blob, b"")
    assert await execution.exit_code() == 0
    await execution.close()


async def test_what_does_not_run_runs_no_command(engine: Engine) -> None:
    container_id = await engine.create()
    with pytest.raises(RuntimeFailure):
        await engine.runtime.execute(container_id, ["cat"], tty=False)


async def test_a_command_that_is_let_go_of_is_ended(engine: Engine) -> None:
    execution = await engine.runtime.execute(await running(engine), ["cat"], tty=False)
    await execution.write(b"x")
    assert (await execution.read()) == Chunk(b"x")
    async with asyncio.timeout(10):
        await execution.close()
    if isinstance(engine.runtime, FakeRuntime):
        assert engine.runtime.executions[0].was_ended
    else:
        assert await execution.exit_code() is not None


async def test_what_a_command_started_is_ended_with_it(engine: Engine) -> None:
    if isinstance(engine.runtime, FakeRuntime):
        pytest.skip("its commands start nothing")
    container_id = await running(engine)
    execution = await engine.runtime.execute(container_id, ["sh", "-c", "echo x; sleep 4321; true"], tty=False)
    assert await execution.read() == Chunk(b"x\n")
    await execution.close()
    looking = await engine.runtime.execute(container_id, ["ps"], tty=False)
    assert b"4321" not in (await all_of(looking))[0]
    await looking.close()


async def test_what_a_container_wrote_can_be_read_from_any_line_on(engine: Engine) -> None:
    if isinstance(engine.runtime, FakeRuntime):
        container_id = await running(engine)
        for line in (b"one\n", b"two\n"):
            engine.runtime.write(container_id, line)
        engine.runtime.exit(container_id, 0)
    else:
        body = engine.body(lives=False) | {"Cmd": ["sh", "-c", "echo one; echo two"]}
        container_id = await engine.runtime.create(engine.name(), body)
        await engine.runtime.start(container_id)
        await _follow(engine, container_id)
    for tail, expected in ((None, b"one\ntwo\n"), (1, b"two\n"), (0, b"")):
        assert b"".join([chunk.data async for chunk in engine.runtime.logs(container_id, tail=tail)]) == expected


async def test_following_ends_with_the_container(engine: Engine) -> None:
    container_id = await running(engine)
    following = asyncio.create_task(_follow(engine, container_id))
    await asyncio.sleep(0)
    await engine.runtime.stop(container_id, 5)
    async with asyncio.timeout(10):
        await following


async def _follow(engine: Engine, container_id: str) -> None:
    async for _ in engine.runtime.logs(container_id, follow=True):
        pass

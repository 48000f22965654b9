"""Run a coroutine at once, as far as it goes without waiting.

Most requests are answered from memory: their coroutine never waits. Starting it right where it is made spares such a request
a task and two turns of the event loop. From Python 3.12 on tasks can do that themselves; before, the first step is taken by
hand and, if the coroutine does wait, a task goes on from there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class _Begun:
    """A coroutine that has already yielded `waits_for`: awaiting this goes on with it."""

    __slots__ = ("_coroutine", "_waits_for", "taken_on")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for
        #: somebody awaits it; a task that is cancelled before its first step never does
        self.taken_on = False

    def drop(self) -> None:
        """End the coroutine where it stands."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        self.taken_on = True
        waits_for = self._waits_for
        while True:
            thrown: BaseException | None = None
            sent: Any = None
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation, too, is the coroutine's to handle
                thrown = error
            try:
                waits_for = self._coroutine.send(sent) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as done:
                return done.value


async def _go_on(begun: _Begun, done: Callable[[Any, BaseException | None], None]) -> Any:
    try:
        result = await begun
    except BaseException as error:
        done(None, error)
        raise
    done(result, None)
    return result


def run_eagerly(coroutine: Coroutine[Any, Any, T], done: Callable[[T | None, BaseException | None], None]) -> asyncio.Task[T] | None:
    """Run `coroutine` and call `done(result, error)` when it ends: before this returns if it never waits, and then there is no task."""
    if sys.version_info >= (3, 12):
        task: asyncio.Task[T] = asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            _tell(task, done)
            return None
    else:
        try:
            waits_for = coroutine.send(None)
        except StopIteration as ended:
            done(ended.value, None)
            return None
        except BaseException as error:  # noqa: BLE001 - told, as a task would
            done(None, error)
            return None
        begun = _Begun(coroutine, waits_for)
        task = asyncio.get_running_loop().create_task(_go_on(begun, done))
        task.add_done_callback(lambda finished: _end(finished, begun, done))
        return task
    task.add_done_callback(lambda finished: _tell(finished, done))
    return task


def _end(task: asyncio.Task[Any], begun: _Begun, done: Callable[[Any, BaseException | None], None]) -> None:
    """An error has been told already: asyncio need not complain that nobody looked at it."""
    if not task.cancelled():
        task.exception()
    elif not begun.taken_on:
        begun.drop()
        done(None, asyncio.CancelledError())


def _tell(task: asyncio.Task[T], done: Callable[[T | None, BaseException | None], None]) -> None:
    if task.cancelled():
        done(None, asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        done(None, error)
    else:
        done(task.result(), None)

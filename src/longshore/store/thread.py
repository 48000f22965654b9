"""One thread that does one thing after the other for an event loop.

What concurrent.futures and asyncio do together for a pool (two futures per call, chained callbacks, a lock each) costs a commit
more than its statement. One thread and one queue need none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")


class OneThread:
    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, fn: Callable[..., R], *arguments: Any) -> R:
        """`fn(*arguments)` on the thread, in order of asking. Cancelling the wait does not take it back."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._work.put((fn, arguments, future))
        return await future

    def end(self) -> None:
        """Returns when everything asked for is done and the thread has ended."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._work.get()) is not None:
            fn, arguments, future = asked
            try:
                result, error = fn(*arguments), None
            except BaseException as problem:  # noqa: BLE001 - it belongs to whoever asked
                result, error = None, problem
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_tell, future, result, error)


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)

"""The flight recorder: what is written down of a task's containers when it has ended, before anybody is told that it has.

The containers are still there then, and stay until the report was acknowledged, so nothing has to be kept meanwhile: after a
crash the record is made once more. Of each container: how it ended in the engine's words, its last health checks, and the end of
what it wrote, as far as its log driver lets that be read.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

from longshore.agent.api import TaskRecord
from longshore.agent.sharing import is_internal
from longshore.agent.task import TaskJob
from longshore.aws.flight import ContainerFlight, Probe
from longshore.runtime.base import ContainerState, NoSuchContainer, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

#: of each container: lines, and bytes of them
MOST_LINES, MOST_BYTES = 100, 16 * 1024
#: of what is read for that; a line may be long
MOST_READ = 4 * 1024 * 1024
MOST_PROBES = 5
#: seconds for all that a task's containers wrote
PATIENCE_S = 3.0
_MOST_TEXT = 1024
_FIRST_SIGNAL_CODE = 128


async def record_of(job: TaskJob, runtime: Runtime, cluster: str) -> TaskRecord:
    """Never fails: what cannot be found out is left out, and said."""
    parts = [_container(job, name, runtime) for name in job.seen if not is_internal(name)]
    return TaskRecord(cluster=cluster, task=job.arn, containers=tuple(await asyncio.gather(*parts)))


async def _container(job: TaskJob, name: str, runtime: Runtime) -> ContainerFlight:
    kept = job.record.containers.get(name)
    known: dict[str, Any] = {"name": name}
    if kept is not None:
        known |= {
            "runtime_id": kept.id,
            "exit_code": kept.exit_code,
            "reason": kept.reason[:_MOST_TEXT],
            "restart_count": kept.restart_count,
            "started_at": kept.started_at,
            "finished_at": kept.finished_at,
        }
    if kept is None or not kept.id:
        return ContainerFlight(**known)
    try:
        async with asyncio.timeout(PATIENCE_S):
            known |= _engine_says(await runtime.inspect(kept.id))
            known["log_tail"], known["log_is_cut"] = await last_lines(runtime, kept.id)
    except NoSuchContainer:
        known["log_error"] = "the container was removed before its end was recorded"
    except TimeoutError:
        known["log_error"] = f"the engine did not tell within {PATIENCE_S:.0f} s"
    except RuntimeFailure as error:
        known["log_error"] = str(error)[:_MOST_TEXT]
    return ContainerFlight(**known, signal=signal_of(known.get("exit_code")))


def _engine_says(state: ContainerState) -> dict[str, Any]:
    return {
        "exit_code": state.exit_code,
        "oom_killed": state.oom_killed,
        "error": state.error[:_MOST_TEXT],
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "health": state.health,
        "probes": tuple(Probe(probe.at, probe.exit_code, probe.output[:_MOST_TEXT]) for probe in state.probes[-MOST_PROBES:]),
    }


def signal_of(exit_code: int | None) -> str:
    """The name of the signal that ended it, as shells count; "" for none."""
    if exit_code is None or exit_code <= _FIRST_SIGNAL_CODE:
        return ""
    try:
        return signal.Signals(exit_code - _FIRST_SIGNAL_CODE).name
    except ValueError:
        return ""


async def last_lines(runtime: Runtime, container_id: str) -> tuple[str, bool]:
    """The end of what it wrote, and whether there was more in the last lines than is told. Raises RuntimeFailure."""
    held, read, is_cut = bytearray(), 0, False
    async for chunk in runtime.logs(container_id, tail=MOST_LINES + 1):
        held += chunk.data
        read += len(chunk.data)
        if len(held) > MOST_BYTES:
            is_cut = True
            del held[: len(held) - MOST_BYTES]
        if read >= MOST_READ:
            is_cut = True
            break
    lines = held.decode(errors="replace").replace("\0", "").splitlines()
    if is_cut and len(lines) > 1:
        del lines[0]  # only a part of it is left
    if len(lines) > MOST_LINES:
        is_cut = True
    return "\n".join(lines[-MOST_LINES:]), is_cut

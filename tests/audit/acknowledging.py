"""A process that appends as fast as it can and says what it has appended, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from longshore.audit.log import open_audit_log
from longshore.kit.clock import SystemClock
from tests.audit.records import made


async def main(directory: Path, key: bytes, turn: str) -> None:
    clock = SystemClock()
    log = await open_audit_log(directory, key, clock, "tests", full_bytes=30_000)
    keeping = asyncio.create_task(log.keep())
    number = 0
    while not keeping.done():
        number += 1
        name = f"{turn}-{number}"
        log.append(made(clock.now(), name))
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        if number % 50 == 0:
            await log.tick()


asyncio.run(main(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3]))

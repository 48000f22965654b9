"""CPU and memory of whole tasks: how they may be written, and which pairs of them Fargate has."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CPU = re.compile(r"(\d{1,6}(?:\.\d{1,3})?|\.\d{1,3})\s*(vcpus?)?", re.IGNORECASE | re.ASCII)
_MEMORY = re.compile(r"(\d{1,8}(?:\.\d{1,3})?|\.\d{1,3})\s*(gb|mb|mib|gib)?", re.IGNORECASE | re.ASCII)

#: a task's CPU outside Fargate, in units (0.125 to 192 vCPUs)
LEAST_CPU, MOST_CPU = 128, 196_608
#: below this Docker starts no container
LEAST_MEMORY_MIB = 4


def _steps(least_gb: int, most_gb: int, step_gb: int = 1) -> frozenset[int]:
    return frozenset(range(least_gb * 1024, most_gb * 1024 + 1, step_gb * 1024))


#: CPU units -> memory in MiB
FARGATE: Mapping[int, frozenset[int]] = {
    256: frozenset({512, 1024, 2048}),
    512: _steps(1, 4),
    1024: _steps(2, 8),
    2048: _steps(4, 16),
    4096: _steps(8, 30),
    8192: _steps(16, 60, 4),
    16384: _steps(32, 120, 8),
}


def cpu_units(text: str) -> int | None:
    """`256`, `.25 vCPU` -> 256; None for what is neither."""
    found = _CPU.fullmatch(text.strip())
    if found is None:
        return None
    number = float(found[1])
    units = number * 1024 if found[2] else number
    return int(units) if units == int(units) else None


def memory_mib(text: str) -> int | None:
    """`512`, `0.5 GB` -> 512; None for what is neither."""
    found = _MEMORY.fullmatch(text.strip())
    if found is None:
        return None
    number = float(found[1])
    mebibytes = number * 1024 if (found[2] or "").lower().startswith("g") else number
    return int(mebibytes) if mebibytes == int(mebibytes) else None


def fits_fargate(cpu: str | None, memory: str | None) -> bool:
    """Of a normalised definition's `cpu` and `memory`."""
    return bool(cpu and memory) and int(memory or 0) in FARGATE.get(int(cpu or 0), frozenset())

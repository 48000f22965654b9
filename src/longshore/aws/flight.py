"""How a container ended, as agents submit it, the platform keeps it and commands show it: one shape for both ends of the wire."""

from __future__ import annotations

import msgspec


class Probe(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One run of a container's health check. Times are seconds since the epoch."""

    at: float
    exit_code: int
    output: str = ""


class ContainerFlight(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """How one container ended."""

    name: str
    runtime_id: str = ""
    exit_code: int | None = None
    #: SIGKILL, SIGSEGV …; "" when no signal ended it
    signal: str = ""
    oom_killed: bool = False
    #: the engine's own words
    error: str = ""
    reason: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    restart_count: int = 0
    health: str = ""
    probes: tuple[Probe, ...] = ()
    #: the last of what it wrote, standard output and error as they came
    log_tail: str = ""
    #: there was more
    log_is_cut: bool = False
    #: why there is none
    log_error: str = ""

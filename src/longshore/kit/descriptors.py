"""How many files and sockets a process may have open: often 1,024 are allowed, and more can be had for the asking."""

from __future__ import annotations

import resource


def allow_descriptors(wanted: int) -> None:
    """As many as `wanted`, or as this process may have; never fewer than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

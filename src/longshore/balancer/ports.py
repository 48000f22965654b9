"""Whether a port is free, asked of the system before HAProxy is: one bind that fails would keep it from starting at all."""

from __future__ import annotations

import errno
import socket

from longshore.balancer.binds import Bind


def why_taken(bind: Bind) -> str:
    """Why this process could not listen there; empty when it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(bind)
            probe.listen(1)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                return "another program has it"
            if problem.errno in (errno.EACCES, errno.EPERM):
                return "this user may not"
            return problem.strerror or str(problem)
    return ""

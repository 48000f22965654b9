"""Where HAProxy finds its files and sockets. Pure."""

from __future__ import annotations

import msgspec

from longshore.balancer.snapshot import Front


class Places(msgspec.Struct, frozen=True):
    """Files and sockets, absolute; short enough for the names of sockets."""

    directory: str

    @property
    def config(self) -> str:
        return f"{self.directory}/haproxy.cfg"

    @property
    def states(self) -> str:
        return f"{self.directory}/states"

    @property
    def runtime_socket(self) -> str:
        return f"{self.directory}/r.sock"

    @property
    def master_socket(self) -> str:
        return f"{self.directory}/m.sock"

    @property
    def log_socket(self) -> str:
        return f"{self.directory}/log.sock"

    @property
    def bodies(self) -> str:
        return f"{self.directory}/bodies"

    def error(self, status: int) -> str:
        """The answer to what HAProxy finds out by itself."""
        return f"{self.bodies}/{status}.http"

    @property
    def bad_gateway(self) -> str:
        return self.error(502)

    @property
    def auth_socket(self) -> str:
        """Where whoever talks to identity providers listens."""
        return f"{self.directory}/auth.sock"

    def again_socket(self, front: Front) -> str:
        """A door of the listener's by which that one sends requests once more."""
        return f"{self.directory}/{front.port}-{front.load_balancer.slot}.again"

    def front_socket(self, front: Front) -> str:
        return f"{self.directory}/{front.port}-{front.load_balancer.slot}.sock"

"""Where HAProxy finds its files and sockets. Pure."""

from __future__ import annotations

import hashlib

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
    def spool(self) -> str:
        """Where HAProxy's lines about requests are appended to."""
        return f"{self.directory}/lines"

    @property
    def legends(self) -> str:
        return f"{self.directory}/legends"

    def legend(self, mark: str) -> str:
        """What lines leave out that name this mark."""
        return f"{self.legends}/{mark}.json"

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

    def plain_socket(self, port: int) -> str:
        """Where requests without TLS go to, of a port that some share with TLS and some without."""
        return f"{self.directory}/{port}-plain.sock"

    @property
    def certificates(self) -> str:
        return f"{self.directory}/certs"

    def certificate(self, arn: str) -> str:
        """Certificate, chain and key of one that clients get when they ask for its name."""
        return f"{self.certificates}/{_mark(arn)}.pem"

    def default_certificate(self, front: Front) -> str:
        """The same of the one that a listener shows to everybody else; a file of its own, so that it can become another."""
        return f"{self.certificates}/{_mark(front.listener.arn)}.default.pem"

    def certificate_list(self, front: Front) -> str:
        return f"{self.certificates}/{_mark(front.listener.arn)}.list"

    def authorities(self, content: bytes) -> str:
        """What clients' certificates are verified with."""
        return f"{self.bodies}/{_mark(content)}.ca"

    def revocations(self, content: bytes) -> str:
        return f"{self.bodies}/{_mark(content)}.crl"


def _mark(content: bytes | str) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:32]

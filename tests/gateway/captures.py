"""What the stock agent (1.105.1) and a server said to each other, as it was recorded, in order.

The recordings lie beside the checkout and are read where they are. Bodies were recorded parsed; written again without
blanks they are the bytes that were signed, which the recorded lengths and signatures prove.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longshore.aws.sigv4 import SignedRequest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "agent-captures"
needed = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the recordings are not at {FOLDER}")

#: set by the client library for its own connection
_OF_THE_CONNECTION = {"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "content-length"}


@dataclass(frozen=True)
class Capture:
    """`kind` says what it is: api-OPERATION, acs-handshake, acs-in-TYPE (from the agent), acs-out-TYPE (to it), the same for tcs."""

    number: int
    kind: str
    #: seconds since the recording began
    at: float
    content: Any

    def __str__(self) -> str:
        return f"{self.number:04}-{self.kind}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        given = self.content["headers"]
        if isinstance(given, str):  # the header block of a telemetry frame
            return [(name, value) for name, _, value in (line.partition(": ") for line in given.split("\r\n"))]
        return [(name, value) for name, value in given]

    @property
    def sendable_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers if name.lower() not in _OF_THE_CONNECTION}

    @property
    def body(self) -> bytes:
        return json.dumps(self.content["body"], separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def target(self) -> str:
        """Path and query of a handshake."""
        return f"{self.content['path']}?{self.content['rawquery']}"

    @property
    def signed_at(self) -> float:
        """Epoch seconds."""
        return float(calendar.timegm(time.strptime(dict(self.headers)["X-Amz-Date"], "%Y%m%dT%H%M%SZ")))

    @property
    def frame(self) -> str:
        """The text frame as the agent sent it."""
        if self.kind.startswith("tcs-"):
            return f"{self.content['headers']}\r\n\r\n{self.body.decode()}"
        return json.dumps(self.content)

    @property
    def type(self) -> str:
        """The last word of `kind`."""
        return self.kind.rsplit("-", 1)[-1]


def captures() -> list[Capture]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        recorded = json.loads(path.read_text())
        found.append(Capture(int(path.name[:4]), recorded["kind"], recorded["t"], recorded["data"]))
    return found


def signed(among: Iterable[Capture]) -> list[tuple[Capture, SignedRequest]]:
    """Everything that carries a signature, with the request it was made for: a telemetry frame's is that of its socket."""
    found, telemetry = [], None
    for capture in among:
        if capture.kind.startswith("api-"):
            found.append((capture, SignedRequest("POST", "/", "", capture.headers, capture.body)))
        elif capture.type == "handshake":
            found.append((capture, SignedRequest("GET", capture.content["path"], capture.content["rawquery"], capture.headers)))
            telemetry = capture if capture.kind.startswith("tcs-") else telemetry
        elif capture.kind.startswith("tcs-in-") and telemetry is not None:
            query = telemetry.content["rawquery"]
            found.append((capture, SignedRequest("GET", telemetry.content["path"], query, capture.headers, capture.body)))
    return found

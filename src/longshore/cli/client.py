"""The platform as the CLI sees it: signed JSON requests over HTTP, like any other client's."""

from __future__ import annotations

import http.client
import time
import urllib.parse
from typing import TypeVar

import msgspec

from longshore.aws.sigv4 import sign
from longshore.cli.outcome import Failure
from longshore.config import Credentials

T = TypeVar("T")

_ECS_TARGET = "AmazonEC2ContainerServiceV20141113"


class Refusal(msgspec.Struct, frozen=True):
    """The body of an error answer in the JSON protocol."""

    type: str = msgspec.field(default="", name="__type")
    message: str = ""


class Platform:
    def __init__(self, endpoint: str, region: str, credentials: Credentials, timeout_s: float = 10.0) -> None:
        self.endpoint = endpoint
        self._region = region
        self._credentials = credentials
        self._timeout_s = timeout_s

    def healthy(self) -> bool:
        """Whether the gateway answers and says that all is well."""
        try:
            status, _ = self._send("GET", "/_longshore/health", {}, b"")
        except Failure:
            return False
        return status == 200

    def ecs(self, operation: str, request: dict[str, object], answer: type[T]) -> T:
        """One ECS operation; raises Failure when the platform does not answer, or refuses in its own words."""
        body = msgspec.json.encode(request)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_ECS_TARGET}.{operation}"}
        status, content = self._signed("POST", "/", headers, body, "ecs")
        if status != 200:
            raise Failure(f"{operation}: {_refusal(status, content)}")
        return msgspec.json.decode(content, type=answer)

    def reset(self) -> None:
        """Wipes a platform in dev mode."""
        status, content = self._signed("POST", "/_longshore/reset", {}, b"", "longshore")
        if status not in (200, 204):
            raise Failure(
                f"the platform did not reset: {_refusal(status, content)}", "only a platform started with --dev resets while it runs"
            )

    def _signed(self, method: str, path: str, headers: dict[str, str], body: bytes, service: str) -> tuple[int, bytes]:
        signed = {"Host": urllib.parse.urlsplit(self.endpoint).netloc, **headers}
        signature = sign(
            method,
            path,
            "",
            signed.items(),
            body,
            access_key_id=self._credentials.access_key_id,
            secret_access_key=self._credentials.secret_access_key,
            region=self._region,
            service=service,
            now=time.time(),
        )
        return self._send(method, path, {**signed, **signature}, body)

    def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        url = urllib.parse.urlsplit(self.endpoint)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname or "127.0.0.1", url.port, timeout=self._timeout_s)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"nothing answers at {self.endpoint} ({error})", "is the platform up? `longshore status` tells") from error
        finally:
            connection.close()


def _refusal(status: int, content: bytes) -> str:
    try:
        refusal = msgspec.json.decode(content, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"HTTP {status}"
    return f"{refusal.type or f'HTTP {status}'} {refusal.message}".strip()

"""The platform as the CLI sees it: signed JSON requests over HTTP, like any other client's."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TypeVar

import msgspec

from longshore.aws.sigv4 import sign
from longshore.cli.outcome import Failure
from longshore.cli.query import form_of, in_words, read_answer, refusal_in
from longshore.config import Credentials

T = TypeVar("T")

_ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
_ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921"
_CLOUDTRAIL_TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"
_ELBV2_VERSION = "2015-12-01"


class Refusal(msgspec.Struct, frozen=True):
    """The body of an error answer in the JSON protocol."""

    type: str = msgspec.field(default="", name="__type")
    message: str = ""


class Home(msgspec.Struct, frozen=True):
    """What the platform's health says of where it is."""

    account: str
    region: str


class Unreachable(Failure):
    """Nobody listens there, or it does not speak HTTP."""


class Refused(Failure):
    """An answer says no; `error_code` is AWS's word for why."""

    def __init__(self, cause: str, *, error_code: str) -> None:
        super().__init__(cause)
        self.error_code = error_code


class Platform:
    """`ca_bundle` is a PEM file of what an https endpoint may prove itself with, beside what the system trusts."""

    def __init__(
        self,
        endpoint: str,
        region: str,
        credentials: Credentials,
        timeout_s: float = 10.0,
        *,
        ca_bundle: Path | str | None = None,
        session_token: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._ca_bundle = ca_bundle
        self._session_token = session_token
        self._region = region
        self._credentials = credentials
        self._timeout_s = timeout_s

    @property
    def region(self) -> str:
        return self._region

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What an https endpoint may prove itself with; None for plain HTTP."""
        return trusting(self._ca_bundle) if self.endpoint.startswith("https:") else None

    def healthy(self) -> bool:
        """Whether the gateway answers and says that all is well."""
        try:
            return self.asked_for_health()
        except Failure:
            return False

    def asked_for_health(self) -> bool:
        """The same; raises Unreachable, and Failure where the endpoint is not trusted."""
        status, content = self._send("GET", "/_longshore/health", {}, b"")
        if status == 400 and b'"PlainHttp"' in content:
            raise Failure(f"the platform at {self.endpoint} speaks HTTPS", "begin its endpoint with https://")
        return status == 200

    def home(self) -> Home:
        """Whose account and region a bare address of the platform means. Raises Failure."""
        status, content = self._send("GET", "/_longshore/health", {}, b"")
        if status != 200:
            raise Failure(f"the platform at {self.endpoint} does not say where it is: {_refusal(status, content)}")
        return msgspec.json.decode(content, type=Home)

    def in_region(self, region: str) -> Platform:
        """The same, asked about another of its regions."""
        other = copy(self)
        other._region = region
        return other

    def ecs(self, operation: str, request: dict[str, object], answer: type[T]) -> T:
        """One ECS operation; raises Failure when the platform does not answer, or refuses in its own words."""
        return self._operate("ecs", _ECS_TARGET, operation, request, answer)

    def ecr(self, operation: str, request: dict[str, object], answer: type[T]) -> T:
        """One ECR operation, as `ecs`."""
        return self._operate("ecr", _ECR_TARGET, operation, request, answer)

    def cloudtrail(self, operation: str, request: dict[str, object], answer: type[T]) -> T:
        """One operation of the audit log's, as `ecs`."""
        return self._operate("cloudtrail", _CLOUDTRAIL_TARGET, operation, request, answer)

    def query(
        self, service: str, version: str, operation: str, parameters: Mapping[str, object], answer: type[T], *, flat: bool = False
    ) -> T:
        """One operation of an API that is asked in forms and answers in XML (cli/query.py), as `ecs`. Raises Refused where it refuses."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        status, content = self._signed("POST", "/", headers, form_of(operation, version, parameters, flat=flat), service)
        if status != 200:
            code, message = refusal_in(content)
            raise Refused(f"{operation}: {': '.join(filter(None, (code, message))) or f'HTTP {status}'}", error_code=code)
        return read_answer(operation, content, answer)

    def _operate(self, service: str, target: str, operation: str, request: dict[str, object], answer: type[T]) -> T:
        body = msgspec.json.encode(request)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"}
        status, content = self._signed("POST", "/", headers, body, service)
        if status != 200:
            raise Failure(f"{operation}: {_refusal(status, content)}")
        return msgspec.json.decode(content, type=answer)

    def elbv2(self, operation: str, request: Mapping[str, object], answer: type[T]) -> T:
        """One operation of Elastic Load Balancing v2, as `ecs`."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = form_of(operation, _ELBV2_VERSION, request)
        status, content = self._signed("POST", "/", headers, body, "elasticloadbalancing")
        if status != 200:
            code, message = refusal_in(content)
            raise Failure(f"{operation}: {code}: {message}" if code else f"{operation}: {_refusal(status, content)}")
        return read_answer(operation, content, answer)

    def reset(self) -> None:
        """Wipes a platform in dev mode."""
        status, content = self._signed("POST", "/_longshore/reset", {}, b"", "longshore")
        if status not in (200, 204):
            raise Failure(
                f"the platform did not reset: {_refusal(status, content)}", "only a platform started with --dev resets while it runs"
            )

    def own(
        self, method: str, route: str, query: Mapping[str, str] | None = None, *, body: bytes = b"", patience_s: float | None = None
    ) -> Iterator[bytes]:
        """The lines of what a route of Longshore's own answers, as they come; raises Failure with what it refuses with.

        `route` follows /_longshore/. `patience_s`: how long to wait for the next line, where that may take longer than usual.
        """
        path, asked = f"/_longshore/{route}", urllib.parse.urlencode(query or {}, quote_via=urllib.parse.quote)
        headers = self._signature(method, path, asked, {}, body, "longshore")
        with self._answering(method, f"{path}?{asked}" if asked else path, headers, body, patience_s) as response:
            if response.status != 200:
                raise Failure(f"{route}: {_own_refusal(response.status, response.read())}")
            while line := response.readline():
                yield line

    def _signed(self, method: str, path: str, headers: dict[str, str], body: bytes, service: str) -> tuple[int, bytes]:
        return self._send(method, path, self._signature(method, path, "", headers, body, service), body)

    def _signature(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, service: str) -> dict[str, str]:
        """`headers`, and those that sign the request."""
        signed = {"Host": urllib.parse.urlsplit(self.endpoint).netloc, **headers}
        signature = sign(
            method,
            path,
            query,
            signed.items(),
            body,
            access_key_id=self._credentials.access_key_id,
            secret_access_key=self._credentials.secret_access_key,
            region=self._region,
            service=service,
            now=time.time(),
            session_token=self._session_token,
        )
        return {**signed, **signature}

    def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        with self._answering(method, path, headers, body) as response:
            return response.status, response.read()

    @contextmanager
    def _answering(
        self, method: str, target: str, headers: dict[str, str], body: bytes, patience_s: float | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read inside; raises Failure where nobody answers or goes on answering."""
        url = urllib.parse.urlsplit(self.endpoint)
        host, timeout_s = url.hostname or "127.0.0.1", patience_s or self._timeout_s
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            connection = http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=trusting(self._ca_bundle))
        else:
            connection = http.client.HTTPConnection(host, url.port, timeout=timeout_s)
        try:
            connection.request(method, target, body, headers)
            yield connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise Failure(
                f"{self.endpoint} proves itself with a certificate that is not trusted here: {error.verify_message}",
                "`longshore ca` prints the authority to trust, where the platform runs",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"nothing answers at {self.endpoint} ({error})", "is the platform up? `longshore status` tells") from error
        finally:
            connection.close()


def trusting(ca_bundle: Path | str | None) -> ssl.SSLContext:
    """What the system trusts, and `ca_bundle`; raises Failure where that cannot be read."""
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except OSError as error:  # ssl.SSLError is one
            raise Failure(f"{ca_bundle} holds no certificate to trust: {error.strerror or error}", "give another file") from error
    return context


def _refusal(status: int, content: bytes) -> str:
    try:
        refusal = msgspec.json.decode(content, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"HTTP {status}"
    return f"{refusal.type or f'HTTP {status}'} {in_words(refusal.message)}".strip()


class OwnRefusal(msgspec.Struct, frozen=True):
    """The body of an error answer of Longshore's own routes."""

    error: str = ""
    message: str = ""


def _own_refusal(status: int, content: bytes) -> str:
    try:
        refusal = msgspec.json.decode(content, type=OwnRefusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"HTTP {status}"
    return refusal.message or refusal.error or f"HTTP {status}"

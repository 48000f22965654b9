"""Longshore's own routes for the installation's keys; `longshore keys` is their client.

    GET  /_longshore/keys            generations, what is left to do, where the master key comes from    longshore:DescribeKeys
    POST /_longshore/keys/rotate     a new generation; {"atOnce": true} ends all that was signed          longshore:RotateKeys
    POST /_longshore/keys/master     {"source", "file", "command", "key"}: wraps the keyring anew         the root user alone

Signed like any AWS request (service `longshore`), body included. No answer holds a key. The master key may become what a program says
that the server runs, or what the caller sends: so the last is for the root user of the installation's account, with a long-lived key,
on the server's own machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from longshore.aws.errors import AccessDenied, AwsError, Validation
from longshore.control.keys.controller import standings
from longshore.control.keys.plan import goes_at
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest, read_body
from longshore.kit.addresses import is_loopback
from longshore.kit.clock import Clock
from longshore.kit.data_keys import lock_of
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import Master, MasterKeyProblem, Source
from longshore.services.call import Principal, Site
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION
from longshore.services.iam.model import root_arn
from longshore.services.keys.model import ROTATIONS, Rotation, rotation_key
from longshore.store.base import Store, StoreUnavailable, Tx

log = logging.getLogger("longshore.keys")

T = TypeVar("T")

ROUTE = "/_longshore/keys"
_METHODS = {ROUTE: "GET", f"{ROUTE}/rotate": "POST", f"{ROUTE}/master": "POST"}
_MOST_BODY = 16 * 1024
_BODY_S = 10.0


class KeyringUnavailable(AwsError):
    """The keyring cannot be changed at present."""

    status = 503


class GenerationShown(msgspec.Struct, frozen=True, rename="camel"):
    number: int
    #: seconds since the epoch; 0 for one that was there before there were generations
    made_at: float
    #: current, kept (opens and verifies), void (opens what lies here, verifies nothing) or dropped
    state: str
    #: when its secret may go
    goes_at: float | None = None
    rotation: Rotation | None = None


class KeysShown(msgspec.Struct, frozen=True, rename="camel"):
    master_key: Master
    generations: tuple[GenerationShown, ...]


class _Rotate(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    at_once: bool = False


class _Rewrap(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    #: none: another key from where it comes now
    source: Source | None = None
    file: str = ""
    command: str = ""
    #: of an environment variable
    key: str = ""


class KeysRoute:
    def __init__(
        self,
        *,
        store: Store,
        keyring: KeyringFile,
        identities: Identities,
        access: Access,
        clock: Clock,
        site: Site,
        handed: Callable[[str], None] = lambda key: None,
    ) -> None:
        """`handed` is told the master key that the next start needs, where it is in no file."""
        self._store = store
        self._keyring = keyring
        self._identities = identities
        self._access = access
        self._clock = clock
        self._site = site
        self._handed = handed

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method = _METHODS.get(request.path)
        if method is None:
            return _json(404, {"error": "NotFound", "message": f"There are {', '.join(_METHODS)}."})
        if request.method != method:
            return _json(405, {"error": "MethodNotAllowed"})
        try:
            body = await read_body(request, _MOST_BODY, _BODY_S)
            identified = self._identities.identify(ApiRequest.of(request, body))
            match request.path.removeprefix(ROUTE):
                case "":
                    self._require(request, identified.principal, identified.region, "longshore:DescribeKeys")
                    return _json(200, self.shown())
                case "/rotate":
                    self._require(request, identified.principal, identified.region, "longshore:RotateKeys")
                    return _json(200, await self._rotate(_asked(body, _Rotate), identified.principal))
                case _:
                    self._require(request, identified.principal, identified.region, "longshore:RotateMasterKey")
                    self._require_root(request, identified.principal)
                    return _json(200, await self._rewrap(_asked(body, _Rewrap)))
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            return _json(408, {"error": "RequestTimeout", "message": "The body did not come."})
        except StoreUnavailable as error:
            return _json(503, {"error": "ServiceUnavailable", "message": f"Nothing can be written at present: {error}"})

    def _require(self, request: web.BaseRequest, principal: Principal, region: str, action: str) -> None:
        admit(self._access, request, principal, region, action, account_id=self._site.account_id)

    def _require_root(self, request: web.BaseRequest, principal: Principal) -> None:
        if principal.arn != root_arn(self._site.account_id) or principal.session is not None:
            raise AccessDenied("The master key is for the root user of the installation's account alone, and for no session of its.")
        if not is_loopback(request.remote or ""):
            raise AccessDenied("The master key is changed on the server's own machine alone.")

    def shown(self) -> KeysShown:
        generations = standings(self._keyring.keys)
        rotations = {rotation.number: rotation for rotation in self._store.list(ROTATIONS)}
        current = generations[-1].number
        return KeysShown(
            self._keyring.master,
            tuple(
                GenerationShown(
                    number=one.number,
                    made_at=one.made_at,
                    state="current" if one.number == current else "dropped" if not one.has_secret else "void" if one.is_void else "kept",
                    goes_at=goes_at(generations, one.number),
                    rotation=rotations.get(one.number),
                )
                for one in generations
            ),
        )

    async def _rotate(self, asked: _Rotate, principal: Principal) -> KeysShown:
        """Raises KeyringUnavailable."""
        now = self._clock.now()
        made = await self._changed(lambda: self._keyring.rotate(now, at_once=asked.at_once))

        def note(tx: Tx) -> None:
            known = tx.get(ENCRYPTION, INSTALLATION)
            if known is not None:
                tx.put(ENCRYPTION, msgspec.structs.replace(known, lock=lock_of(self._keyring.keys)))
            if tx.get(ROTATIONS, rotation_key(made.number)) is None:
                tx.put(ROTATIONS, Rotation(made.number, now, principal.arn, asked.at_once))

        await self._store.transact(note)
        ends = ": every session, docker login and login at a load balancer has ended" if asked.at_once else ""
        log.warning("%s has rotated the keys: generation %d seals and signs from now on%s", principal.arn, made.number, ends)
        return self.shown()

    async def _rewrap(self, asked: _Rewrap) -> KeysShown:
        """Raises Validation and KeyringUnavailable."""
        source = asked.source or self._keyring.master.source
        same = self._keyring.master if source == self._keyring.master.source else Master(source)
        master = Master(source, asked.file or same.file, asked.command or same.command)
        if source == "command" and not master.command.strip():
            raise Validation("A command is needed.")
        if source == "environment" and not asked.key:
            raise Validation("The key is needed that LONGSHORE_MASTER_KEY will hold at the next start.")
        if source == "file" and master.file and not master.file.startswith("/"):
            raise Validation("The file is named by its whole path.")
        try:
            await self._changed(lambda: self._keyring.rewrap(master, asked.key if source == "environment" else ""))
        finally:  # what could not be tidied up afterwards does not change what the next start needs
            self._handed(self._keyring.handed)
        log.warning("the keyring is wrapped with another master key, from %s", master)
        return self.shown()

    async def _changed(self, change: Callable[[], T]) -> T:
        try:
            return await asyncio.shield(asyncio.to_thread(change))
        except MasterKeyProblem as problem:
            raise KeyringUnavailable(f"{problem.cause}; {problem.fix}") from None


def _asked(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.MsgspecError, RecursionError):
        raise Validation("The body is a JSON object of the members that docs/secrets.md names.") from None


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")

"""Whoever talks to identity providers for a balancer, put together: a socket that HAProxy finds, keys of token issuers, sessions.

It runs where the balancer runs. While it is away HAProxy goes on letting in whoever has logged in, and whoever has a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.auth.app import AuthenticationApp
from longshore.balancer.auth.keys import Keys as KeySets
from longshore.balancer.auth.keys import TokenKeys
from longshore.balancer.auth.logins import Logins
from longshore.balancer.auth.provider import Provider
from longshore.balancer.auth.sessions import session_keys
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front, Snapshot
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.store.base import Store

log = logging.getLogger("longshore.balancer.auth")

_MOST_HEAD = 64 * 1024


class Authentication:
    """`changed` is called when HAProxy is to have other keys, and returns when it has them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        places: Places,
        secret: Keys,
        changed: Callable[[], Awaitable[None]],
        authority: Path | None = None,
    ) -> None:
        self._places = places
        self._secret = secret
        self._provider = Provider(authority)
        self._keys = TokenKeys(self._provider, clock, Path(places.directory, "token-keys"), changed)
        logins = Logins(self._provider, clock, secret)
        self._app = AuthenticationApp(store, clock, secret, places, logins, self._keys)
        self._server: asyncio.AbstractServer | None = None
        self._http: web.Server | None = None
        self._job: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """(ARN of a load balancer, CloudWatch's name of what is counted) -> how often since the start."""
        return self._app.counts

    async def start(self) -> None:
        """Raises OSError."""
        self._keys.load()
        socket = self._places.auth_socket
        _clear(socket)
        self._http = web.Server(
            self._app.handle, access_log=None, max_line_size=_MOST_HEAD, max_field_size=_MOST_HEAD, auto_decompress=False
        )
        self._server = await asyncio.get_running_loop().create_unix_server(self._http, socket)
        os.chmod(socket, 0o600)
        self._job = asyncio.create_task(self._keys.keep(), name="balancer:token-keys")

    async def close(self) -> None:
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        if self._http is not None:
            await self._http.shutdown(1.0)
        await self._provider.close()

    def filled(self, snapshot: Snapshot) -> Snapshot:
        """With what HAProxy needs to let people and tokens in."""
        endpoints = {url for front in snapshot.fronts for url in _key_sets_of(front)}
        keys = self._keys.wanted(endpoints)
        return replace(snapshot, fronts=tuple(self._filled(front, keys) for front in snapshot.fronts))

    def _filled(self, front: Front, keys: KeySets) -> Front:
        here = {url: keys[url] for url in _key_sets_of(front) if url in keys}
        if any(action.authenticate_oidc_config is not None for action in _all_actions(front)):
            newest, *older = (b64encode(key).decode() for key in session_keys(self._secret, front.load_balancer.arn))
            return replace(front, session_key=newest, older_session_keys=tuple(older), token_keys=here)
        return replace(front, token_keys=here) if here else front


def _clear(socket: str) -> None:
    """Of what a process before us has left."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)


def _all_actions(front: Front) -> list[shapes.Action]:
    return [*front.listener.default_actions, *(action for rule in front.rules for action in rule.actions)]


def _key_sets_of(front: Front) -> list[str]:
    return [action.jwt_validation_config.jwks_endpoint for action in _all_actions(front) if action.jwt_validation_config is not None]

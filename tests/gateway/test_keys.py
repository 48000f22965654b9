"""The routes for the installation's keys, and what a rotation means for whoever holds something that was signed before."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longshore.aws.sigv4 import sign
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.keys import ROUTE, KeysRoute
from longshore.kit.clock import SteppedClock
from longshore.kit.data_keys import lock_of
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import Master
from longshore.services.call import Site
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION
from longshore.services.iam import model as iam
from longshore.services.keys import model as keys
from longshore.services.sts.sessions import Claims, write_token
from tests.gateway.platform import ACCOUNT, KEY, REGION, SECRET, Platform, platform_on

NEW_KEY = b64encode(b"n" * 32).decode()
ANN, ANNS_SECRET = "AKIAANNANNANNANNANNA", "ann's secret"


class House(NamedTuple):
    platform: Platform
    keyring: KeyringFile
    #: master keys that the next start needs
    handed: list[str]

    async def ask(
        self,
        method: str,
        path: str = "",
        body: object = None,
        *,
        key: str = KEY,
        secret: str = SECRET,
        token: str = "",
        sent: object = None,
    ) -> tuple[int, dict[str, Any]]:
        content = b"" if body is None else json.dumps(body).encode()
        headers = sign(
            method,
            f"{ROUTE}{path}",
            "",
            [("Host", self.platform.url.removeprefix("http://"))],
            content,
            access_key_id=key,
            secret_access_key=secret,
            session_token=token or None,
            region=REGION,
            service="longshore",
            now=self.platform.clock.now(),
        )
        data = content if sent is None else json.dumps(sent).encode()
        async with self.platform.http.request(method, f"{self.platform.url}{ROUTE}{path}", headers=headers, data=data) as answer:
            return answer.status, json.loads(await answer.read())

    def session(self) -> tuple[str, str, str]:
        """Of the root, as GetSessionToken gives one."""
        now = self.platform.clock.now()
        claims = Claims(ACCOUNT, "ASIASESSION", "session's secret", now, now + 3600, begun_with=KEY, user_id=ACCOUNT)
        return claims.access_key_id, claims.secret_access_key, write_token(self.keyring.keys, claims)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with platform_on(SteppedClock()) as made:
        keyring = KeyringFile(tmp_path)
        keyring.begin(b"s" * 32, made.clock.now())
        site, handed = Site(ACCOUNT, REGION, ("us-test-1a",), made.url, 4566), list[str]()
        route = KeysRoute(
            store=made.store,
            keyring=keyring,
            identities=Identities(made.store, made.clock, site, keyring.keys),
            access=Access(made.store, made.clock),
            clock=made.clock,
            site=site,
            handed=handed.append,
        )
        made.gateway.mount(ROUTE, route.handle)
        user = iam.User(ACCOUNT, "ann", "AIDAANNANNANNANNANNAN", 0.0)
        await made.store.transact(lambda tx: tx.put(iam.USERS, user))
        await made.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, iam.AccessKey(ANN, ACCOUNT, user.arn, ANNS_SECRET, 0.0)))
        await made.store.transact(lambda tx: ensure_encryption(tx, keyring.keys, always=False))
        yield House(made, keyring, handed)


async def allow(house: House, action: str) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "p", document)
    await house.platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))


async def test_a_rotation_makes_a_generation_that_seals_from_then_on(house: House) -> None:
    status, shown = await house.ask("GET")
    assert (status, [(one["number"], one["state"]) for one in shown["generations"]]) == (200, [(1, "current")])
    status, shown = await house.ask("POST", "/rotate", {})
    assert (status, [(one["number"], one["state"]) for one in shown["generations"]]) == (200, [(1, "kept"), (2, "current")])
    assert [(one.number, one.at_once) for one in house.platform.store.list(keys.ROTATIONS)] == [(2, False)]
    known = house.platform.store.get(ENCRYPTION, INSTALLATION)
    assert known is not None
    assert known.lock == lock_of(house.keyring.keys)
    for generation in house.keyring.keys.generations:
        assert generation.secret.hex() not in json.dumps(shown)
        assert b64encode(generation.secret).decode() not in json.dumps(shown)


@pytest.mark.parametrize(("at_once", "status"), [(False, 200), (True, 400)])
async def test_sessions_of_before_go_on_unless_they_are_to_end(house: House, at_once: bool, status: int) -> None:
    key, secret, token = house.session()
    assert (await house.ask("GET", key=key, secret=secret, token=token))[0] == 200
    await house.ask("POST", "/rotate", {"atOnce": at_once})
    assert (await house.ask("GET", key=key, secret=secret, token=token))[0] == status
    key, secret, token = house.session()
    assert (await house.ask("GET", key=key, secret=secret, token=token))[0] == 200


async def test_policies_decide_who_rotates(house: House) -> None:
    ann = {"key": ANN, "secret": ANNS_SECRET}
    assert (await house.ask("POST", "/rotate", {}, **ann))[0] == 400
    await allow(house, "longshore:DescribeKeys")
    assert (await house.ask("GET", **ann))[0] == 200
    assert (await house.ask("POST", "/rotate", {}, **ann))[0] == 400
    await allow(house, "longshore:RotateKeys")
    assert (await house.ask("POST", "/rotate", {}, **ann))[0] == 200


async def test_the_master_key_is_the_roots_alone_and_no_sessions_of_its(house: House) -> None:
    await allow(house, "*")
    before = house.keyring.path.read_bytes()
    for who in ({"key": ANN, "secret": ANNS_SECRET}, dict(zip(("key", "secret", "token"), house.session(), strict=True))):
        status, said = await house.ask("POST", "/master", {"source": "environment", "key": NEW_KEY}, **who)  # type: ignore[arg-type]
        assert (status, said["error"]) == (400, "AccessDeniedException")
        assert "root user" in said["message"]
    assert house.keyring.path.read_bytes() == before
    status, shown = await house.ask("POST", "/master", {"source": "environment", "key": NEW_KEY})
    assert (status, shown["masterKey"]["source"]) == (200, "environment")
    assert house.handed == [NEW_KEY]
    assert NEW_KEY not in json.dumps(shown)
    assert KeyringFile(house.keyring.path.parent, None, NEW_KEY).open()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/rotate", {"atOnce": "yes"}, 400),
        ("/rotate", {"at_once": True}, 400),
        ("/rotate", [], 400),
        ("/master", {"source": "vault"}, 400),
        ("/master", {"source": "command"}, 400),
        ("/master", {"source": "environment"}, 400),
        ("/master", {"source": "file", "file": "relative"}, 400),
        ("/master", {"source": "file", "file": "/nowhere/at/all"}, 503),
        ("/master", {"source": "environment", "key": "short"}, 503),
        ("/master", {"source": "command", "command": "/nowhere/at/all"}, 503),
        ("/nothing", {}, 404),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(house: House, path: str, body: object, status: int) -> None:
    before = house.keyring.path.read_bytes()
    found, said = await house.ask("POST", path, body)
    assert found == status, said
    assert house.keyring.path.read_bytes() == before
    assert house.keyring.master == Master()
    assert (await house.ask("PUT", "/rotate", {}))[0] == 405


async def test_a_body_that_was_not_signed_is_none_of_its(house: House) -> None:
    assert (await house.ask("POST", "/rotate", {"atOnce": False}, sent={"atOnce": True}))[0] == 400
    assert len(house.keyring.keys.generations) == 1

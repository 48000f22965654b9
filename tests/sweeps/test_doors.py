"""Every door beside the APIs, asked by all who may not: nobody, strangers, keys and sessions that are over, people without rights."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.gateway.names import ROUTE as NAMES_ROUTE
from longshore.listening import DRAIN_S
from tests.gateway.platform import until
from tests.sweeps.doors import (
    DEV,
    DISABLED,
    MOUNTS,
    OPEN,
    REGISTRY,
    ROOT,
    SIGNED,
    STRANGERS_ROOT,
    TOKENS,
    USER,
    Answer,
    Door,
    Doorway,
    Keys,
)

#: who is not known, and as what they come
UNKNOWN = (
    "nobody",
    "a wrong signature",
    "an unknown key",
    "an old date",
    "a disabled key",
    "an ended session",
    "half a session",
)
#: who is known and may not
POWERLESS = ("no policy", "an explicit deny", "rights to something else", "another account")
CASES = (*UNKNOWN, *POWERLESS, "allowed")
NAMES = next(door for door in SIGNED if door.path == NAMES_ROUTE)
every_door = pytest.mark.parametrize("door", SIGNED, ids=lambda door: door.name)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def doorway(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorway]:
    made = Doorway(tmp_path_factory.mktemp("doors"))
    runner.run(made.open())
    yield made
    runner.run(made.close())


def test_every_mount_of_the_server_is_tried(doorway: Doorway) -> None:
    assert set(doorway.gateway._mounts) == set(MOUNTS)
    tried = [door.path for door in SIGNED] + [path for _, path in (*OPEN, *TOKENS, *DEV, *REGISTRY)]
    for prefix in MOUNTS:
        assert any(path.startswith(prefix) for path in tried), prefix


@every_door
def test_who_is_not_known_is_refused(runner: asyncio.Runner, doorway: Doorway, door: Door) -> None:
    async def ask() -> None:
        here = doorway.here(door)
        before = doorway.store.revision
        for case, headers in {
            "nobody": {},
            "a wrong signature": doorway.signature(here, Keys(ROOT.access_key_id, "another secret")),
            "an unknown key": doorway.signature(here, Keys("AKIANOBODYNOBODYNOBO", ROOT.secret)),
            "an old date": doorway.signature(here, ROOT, skew_s=-86_400.0),
            "a disabled key": doorway.signature(here, DISABLED),
            "an ended session": doorway.signature(here, doorway.ended_session),
            "half a session": doorway.signature(here, doorway.session._replace(token=None)),
        }.items():
            assert case in UNKNOWN
            answer = await doorway.knock(here, headers)
            assert answer.refused, (case, answer)
        for path in (f"{here.path}x", f"{here.path}/x"):
            other = await doorway.knock(here._replace(path=path), doorway.signature(here, ROOT))
            assert not other.opened, "another path than the one that was signed"
        assert doorway.store.revision == before

    runner.run(ask())


@every_door
def test_who_has_no_right_is_refused(runner: asyncio.Runner, doorway: Doorway, door: Door) -> None:
    async def ask() -> None:
        here = doorway.here(door)
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        statements = {
            "no policy": (),
            "an explicit deny": (everything, {"Effect": "Deny", "Action": here.action or "*", "Resource": "*"}),
            "rights to something else": ({"Effect": "Allow", "Action": f"{here.action}Not", "Resource": "*"},),
        }
        for case, policy in statements.items():
            assert case in POWERLESS
            await doorway.allow(*policy)
            before = doorway.store.revision
            answer = await doorway.knock(here, doorway.signature(here, USER))
            if here.action:
                assert answer.refused and answer.denied, (case, answer)
                assert doorway.store.revision == before
            elif here.for_the_root:  # machines' sessions alone are renewed
                assert answer.refused, (case, answer)
        before = doorway.store.revision
        stranger = await doorway.knock(here, doorway.signature(here, STRANGERS_ROOT))
        assert stranger.refused or not (here.action or here.for_the_root), stranger
        assert doorway.store.revision == before

    runner.run(ask())


@every_door
def test_exactly_its_action_opens_it(runner: asyncio.Runner, doorway: Doorway, door: Door) -> None:
    async def ask() -> Answer:
        here = doorway.here(door)
        wanted = [here.action, "ecs:LongshoreActForContainerInstance"] if here.service == "ecs" else [here.action]
        await doorway.allow(*({"Effect": "Allow", "Action": action, "Resource": "*"} for action in wanted if action))
        return await doorway.knock(here, doorway.signature(here, USER))

    answer = runner.run(ask())
    if door.for_the_root:
        assert answer.refused, "not for users"
    else:
        assert not answer.denied and answer.status not in (401, 403), answer


@pytest.mark.parametrize(("method", "path"), REGISTRY)
def test_the_registry_is_closed_to_who_has_no_token_and_no_rights(runner: asyncio.Runner, doorway: Doorway, method: str, path: str) -> None:
    door = Door(method, path, {}, "")
    enter = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}

    async def ask() -> None:
        await doorway.allow(enter)
        own, strangers = await doorway.token(USER), await doorway.token(STRANGERS_ROOT)
        before = doorway.store.revision
        basic = [b64encode(f"AWS:{secret}".encode()).decode() for secret in ("", "guessed", USER.secret, ROOT.secret)]
        unknown = ["", *(f"Basic {each}" for each in basic), "Bearer guessed", own[:-8] + "AAAAAAA=", own.replace("Basic", "Bearer") + "x"]
        for given in unknown:
            answer = await doorway.knock(door, {"Authorization": given} if given else {})
            assert answer.status == 401, (given[:12], answer)
        if path != "/v2/":
            for given in (own, strangers):
                answer = await doorway.knock(door, {"Authorization": given})
                assert answer.status in (401, 403), answer
        assert doorway.store.revision == before
        await doorway.set_key(USER, "Inactive")
        try:
            assert (await doorway.knock(door, {"Authorization": own})).status == 401, "of a disabled key"
        finally:
            await doorway.set_key(USER, "Active")

    runner.run(ask())


@pytest.mark.parametrize(("method", "path"), TOKENS)
def test_what_a_link_opens_no_guess_and_no_signature_opens(runner: asyncio.Runner, doorway: Doorway, method: str, path: str) -> None:
    async def ask() -> None:
        before = doorway.store.revision
        door = Door(method, path, {}, "")
        for headers in ({}, doorway.signature(door, ROOT), {"Authorization": "Bearer guessed"}):
            answer = await doorway.knock(door, headers)
            assert not answer.opened and answer.status < 500, answer
        assert doorway.store.revision == before

    runner.run(ask())


@pytest.mark.parametrize(("method", "path"), OPEN)
def test_what_everybody_may_ask_tells_of_nobody(runner: asyncio.Runner, doorway: Doorway, method: str, path: str) -> None:
    answer = runner.run(doorway.knock(Door(method, path, {}, ""), {}))
    assert answer.status in (200, 404)


@pytest.mark.parametrize(("method", "path"), DEV)
def test_what_only_a_dev_platform_has_is_refused_to_the_root_as_well(
    runner: asyncio.Runner, doorway: Doorway, method: str, path: str
) -> None:
    door = Door(method, path, {}, "")
    answer = runner.run(doorway.knock(door, doorway.signature(door, ROOT)))
    assert answer.status == 403


async def test_a_server_that_stops_waits_for_nobody_who_only_waits(tmp_path: Path) -> None:
    made = Doorway(tmp_path)
    await made.open()
    tail = made.here(next(door for door in SIGNED if door.path.endswith("/tail")))
    mark = json.loads(await made.read(NAMES))["mark"]
    answers = [asyncio.ensure_future(made.read(door)) for door in (NAMES._replace(query={**NAMES.query, "after": mark}), tail)]
    await until(lambda: made.answering.names.waiting and made.answering.measuring.watching)
    async with asyncio.timeout(DRAIN_S / 2):
        await made.stop()
    assert json.loads(await answers[0])["mark"] == mark
    assert await answers[1], "its head came at once"
    await made.close()

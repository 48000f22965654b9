"""Sessions that are ended before their time, with all that was begun in them, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.gateway.agents.ending import until_revoked
from longshore.registry.errors import Unauthorized
from longshore.services.sts.model import REVOCATIONS
from longshore.services.sts.revocations import ROLES_S, USERS_S, forget, forgettable
from tests.gateway.place import EVERYTHING, ROLE, Place, allow, document, furnished, keys_of, login, trust
from tests.gateway.platform import until
from tests.sweeps.installation import OWNER, ROOT, STRANGERS_ROOT, Keys

NEXT = ROLE.replace("deploy", "next")
HOST = "127.0.0.1:4566"


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with furnished() as place:
        await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING))
        await place.done("iam", "CreateRole", RoleName="next", AssumeRolePolicyDocument=trust({"AWS": [ROLE, OWNER]}))
        await allow(place, EVERYTHING, role="next")
        await allow(place, EVERYTHING)
        yield place


async def end(place: Place, keys: Keys = ROOT, **subject: Any) -> Any:
    return (await place.done("sts", "LongshoreRevokeSessions", keys, **subject))["Revocation"]


async def is_over(place: Place, keys: Keys) -> bool:
    answer = await place.ask("sts", "GetCallerIdentity", keys)
    assert answer.status == 200 or answer.code == "ExpiredToken", answer.message
    return answer.status != 200


async def own_session(place: Place) -> Keys:
    return keys_of(await place.done("sts", "GetSessionToken", place.ann))


async def test_all_sessions_of_a_role_end_and_new_ones_begin(place: Place) -> None:
    before, other = await place.assume(), await place.assume(role=NEXT)
    said = await end(place, RoleName="deploy")
    now = place.there.clock.now()
    assert (said["Subject"], said["IssuedBefore"], said["RevokedBy"]) == (ROLE, now, f"arn:aws:iam::{OWNER}:root")
    assert said["NeededUntil"] == now + ROLES_S
    assert await is_over(place, before), "though the clock has not moved"
    assert not await is_over(place, other) and not await is_over(place, place.ann)
    assert not await is_over(place, await place.assume())
    assert (await place.ask("ecs", "ListClusters", before)).code == "ExpiredTokenException"


async def test_what_was_begun_in_a_session_ends_with_it(place: Place) -> None:
    own = await own_session(place)
    through = await place.assume(own)
    further = await place.assume(through, NEXT)
    direct = await place.assume(role=NEXT)
    await end(place, AccessKeyId=own.access_key_id)
    assert [await is_over(place, keys) for keys in (own, through, further, direct)] == [True, True, True, False]
    assert not await is_over(place, await own_session(place))


async def test_all_sessions_that_a_user_began_end_and_the_users_keys_do_not(place: Place) -> None:
    federated = keys_of(await place.done("sts", "GetFederationToken", place.ann, Name="guest"))
    began = [await own_session(place), await place.assume(), federated]
    began.append(await place.assume(began[1], NEXT))
    rooted = await place.assume(ROOT, NEXT)
    said = await end(place, UserName="ann")
    assert said["NeededUntil"] == place.there.clock.now() + USERS_S
    assert [await is_over(place, keys) for keys in began] == [True] * 4
    assert not await is_over(place, rooted) and not await is_over(place, place.ann)


async def test_a_long_lived_key_can_be_named_too(place: Place) -> None:
    made = (await place.done("iam", "CreateAccessKey", UserName="ann"))["AccessKey"]
    second = Keys(made["AccessKeyId"], made["SecretAccessKey"])
    of_first, of_second = await place.assume(), await place.assume(second)
    await end(place, AccessKeyId=second.access_key_id)
    assert not await is_over(place, of_first) and await is_over(place, of_second)


async def test_only_sessions_from_before_a_moment_may_be_ended(place: Place) -> None:
    old = await place.assume()
    began_by_old = await place.assume(old, NEXT)
    await place.there.clock.step(100)
    late = await place.assume(old, NEXT)
    young = await place.assume()
    await end(place, RoleName="deploy", IssuedBefore=int(place.there.clock.now()) - 50)
    assert [await is_over(place, keys) for keys in (old, began_by_old, late, young)] == [True, True, True, False]
    await end(place, RoleName="deploy", IssuedBefore=5)
    assert await is_over(place, old), "what was ended stays so"
    refused = await place.refusal("LongshoreRevokeSessions", ROOT, RoleName="deploy", IssuedBefore=int(place.there.clock.now()) + 5)
    assert "in the future" in refused


async def test_a_clock_that_was_ahead_keeps_no_session_alive(place: Place) -> None:
    ahead = place.there.clock.now() + 3000
    place.there.clock._now = ahead
    session = await place.assume()
    place.there.clock._now = ahead - 3000
    assert not await is_over(place, session)
    await end(place, RoleName="deploy")
    assert await is_over(place, session), "though it says that it began later"
    assert not await is_over(place, await place.assume())


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ({}, "ValidationError: Give one of"),
        ({"RoleName": "deploy", "UserName": "ann"}, "ValidationError: Give one of"),
        ({"RoleName": "none"}, "NoSuchEntity: The role with name none cannot be found."),
        ({"UserName": "none"}, "NoSuchEntity: The user with name none cannot be found."),
        ({"AccessKeyId": STRANGERS_ROOT.access_key_id}, "ValidationError: The access key AKIASTRANGERSTRANGER is none of this account's."),
    ],
)
async def test_what_cannot_be_ended_is_refused(place: Place, subject: dict[str, str], words: str) -> None:
    assert (await place.refusal("LongshoreRevokeSessions", ROOT, **subject)).startswith(words)


async def test_another_account_ends_nothing_here(place: Place) -> None:
    session = await place.assume()
    assert "none of this account's" in await place.refusal("LongshoreRevokeSessions", STRANGERS_ROOT, AccessKeyId=session.access_key_id)
    assert "NoSuchEntity" in await place.refusal("LongshoreRevokeSessions", STRANGERS_ROOT, RoleName="deploy")
    assert not await is_over(place, session)
    await end(place, RoleName="deploy")
    assert "Revocations" not in await place.done("sts", "LongshoreListRevocations", STRANGERS_ROOT)


async def test_what_another_account_began_here_ends_with_its_own_session(place: Place) -> None:
    theirs = keys_of(await place.done("sts", "GetSessionToken", STRANGERS_ROOT))
    await place.done("iam", "UpdateAssumeRolePolicy", RoleName="next", PolicyDocument=trust({"AWS": "210987654321"}))
    here = await place.assume(theirs, NEXT)
    await end(place, STRANGERS_ROOT, AccessKeyId=theirs.access_key_id)
    assert await is_over(place, here)


async def test_it_takes_a_right_of_its_own_on_whose_sessions_they_are(place: Place) -> None:
    ending = {"Effect": "Allow", "Action": "sts:LongshoreRevokeSessions", "Resource": ROLE}
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(ending))
    await end(place, place.ann, RoleName="deploy")
    for subject, resource in (({"RoleName": "next"}, NEXT), ({"UserName": "ann"}, f"arn:aws:iam::{OWNER}:user/ann")):
        assert f"sts:LongshoreRevokeSessions on resource: {resource}" in await place.refusal("LongshoreRevokeSessions", **subject)
    assert "LongshoreListRevocations" in await place.refusal("LongshoreListRevocations")


async def test_they_are_listed_until_there_is_nothing_left_to_end_and_then_forgotten(place: Place) -> None:
    await end(place, UserName="ann")
    await place.there.clock.step(10)
    await end(place, RoleName="deploy")
    listed = (await place.done("sts", "LongshoreListRevocations"))["Revocations"]
    assert [each["Subject"] for each in listed] == [ROLE, f"arn:aws:iam::{OWNER}:user/ann"]
    store, clock = place.there.store, place.there.clock
    assert not forgettable(store, clock.now())
    await clock.step(USERS_S)
    (key,) = forgettable(store, clock.now())
    await store.transact(lambda tx: forget(tx, [key], clock.now()))
    assert [each.name for each in store.list(REVOCATIONS)] == [ROLE]
    await clock.step(ROLES_S)
    assert len(forgettable(store, clock.now())) == 1


async def test_docker_is_out_at_once_whatever_it_logged_in_with(place: Place) -> None:
    headers = [(await login(place, keys))[0] for keys in (place.ann, await place.assume(), await place.assume(ROOT, NEXT))]
    door = place.door()
    for header in headers:
        door.identify(header, "http", HOST)
    await end(place, UserName="ann")
    for header in headers[:2]:
        with pytest.raises(Unauthorized):
            door.identify(header, "http", HOST)
    door.identify(headers[2], "http", HOST)
    again, _ = await login(place, place.ann)
    door.identify(again, "http", HOST)


async def test_sockets_that_a_session_opened_are_closed(place: Place) -> None:

    session = await place.assume()
    principal = place.there.gateway._identities.owner(session.token or "")
    assert principal is not None
    waiting = asyncio.create_task(until_revoked(place.there.store, principal))
    await end(place, RoleName="next")
    assert not waiting.done()
    await end(place, AccessKeyId=session.access_key_id)
    await until(waiting.done)


async def test_sessions_are_begun_one_in_another_sixteen_times_at_most(place: Place) -> None:
    session = await place.assume()
    await place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trust({"AWS": OWNER}))
    for _ in range(14):
        session = await place.assume(session)
    assert "one in another 16 times at most" in await place.refusal("AssumeRole", session, RoleArn=ROLE, RoleSessionName="work")
    await end(place, UserName="ann")
    assert await is_over(place, session), "the first of them all is known"

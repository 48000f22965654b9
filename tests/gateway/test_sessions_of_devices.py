"""Codes of devices in sessions: what they open, that one is good once, and that wrong ones are counted whatever policies say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.services.iam.devices import MFA_DEVICES, code_at, step_of
from tests.gateway.place import EVERYTHING, ROLE, Place, allow, document, furnished, keys_of, trust
from tests.sweeps.installation import OWNER, ROOT, Keys
from tests.sweeps.people import SEED

PRESENT = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
WRONG = "AccessDenied: MultiFactorAuthentication failed with invalid MFA one time pass code"


class Owner:
    """Ann, with a device whose codes are known."""

    def __init__(self, place: Place, serial: str) -> None:
        self.place = place
        self.serial = serial

    def code(self, steps: int = 0) -> dict[str, str]:
        return {"SerialNumber": self.serial, "TokenCode": code_at(SEED, step_of(self.place.there.clock.now()) + steps)}

    async def session(self, **more: Any) -> Keys:
        return keys_of(await self.place.done("sts", "GetSessionToken", self.place.ann, **more))


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    async with furnished() as place:
        made = await place.done("iam", "CreateVirtualMFADevice", VirtualMFADeviceName="telephone")
        serial = made["VirtualMFADevice"]["SerialNumber"]
        device = place.there.store.get(MFA_DEVICES, serial)
        assert device is not None
        known = replace(device, seed=SEED, user_arn=f"arn:aws:iam::{OWNER}:user/ann")
        await place.there.store.transact(lambda tx: tx.put(MFA_DEVICES, known))
        yield Owner(place, serial)


async def trusted(owner: Owner, **condition: Any) -> None:
    written = trust({"AWS": f"arn:aws:iam::{OWNER}:user/ann"}, "sts:AssumeRole", Condition=condition)
    await owner.place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=written)


async def test_a_role_may_want_a_code(owner: Owner) -> None:
    await trusted(owner, **PRESENT)
    asked = {"RoleArn": ROLE, "RoleSessionName": "work"}
    assert "no role trust policy" in await owner.place.refusal("AssumeRole", **asked)
    assert (await owner.place.refusal("AssumeRole", **asked, SerialNumber=owner.serial, TokenCode="000000")).startswith(WRONG)
    session = await owner.place.assume(**owner.code())
    await allow(owner.place, {"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": PRESENT})
    assert await owner.place.may(session), "the session remembers it"


async def test_a_code_is_good_once_in_whatever_it_is_used(owner: Owner) -> None:
    code = owner.code()
    await owner.session(**code)
    assert (await owner.place.refusal("GetSessionToken", **code)).startswith(WRONG)
    assert (await owner.place.refusal("AssumeRole", RoleArn=ROLE, RoleSessionName="work", **code)).startswith(WRONG)
    await owner.place.there.clock.step(30)
    await owner.session(**owner.code())


async def test_guesses_are_counted_even_where_no_role_is_to_be_had(owner: Owner) -> None:
    await owner.place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trust({"AWS": f"arn:aws:iam::{OWNER}:root"}))
    for _ in range(12):
        asked = {"RoleArn": ROLE, "RoleSessionName": "work", "SerialNumber": owner.serial, "TokenCode": "000000"}
        assert (await owner.place.refusal("AssumeRole", **asked)).startswith(WRONG)
    assert (await owner.place.refusal("GetSessionToken", **owner.code())).startswith(WRONG), "the device is held up"


async def test_another_ones_device_is_none(owner: Owner) -> None:
    assert (await owner.place.refusal("GetSessionToken", ROOT, **owner.code())).startswith(WRONG)
    both = "must provide both MFA serial number and one time pass code"
    assert both in await owner.place.refusal("GetSessionToken", SerialNumber=owner.serial)
    assert both in await owner.place.refusal("GetSessionToken", TokenCode="123456")
    session = await owner.place.assume()
    await allow(owner.place, EVERYTHING)
    await owner.place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trust({"AWS": OWNER}))
    assert (await owner.place.refusal("AssumeRole", session, RoleArn=ROLE, RoleSessionName="work", **owner.code())).startswith(WRONG)


async def test_policies_ask_how_long_ago_the_code_was_given(owner: Owner) -> None:
    lately = {**PRESENT, "NumericLessThan": {"aws:MultiFactorAuthAge": "300"}}
    own = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": lately}
    await owner.place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(own))
    assert not await owner.place.may(owner.place.ann), "long-lived keys have none"
    assert not await owner.place.may(await owner.session())
    session = await owner.session(**owner.code())
    await owner.place.there.clock.step(299)
    assert await owner.place.may(session)
    await owner.place.there.clock.step(1)
    assert not await owner.place.may(session)


async def test_a_users_session_reaches_iam_with_a_code_alone_and_little_of_sts(owner: Owner) -> None:
    await owner.place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING))
    plain, coded = await owner.session(), await owner.session(**owner.code())
    assert (await owner.place.ask("iam", "ListUsers", plain)).code == "InvalidClientTokenId"
    assert (await owner.place.ask("iam", "ListUsers", coded)).status == 200
    for session in (plain, coded):
        assert "Cannot call GetFederationToken with session credentials" in await owner.place.refusal(
            "GetFederationToken", session, Name="guest"
        )
        assert "Cannot call GetSessionToken" in await owner.place.refusal("GetSessionToken", session)
        assert await owner.place.may(session)
        await owner.place.assume(session)


async def test_a_code_given_for_a_users_session_is_none_for_the_roles_taken_on_in_it(owner: Owner) -> None:
    coded = await owner.session(**owner.code())
    await allow(owner.place, {"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": PRESENT})
    assert not await owner.place.may(await owner.place.assume(coded))
    await trusted(owner, **PRESENT)
    await owner.place.assume(coded)

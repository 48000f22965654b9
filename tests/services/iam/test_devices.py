"""MFA devices: codes as the standard has them, each good once; made, enabled, synchronised, and held up when somebody guesses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.services.iam.devices import MFA_DEVICES, STEP_S, MfaDevice, check_code, check_two_codes, code_at, redeem_code, step_of
from longshore.services.iam.guessing import FREE, Guesses, wait_s
from tests.services.iam.wire import Account

#: RFC 6238, appendix B: the time, and the last six digits of the code for SHA-1
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"}
NOW = 1_700_000_000.0
DEVICE = MfaDevice("1", "phone", NOW, b"0123456789", user_arn="ann")
TEAM = [{"Key": "team", "Value": "edge"}]


def code(away: int = 0, now: float = NOW) -> str:
    return code_at(DEVICE.seed, step_of(now) + away)


@pytest.mark.parametrize("at", VECTORS)
def test_codes_are_those_of_the_standard(at: int) -> None:
    assert code_at(b"12345678901234567890", step_of(at)) == VECTORS[at]


@pytest.mark.parametrize(("away", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_half_a_minute_off(away: int, good: bool) -> None:
    assert check_code(DEVICE, code(away), NOW).good is good


@given(moves=st.lists(st.tuples(st.integers(0, 90), st.integers(-2, 2)), max_size=12))
def test_no_code_is_good_twice(moves: list[tuple[int, int]]) -> None:
    device, now, used = DEVICE, NOW, set()
    for later_s, away in moves:
        now += later_s
        step = step_of(now) + away
        good, device = check_code(device, code_at(device.seed, step), now)
        if good:
            assert step not in used
            used.add(step)


def test_a_device_that_goes_slow_is_followed() -> None:
    device, now = DEVICE, NOW
    for behind in range(1, 10):
        now += 86_400
        good, device = check_code(device, code(-behind, now), now)
        assert good
    assert device.drift == -9


def test_two_codes_in_a_row_set_the_clock_of_a_device_that_is_half_an_hour_off() -> None:
    assert not check_code(DEVICE, code(50), NOW).good
    good, device = check_two_codes(DEVICE, code(49), code(50), NOW)
    assert good
    assert not check_code(device, code(50), NOW).good, "used up"
    assert check_code(device, code(51), NOW + STEP_S).good
    assert not check_two_codes(DEVICE, code(50), code(49), NOW).good
    assert not check_two_codes(DEVICE, code(61), code(62), NOW).good


def test_who_guesses_waits_longer_and_longer_even_with_the_right_code() -> None:
    device = DEVICE
    for _ in range(FREE):
        good, device = check_code(device, "000000", NOW)
        assert not good
    assert not check_code(device, code(), NOW).good
    assert check_code(device, code(), NOW) == (False, device), "what comes too early is not looked at"
    later = NOW + wait_s(FREE)
    good, after = check_code(device, code(0, later), later)
    assert good
    assert after.guesses == Guesses()


@given(failures=st.integers(0, 10_000))
def test_each_failure_waits_as_long_as_the_one_before_or_longer_but_never_more_than_an_hour(failures: int) -> None:
    assert 0.0 <= wait_s(failures) <= wait_s(failures + 1) <= 3600.0


def test_a_device_that_is_nobodys_has_no_good_code() -> None:
    assert not check_code(replace(DEVICE, user_arn=""), code(), NOW).good


# ── asked for ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def account() -> Account:
    there = Account()
    await there.ask("CreateUser", UserName="ann")
    return there


async def make(account: Account, name: str = "phone", **more: Any) -> MfaDevice:
    made = (await account.ask("CreateVirtualMFADevice", VirtualMFADeviceName=name, **more))["VirtualMFADevice"]
    device = account.store.get(MFA_DEVICES, made["SerialNumber"])
    assert device is not None
    assert made["Base32StringSeed"] == device.seed_text.encode()
    assert len(made["Base32StringSeed"]) == 64
    assert made["QRCodePNG"].startswith(b"\x89PNG\r\n")
    return device


def pair(account: Account, device: MfaDevice, away: int = 0) -> dict[str, str]:
    step = step_of(account.clock.now()) + away
    return {"AuthenticationCode1": code_at(device.seed, step), "AuthenticationCode2": code_at(device.seed, step + 1)}


async def refused(account: Account, operation: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(AwsError) as raised:
        await account.ask(operation, **parameters)
    return raised.value.wire("query")


async def test_a_device_is_made_enabled_shown_and_taken_off(account: Account) -> None:
    device = await make(account, Path="/people/", Tags=TEAM)
    named = {"UserName": "ann", "SerialNumber": device.arn}
    assert device.arn == "arn:aws:iam::000000000000:mfa/people/phone"
    (listed,) = (await account.ask("ListVirtualMFADevices", AssignmentStatus="Unassigned"))["VirtualMFADevices"]
    assert listed == {"SerialNumber": device.arn}
    await account.ask("EnableMFADevice", **named, **pair(account, device))
    (assigned,) = (await account.ask("ListVirtualMFADevices", AssignmentStatus="Assigned"))["VirtualMFADevices"]
    assert assigned["User"]["UserName"] == "ann"
    assert "Base32StringSeed" not in assigned
    (of_ann,) = (await account.ask("ListMFADevices", UserName="ann"))["MFADevices"]
    assert (of_ann["UserName"], of_ann["SerialNumber"]) == ("ann", device.arn)
    assert (await account.ask("GetMFADevice", **named))["EnableDate"].timestamp() == account.clock.now()
    assert await refused(account, "EnableMFADevice", **named, **pair(account, device, 2)) == ("EntityAlreadyExists", 409)
    assert await refused(account, "DeleteVirtualMFADevice", SerialNumber=device.arn) == ("DeleteConflict", 409)
    assert await refused(account, "DeleteUser", UserName="ann") == ("DeleteConflict", 409)
    await account.ask("UpdateUser", UserName="ann", NewUserName="anna")
    await account.ask("DeactivateMFADevice", UserName="anna", SerialNumber=device.arn)
    await account.ask("DeleteVirtualMFADevice", SerialNumber=device.arn)
    assert await refused(account, "DeleteVirtualMFADevice", SerialNumber=device.arn) == ("NoSuchEntity", 404)


async def test_names_are_not_given_twice_and_wrong_codes_are_counted_where_they_are_refused(account: Account) -> None:
    device = await make(account)
    assert await refused(account, "CreateVirtualMFADevice", VirtualMFADeviceName="PHONE") == ("EntityAlreadyExists", 409)
    wrong = {"UserName": "ann", "SerialNumber": device.arn, "AuthenticationCode1": "000000", "AuthenticationCode2": "000000"}
    for _ in range(FREE):
        assert await refused(account, "EnableMFADevice", **wrong) == ("InvalidAuthenticationCode", 403)
    right = {"UserName": "ann", "SerialNumber": device.arn, **pair(account, device)}
    assert await refused(account, "EnableMFADevice", **right) == ("EntityTemporarilyUnmodifiable", 409)
    await account.clock.step(wait_s(FREE))
    await account.ask("EnableMFADevice", UserName="ann", SerialNumber=device.arn, **pair(account, device))


async def test_a_user_has_eight_devices_at_most(account: Account) -> None:
    for number in range(8):
        device = await make(account, f"phone{number}")
        await account.ask("EnableMFADevice", UserName="ann", SerialNumber=device.arn, **pair(account, device))
    ninth = await make(account)
    asked = {"UserName": "ann", "SerialNumber": ninth.arn, **pair(account, ninth)}
    assert await refused(account, "EnableMFADevice", **asked) == ("LimitExceeded", 409)


async def test_a_code_is_redeemed_once_and_by_its_owner_alone(account: Account) -> None:
    device = await make(account)
    await account.ask("EnableMFADevice", UserName="ann", SerialNumber=device.arn, **pair(account, device, -1))
    await account.clock.step(STEP_S)
    now = account.clock.now()
    right = code_at(device.seed, step_of(now))
    ann = "arn:aws:iam::000000000000:user/ann"

    async def redeem(user: str, said: str) -> bool:
        return await account.store.transact(lambda tx: redeem_code(tx, user, device.arn, said, now))

    assert not await redeem("arn:aws:iam::000000000000:user/bob", right)
    assert not await redeem(ann, "000000")
    kept = account.store.get(MFA_DEVICES, device.arn)
    assert kept is not None and kept.guesses.failures == 1
    assert await redeem(ann, right)
    assert not await redeem(ann, right)


async def test_a_synchronised_device_starts_anew_from_its_codes(account: Account) -> None:
    device = await make(account)
    named = {"UserName": "ann", "SerialNumber": device.arn}
    assert await refused(account, "ResyncMFADevice", **named, **pair(account, device)) == ("NoSuchEntity", 404)
    await account.ask("EnableMFADevice", **named, **pair(account, device))
    assert await refused(account, "ResyncMFADevice", **named, **pair(account, device)) == ("InvalidAuthenticationCode", 403)
    await account.ask("ResyncMFADevice", **named, **pair(account, device, 40))
    kept = account.store.get(MFA_DEVICES, device.arn)
    assert kept is not None and kept.drift == 41


async def test_tags_of_a_device_come_and_go(account: Account) -> None:
    named = {"SerialNumber": (await make(account)).arn}
    await account.ask("TagMFADevice", **named, Tags=[*TEAM, {"Key": "b", "Value": "2"}])
    await account.ask("UntagMFADevice", **named, TagKeys=["Team"])
    assert (await account.ask("ListMFADeviceTags", **named))["Tags"] == [{"Key": "b", "Value": "2"}]

"""Passwords: what they must be like, what is kept of them, who may come in with one, and what guessing costs."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.services.iam.account_settings import DAY_S, PasswordPolicy, default_policy
from longshore.services.iam.guessing import FREE, Guesses, wait_s
from longshore.services.iam.passwords import Cost, hash_password, is_password, violation
from longshore.services.iam.sign_in import (
    LOGIN_PROFILES,
    MOST_REMEMBERED,
    MOST_WAITING,
    LoginProfile,
    Outcome,
    attempt,
    check_password,
    in_thread,
    is_used_before,
    judge,
)
from tests.services.iam.wire import ACCOUNT, Account

NOW = 1_700_000_000.0
CHEAP = Cost(2, 1, 1)
OLD, NEW = "Harbour-at-dawn-1", "Harbour-at-dusk-2"
PROFILE = LoginProfile("1", "ann", NOW, hash_password(OLD, b"salt", CHEAP), NOW)
ANY = PasswordPolicy("1")


# ── what they must be like ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("policy", "password", "broken"),
    [
        (default_policy("1"), "Short-1", "Password should have a minimum length of 8"),
        (
            default_policy("1"),
            "onlylowercase",
            "Password should have at least 3 of these: uppercase letters, lowercase letters, numbers, symbols",
        ),
        (default_policy("1"), "lowerUPPER1", None),
        (ANY, "simple", None),
        (ANY, "short", "Password should have a minimum length of 6"),
        (replace(ANY, require_uppercase=True), "lower-1", "Password should have at least one uppercase letter"),
        (replace(ANY, require_lowercase=True), "UPPER-1", "Password should have at least one lowercase letter"),
        (replace(ANY, require_numbers=True), "no digits", "Password should have at least one number"),
        (replace(ANY, require_symbols=True), "Letters 123", "Password should have at least one symbol"),
        (replace(ANY, require_uppercase=True), "ÄÖÜäöü1", "Password should have at least one uppercase letter"),
    ],
)
def test_a_policy_says_what_a_password_lacks(policy: PasswordPolicy, password: str, broken: str | None) -> None:
    assert violation(policy, password) == broken


@given(password=st.text(min_size=1, max_size=20), other=st.text(min_size=1, max_size=20), salt=st.binary(min_size=16, max_size=16))
def test_only_the_password_itself_is_recognised(password: str, other: str, salt: bytes) -> None:
    kept = hash_password(password, salt, CHEAP)
    assert is_password(other, kept) is (other == password)


def test_what_is_kept_says_how_it_was_hashed_and_shows_nothing() -> None:
    kept = hash_password(OLD, b"0123456789abcdef")
    assert is_password(OLD, msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=type(kept)))
    assert not is_password(OLD, replace(kept, cost=CHEAP))
    assert "0123" not in repr(replace(PROFILE, password=kept)) + repr(kept)
    assert hash_password(OLD, b"another") != kept


# ── who may come in ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("profile", "policy", "days", "password", "outcome"),
    [
        (PROFILE, ANY, 0, OLD, Outcome.GOOD),
        (PROFILE, ANY, 10_000, OLD, Outcome.GOOD),
        (PROFILE, ANY, 0, NEW, Outcome.WRONG),
        (None, ANY, 0, OLD, Outcome.WRONG),
        (replace(PROFILE, reset_required=True), ANY, 0, OLD, Outcome.RESET_REQUIRED),
        (PROFILE, replace(ANY, max_password_age=30), 29.9, OLD, Outcome.GOOD),
        (PROFILE, replace(ANY, max_password_age=30), 30, OLD, Outcome.EXPIRED),
        (PROFILE, replace(ANY, max_password_age=30, hard_expiry=True), 30, OLD, Outcome.EXPIRED_FOR_GOOD),
        (PROFILE, replace(ANY, max_password_age=30, hard_expiry=True), 30, NEW, Outcome.WRONG),
        (replace(PROFILE, guesses=Guesses(FREE, NOW)), ANY, 0, OLD, Outcome.HELD),
        (replace(PROFILE, guesses=Guesses(FREE, NOW)), ANY, 1, OLD, Outcome.GOOD),
    ],
)
def test_an_attempt_comes_out(profile: LoginProfile | None, policy: PasswordPolicy, days: float, password: str, outcome: Outcome) -> None:
    verdict = judge(profile, policy, password, NOW + days * DAY_S)
    assert verdict.outcome is outcome
    if outcome is Outcome.GOOD:
        assert verdict.profile is not None
        assert (verdict.profile.last_used_at, verdict.profile.guesses) == (NOW + days * DAY_S, Guesses())


def test_the_last_passwords_are_not_taken_again() -> None:
    profile = PROFILE
    for number in range(30):
        profile = profile.with_password(hash_password(f"password {number}", b"salt", CHEAP), NOW + number, reset_required=False)
    assert len(profile.previous) == MOST_REMEMBERED - 1
    three = replace(ANY, reuse_prevention=3)
    assert [is_used_before(profile, three, f"password {number}") for number in (29, 28, 27, 26)] == [True, True, True, False]
    assert not is_used_before(profile, ANY, "password 29")


# ── asked for ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def account() -> Account:
    return Account()


async def ann_of(account: Account) -> Account:
    return account.as_user((await account.ask("CreateUser", UserName="ann"))["User"])


async def refused(account: Account, operation: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(AwsError) as raised:
        await account.ask(operation, **parameters)
    return raised.value.wire("query")


async def test_a_login_profile_is_made_shown_changed_and_deleted(account: Account) -> None:
    await ann_of(account)
    named = {"UserName": "ann"}
    assert await refused(account, "GetLoginProfile", **named) == ("NoSuchEntity", 404)
    assert await refused(account, "CreateLoginProfile", **named, Password="weak") == ("PasswordPolicyViolation", 400)
    assert await refused(account, "CreateLoginProfile", **named) == ("ValidationError", 400)
    assert await refused(account, "CreateLoginProfile", UserName="nobody", Password=OLD) == ("NoSuchEntity", 404)
    made = await account.ask("CreateLoginProfile", **named, Password=OLD, PasswordResetRequired=True)
    assert made["LoginProfile"]["PasswordResetRequired"] is True
    assert await refused(account, "CreateLoginProfile", **named, Password=OLD) == ("EntityAlreadyExists", 409)
    assert check_password(account.store, ACCOUNT, "Ann", OLD, account.clock.now()).outcome is Outcome.RESET_REQUIRED
    await account.ask("UpdateLoginProfile", **named, Password=NEW, PasswordResetRequired=False)
    assert check_password(account.store, ACCOUNT, "ann", OLD, account.clock.now()).outcome is Outcome.WRONG
    assert await refused(account, "DeleteUser", **named) == ("DeleteConflict", 409)
    await account.ask("UpdateUser", **named, NewUserName="anna")
    assert (await account.ask("GetLoginProfile", UserName="anna"))["LoginProfile"]["UserName"] == "anna"
    assert check_password(account.store, ACCOUNT, "anna", NEW, account.clock.now()).outcome is Outcome.GOOD
    await account.ask("DeleteLoginProfile", UserName="anna")
    await account.ask("DeleteUser", UserName="anna")


async def test_users_change_their_own_password_and_the_policy_is_heard(account: Account) -> None:
    ann = await ann_of(account)
    assert await refused(account, "ChangePassword", OldPassword=OLD, NewPassword=NEW) == ("InvalidUserType", 400)
    assert await refused(ann, "ChangePassword", OldPassword=OLD, NewPassword=NEW) == ("NoSuchEntity", 404)
    await account.ask("CreateLoginProfile", UserName="ann", Password=OLD, PasswordResetRequired=True)
    await account.ask("UpdateAccountPasswordPolicy", MinimumPasswordLength=12, PasswordReusePrevention=2)
    assert await refused(ann, "ChangePassword", OldPassword=NEW, NewPassword=NEW) == ("AccessDenied", 403)
    assert await refused(ann, "ChangePassword", OldPassword=OLD, NewPassword="short") == ("PasswordPolicyViolation", 400)
    assert await refused(ann, "ChangePassword", OldPassword=OLD, NewPassword=OLD) == ("PasswordPolicyViolation", 400)
    await ann.ask("ChangePassword", OldPassword=OLD, NewPassword=NEW)
    assert await refused(account, "UpdateLoginProfile", UserName="ann", Password=OLD) == ("PasswordPolicyViolation", 400)
    assert (await account.ask("GetLoginProfile", UserName="ann"))["LoginProfile"]["PasswordResetRequired"] is False
    assert "PasswordLastUsed" not in (await account.ask("GetUser", UserName="ann"))["User"], "who changes it does not come in"
    await attempt(account.store, ACCOUNT, "ann", NEW, account.clock.now())
    for shown in ((await account.ask("GetUser", UserName="ann"))["User"], (await account.ask("ListUsers"))["Users"][0]):
        assert shown["PasswordLastUsed"].timestamp() == account.clock.now()


async def test_guesses_are_kept_and_make_the_next_one_wait(account: Account) -> None:
    await ann_of(account)
    await account.ask("CreateLoginProfile", UserName="ann", Password=OLD)
    profile = account.store.list(LOGIN_PROFILES)[0]
    cheap = replace(profile, password=hash_password(OLD, b"salt", CHEAP))
    await account.store.transact(lambda tx: tx.put(LOGIN_PROFILES, cheap))

    async def come(password: str) -> Outcome:
        return (await attempt(account.store, ACCOUNT, "ann", password, account.clock.now())).outcome

    assert [await come(NEW) for _ in range(FREE)] == [Outcome.WRONG] * FREE
    assert await come(OLD) is Outcome.HELD
    assert account.store.list(LOGIN_PROFILES)[0].guesses.failures == FREE
    await account.clock.step(wait_s(FREE))
    assert await come(OLD) is Outcome.GOOD
    assert account.store.list(LOGIN_PROFILES)[0].guesses == Guesses()
    assert (await attempt(account.store, ACCOUNT, "nobody", OLD, account.clock.now())).outcome is Outcome.WRONG


async def test_an_attempt_counts_before_it_is_looked_at(account: Account) -> None:
    await ann_of(account)
    await account.ask("CreateLoginProfile", UserName="ann", Password=OLD)
    tries = (attempt(account.store, ACCOUNT, "ann", NEW, account.clock.now()) for _ in range(FREE + 3))
    outcomes = [verdict.outcome for verdict in await asyncio.gather(*tries)]
    assert sorted(outcomes) == [Outcome.HELD] * 3 + [Outcome.WRONG] * FREE
    assert account.store.list(LOGIN_PROFILES)[0].guesses.failures == FREE


# ── the account's settings ───────────────────────────────────────────────────────────────────────────────────────────


async def test_hashing_stands_back_and_what_is_too_much_of_it_is_refused(account: Account) -> None:
    ann = await ann_of(account)
    await account.ask("CreateLoginProfile", UserName="ann", Password=OLD)
    go = threading.Event()

    def work() -> int:
        go.wait(10)
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    under_way = [asyncio.create_task(in_thread(work)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    revision = account.store.revision
    assert (await refused(ann, "ChangePassword", OldPassword="wrong", NewPassword=NEW))[0] == "Throttling"
    assert account.store.revision == revision, "nobody has failed"
    go.set()
    assert min(await asyncio.gather(*under_way)) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    await ann.ask("ChangePassword", OldPassword=OLD, NewPassword=NEW)


async def test_a_password_policy_is_set_whole_shown_and_taken_away(account: Account) -> None:
    assert await refused(account, "GetAccountPasswordPolicy") == ("NoSuchEntity", 404)
    await account.ask("UpdateAccountPasswordPolicy", MinimumPasswordLength=14, RequireSymbols=True, MaxPasswordAge=90, HardExpiry=True)
    shown = (await account.ask("GetAccountPasswordPolicy"))["PasswordPolicy"]
    assert shown == {
        "MinimumPasswordLength": 14,
        "RequireSymbols": True,
        "RequireNumbers": False,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False,
        "ExpirePasswords": True,
        "MaxPasswordAge": 90,
        "HardExpiry": True,
    }
    await account.ask("UpdateAccountPasswordPolicy", RequireNumbers=True)
    shown = (await account.ask("GetAccountPasswordPolicy"))["PasswordPolicy"]
    assert (shown["MinimumPasswordLength"], shown["RequireSymbols"], shown["ExpirePasswords"]) == (6, False, False)
    await account.ask("DeleteAccountPasswordPolicy")
    assert await refused(account, "DeleteAccountPasswordPolicy") == ("NoSuchEntity", 404)


async def test_an_account_has_one_alias_that_no_other_has(account: Account) -> None:
    other = Account(account.store, "111111111111")
    await account.ask("CreateAccountAlias", AccountAlias="harbour")
    assert await refused(other, "CreateAccountAlias", AccountAlias="harbour") == ("EntityAlreadyExists", 409)
    assert await refused(other, "DeleteAccountAlias", AccountAlias="harbour") == ("NoSuchEntity", 404)
    assert await refused(account, "CreateAccountAlias", AccountAlias="123456789012") == ("InvalidInput", 400)
    assert await refused(account, "CreateAccountAlias", AccountAlias="two--dashes") == ("ValidationError", 400)
    await account.ask("CreateAccountAlias", AccountAlias="pier")
    assert (await account.ask("ListAccountAliases"))["AccountAliases"] == ["pier"]
    assert (await other.ask("ListAccountAliases"))["AccountAliases"] == []
    await other.ask("CreateAccountAlias", AccountAlias="harbour")
    await account.ask("DeleteAccountAlias", AccountAlias="pier")


async def test_the_wanted_version_of_tokens_is_shown_in_the_summary(account: Account) -> None:
    assert (await account.ask("GetAccountSummary"))["SummaryMap"]["GlobalEndpointTokenVersion"] == 1
    await account.ask("SetSecurityTokenServicePreferences", GlobalEndpointTokenVersion="v2Token")
    assert (await account.ask("GetAccountSummary"))["SummaryMap"]["GlobalEndpointTokenVersion"] == 2

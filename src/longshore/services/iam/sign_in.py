"""How users sign in where a password is asked for, and whether they may: what a console asks.

A login profile is a user's password with its history and what is known of attempts. Everything that decides is pure: `judge` says what
came of an attempt and how the profile is to be kept afterwards, failures included (`guessing`), and `record` keeps it. Hashing takes
a tenth of a second, so who serves others meanwhile calls `attempt`, which does it in a thread; two at a time and behind all else, so that
guesses take neither the machine's memory nor its processors. Who has no password costs an attempt as much time as who has one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import msgspec

from longshore.aws.errors import Throttling
from longshore.kit.resource import Kind
from longshore.services.iam.account_settings import DAY_S, PASSWORD_POLICIES, PasswordPolicy, default_policy
from longshore.services.iam.guessing import Guesses
from longshore.services.iam.model import USERS, user_key
from longshore.services.iam.passwords import SALT_BYTES, HashedPassword, is_password
from longshore.store.base import Reader, Store, Tx

T = TypeVar("T")

#: passwords that are remembered, the present one included: the most that a policy can forbid
MOST_REMEMBERED = 24

#: hashes under way and waited for: a few seconds' work
MOST_WAITING = 32
#: how far the threads that hash stand back behind all others of the process
_NICENESS = 10


def _stand_back() -> None:
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS))


hashers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password", initializer=_stand_back)
_waiting = 0


class LoginProfile(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    user_arn: str
    created_at: float
    password: HashedPassword
    #: when this password was set
    changed_at: float
    reset_required: bool = False
    #: those before, the newest first
    previous: tuple[HashedPassword, ...] = ()
    #: when it last let somebody in; 0.0: never
    last_used_at: float = 0.0
    guesses: Guesses = Guesses()

    def __repr__(self) -> str:
        return f"LoginProfile({self.user_arn})"

    def with_password(self, password: HashedPassword, now: float, *, reset_required: bool) -> LoginProfile:
        return msgspec.structs.replace(
            self,
            password=password,
            changed_at=now,
            reset_required=reset_required,
            previous=(self.password, *self.previous)[: MOST_REMEMBERED - 1],
            guesses=Guesses(),
        )


LOGIN_PROFILES: Kind[LoginProfile] = Kind(
    name="iam.login_profile",
    type=LoginProfile,
    key=lambda profile: profile.user_arn,
    indexes={"account": lambda profile: (profile.account_id,)},
    sealed=True,
)

KINDS: tuple[Kind[Any], ...] = (LOGIN_PROFILES,)


def move_profile(tx: Tx, old_arn: str, new_arn: str) -> None:
    """It follows a user to another name."""
    profile = tx.get(LOGIN_PROFILES, old_arn)
    if profile is not None:
        tx.delete(LOGIN_PROFILES, old_arn)
        tx.put(LOGIN_PROFILES, msgspec.structs.replace(profile, user_arn=new_arn))


# ── the policy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def policy_of(reader: Reader, account_id: str) -> PasswordPolicy:
    return reader.get(PASSWORD_POLICIES, account_id) or default_policy(account_id)


def expires_at(profile: LoginProfile, policy: PasswordPolicy) -> float | None:
    """None: never."""
    return profile.changed_at + policy.max_password_age * DAY_S if policy.max_password_age else None


def is_used_before(profile: LoginProfile, policy: PasswordPolicy, password: str) -> bool:
    """Is it one of the last that the policy does not take again? As slow as there are many."""
    remembered = (profile.password, *profile.previous)[: policy.reuse_prevention]
    return any(is_password(password, each) for each in remembered)


# ── who may come in ──────────────────────────────────────────────────────────────────────────────────────────────────


class Outcome(StrEnum):
    GOOD = "good"
    #: the password is right; nothing may be done but set another
    RESET_REQUIRED = "reset required"
    #: the same, since it has grown too old
    EXPIRED = "expired"
    #: it has grown too old, and only an administrator can set another
    EXPIRED_FOR_GOOD = "expired for good"
    WRONG = "wrong"
    #: too many were wrong: nothing was looked at
    HELD = "held"


class Verdict(NamedTuple):
    outcome: Outcome
    #: as it is to be kept now; None where there is none
    profile: LoginProfile | None

    @property
    def knows_password(self) -> bool:
        return self.outcome not in (Outcome.WRONG, Outcome.HELD)


_NOBODYS = HashedPassword(b"\0" * SALT_BYTES, b"")


def judge(profile: LoginProfile | None, policy: PasswordPolicy, password: str, now: float) -> Verdict:
    """Pure, and slow."""
    if profile is None:
        is_password(password, _NOBODYS)
        return Verdict(Outcome.WRONG, None)
    if profile.guesses.are_held(now):
        return Verdict(Outcome.HELD, profile)
    if not is_password(password, profile.password):
        return Verdict(Outcome.WRONG, msgspec.structs.replace(profile, guesses=profile.guesses.failed(now)))
    end = expires_at(profile, policy)
    if end is not None and now >= end:
        outcome = Outcome.EXPIRED_FOR_GOOD if policy.hard_expiry else Outcome.EXPIRED
    else:
        outcome = Outcome.RESET_REQUIRED if profile.reset_required else Outcome.GOOD
    used_at = profile.last_used_at if outcome is Outcome.EXPIRED_FOR_GOOD else now
    return Verdict(outcome, msgspec.structs.replace(profile, guesses=Guesses(), last_used_at=used_at))


def check_password(reader: Reader, account_id: str, user_name: str, password: str, now: float) -> Verdict:
    """Pure, and slow. What it says of the profile must be kept, whatever the outcome: `attempt` does that."""
    return judge(profile_of(reader, account_id, user_name), policy_of(reader, account_id), password, now)


def profile_of(reader: Reader, account_id: str, user_name: str) -> LoginProfile | None:
    user = reader.get(USERS, user_key(account_id, user_name))
    return reader.get(LOGIN_PROFILES, user.arn) if user is not None else None


def begin(tx: Tx, account_id: str, user_name: str, now: float) -> LoginProfile | None:
    """The profile as it was before this attempt, which counts as a failure from here on: who tries a thousand at once has failed a
    thousand times, however long each takes to be looked at."""
    profile = profile_of(tx, account_id, user_name)
    if profile is not None and not profile.guesses.are_held(now):
        tx.put(LOGIN_PROFILES, msgspec.structs.replace(profile, guesses=profile.guesses.failed(now)))
    return profile


def record(tx: Tx, verdict: Verdict) -> None:
    """Keep what came of an attempt that was begun; one on a password that has been changed since, or has gone, leaves nothing."""
    judged = verdict.profile
    kept = tx.get(LOGIN_PROFILES, judged.user_arn) if judged is not None else None
    if judged is not None and kept is not None and kept.password == judged.password and verdict.knows_password:
        tx.put(LOGIN_PROFILES, msgspec.structs.replace(kept, guesses=Guesses(), last_used_at=judged.last_used_at))


async def attempt(store: Store, account_id: str, user_name: str, password: str, now: float, *, comes_in: bool = True) -> Verdict:
    """`check_password` beside everything else that goes on, and kept. Who only changes it does not come in (`comes_in`)."""
    check_room()  # before it counts: what is not looked at is nobody's failure
    profile = await store.transact(lambda tx: begin(tx, account_id, user_name, now))
    verdict = await in_thread(judge, profile, policy_of(store, account_id), password, now)
    if not comes_in and profile is not None and verdict.profile is not None:
        verdict = verdict._replace(profile=msgspec.structs.replace(verdict.profile, last_used_at=profile.last_used_at))
    await store.transact(lambda tx: record(tx, verdict))
    return verdict


def check_room() -> None:
    """Raises Throttling where too much hashing is waited for already."""
    if _waiting >= MOST_WAITING:
        raise Throttling("Rate exceeded", retry_after_s=1.0)


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Whatever hashes. Raises Throttling where too much of it is waited for already: whoever may change one password could keep
    everybody's processors busy."""
    global _waiting
    check_room()
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(hashers, work, *arguments)
    finally:
        _waiting -= 1

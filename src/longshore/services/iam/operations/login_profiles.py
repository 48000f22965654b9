"""Login profiles: the passwords of users. What is kept of one is its hash; the policy of the account says what it must be like."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.errors import AccessDenied, Validation
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.account_settings import PasswordPolicy
from longshore.services.iam.api import api
from longshore.services.iam.errors import (
    EntityAlreadyExists,
    EntityTemporarilyUnmodifiable,
    InvalidUserType,
    NoSuchEntity,
    PasswordPolicyViolation,
)
from longshore.services.iam.lookup import find_user, user_arn_for, user_of_caller
from longshore.services.iam.model import User
from longshore.services.iam.passwords import SALT_BYTES, HashedPassword, hash_password, violation
from longshore.services.iam.sign_in import (
    LOGIN_PROFILES,
    LoginProfile,
    Outcome,
    attempt,
    in_thread,
    is_used_before,
    policy_of,
)
from longshore.store.base import Reader, Tx

_Request = (
    shapes.CreateLoginProfileRequest | shapes.GetLoginProfileRequest | shapes.UpdateLoginProfileRequest | shapes.DeleteLoginProfileRequest
)


def _owner(call: Call, request: _Request) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _caller(call: Call, request: shapes.ChangePasswordRequest) -> Iterable[str]:
    return (call.principal.identity_arn,)


def _user(reader: Reader, call: Call, user_name: str | None) -> User:
    """The user named, or the caller; the root has no password here."""
    user = find_user(reader, call.account_id, user_name) if user_name is not None else user_of_caller(reader, call)
    if user is None:
        raise Validation("Must specify userName when calling with non-User credentials")
    return user


def _profile(reader: Reader, user: User) -> LoginProfile:
    profile = reader.get(LOGIN_PROFILES, user.arn)
    if profile is None:
        raise NoSuchEntity(f"Login Profile for User {user.name} cannot be found.")
    return profile


def _shape(user: User, profile: LoginProfile) -> shapes.LoginProfile:
    return shapes.LoginProfile(user_name=user.name, create_date=profile.created_at, password_reset_required=profile.reset_required)


async def _hashed(call: Call, password: str) -> HashedPassword:
    return await in_thread(hash_password, password, bytes.fromhex(call.ids.hex(2 * SALT_BYTES)))


def _check(policy: PasswordPolicy, password: str) -> None:
    """Raises PasswordPolicyViolation."""
    broken = violation(policy, password)
    if broken is not None:
        raise PasswordPolicyViolation(broken)


async def _check_history(profile: LoginProfile, policy: PasswordPolicy, password: str) -> None:
    """Raises PasswordPolicyViolation."""
    if policy.reuse_prevention and await in_thread(is_used_before, profile, policy, password):
        raise PasswordPolicyViolation("Policy constraint violation with password reuse prevention during password change")


@api.operation("CreateLoginProfile", resource=_owner)
async def create_login_profile(call: Call, request: shapes.CreateLoginProfileRequest) -> shapes.CreateLoginProfileResponse:
    if request.password is None:
        raise Validation("1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null")
    _user(call.store, call, request.user_name)
    _check(policy_of(call.store, call.account_id), request.password)
    password, now = await _hashed(call, request.password), call.clock.now()

    def create(tx: Tx) -> tuple[User, LoginProfile]:
        user = _user(tx, call, request.user_name)
        if tx.get(LOGIN_PROFILES, user.arn) is not None:
            raise EntityAlreadyExists(f"Login Profile for user {user.name} already exists.")
        asked = LoginProfile(call.account_id, user.arn, now, password, now, reset_required=bool(request.password_reset_required))
        return user, tx.create(LOGIN_PROFILES, asked)

    user, profile = await call.store.transact(create)
    return shapes.CreateLoginProfileResponse(login_profile=_shape(user, profile))


@api.operation("GetLoginProfile", resource=_owner)
async def get_login_profile(call: Call, request: shapes.GetLoginProfileRequest) -> shapes.GetLoginProfileResponse:
    user = _user(call.store, call, request.user_name)
    return shapes.GetLoginProfileResponse(login_profile=_shape(user, _profile(call.store, user)))


@api.operation("UpdateLoginProfile", resource=_owner)
async def update_login_profile(call: Call, request: shapes.UpdateLoginProfileRequest) -> None:
    """A new password also ends the waiting that wrong ones have brought about."""
    password: HashedPassword | None = None
    profile = _profile(call.store, _user(call.store, call, request.user_name))
    if request.password is not None:
        policy = policy_of(call.store, call.account_id)
        _check(policy, request.password)
        await _check_history(profile, policy, request.password)
        password = await _hashed(call, request.password)
    now = call.clock.now()

    def update(tx: Tx) -> None:
        kept = _profile(tx, _user(tx, call, request.user_name))
        reset = kept.reset_required if request.password_reset_required is None else request.password_reset_required
        changed = replace(kept, reset_required=reset) if password is None else kept.with_password(password, now, reset_required=reset)
        tx.put(LOGIN_PROFILES, changed)

    await call.store.transact(update)


@api.operation("DeleteLoginProfile", resource=_owner)
async def delete_login_profile(call: Call, request: shapes.DeleteLoginProfileRequest) -> None:
    def delete(tx: Tx) -> None:
        tx.delete(LOGIN_PROFILES, _profile(tx, _user(tx, call, request.user_name)).user_arn)

    await call.store.transact(delete)


@api.operation("ChangePassword", resource=_caller)
async def change_password(call: Call, request: shapes.ChangePasswordRequest) -> None:
    """One's own, by whoever knows the old one. Wrong ones are counted, here as where one signs in."""
    if call.principal.is_root or call.principal.role_arn:
        raise InvalidUserType("Only IAM Users can change their own password.")
    user, now = _user(call.store, call, None), call.clock.now()
    _profile(call.store, user)
    verdict = await attempt(call.store, call.account_id, user.name, request.old_password, now, comes_in=False)
    if verdict.outcome is Outcome.HELD:
        raise EntityTemporarilyUnmodifiable("Too many wrong passwords were given. Wait and try again.")
    if verdict.profile is None or not verdict.knows_password:
        raise AccessDenied("The old password was incorrect.")
    policy, known = policy_of(call.store, call.account_id), verdict.profile
    if verdict.outcome is Outcome.EXPIRED_FOR_GOOD:
        raise PasswordPolicyViolation("The password has expired and only an administrator can set another.")
    _check(policy, request.new_password)
    await _check_history(known, policy, request.new_password)
    password = await _hashed(call, request.new_password)

    def change(tx: Tx) -> None:
        kept = _profile(tx, _user(tx, call, None))
        if kept.password != known.password:
            raise AccessDenied("The old password was incorrect.")
        tx.put(LOGIN_PROFILES, kept.with_password(password, now, reset_required=False))

    await call.store.transact(change)

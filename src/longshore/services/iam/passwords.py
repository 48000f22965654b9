"""Passwords: how they are kept, and what they must be like.

What is kept is scrypt's answer (RFC 7914) over a salt of its own for each password, with the numbers that say how much work it was:
they may grow without the old ones becoming worthless. Nothing here reads a clock or draws a number.
"""

from __future__ import annotations

import hmac
from hashlib import scrypt

import msgspec

from longshore.services.iam.account_settings import PasswordPolicy

SALT_BYTES = 16
_HASH_BYTES = 32
#: what AWS counts as a symbol
SYMBOLS = frozenset("!@#$%^&*()_+-=[]{}|'")


class Cost(msgspec.Struct, frozen=True, gc=False):
    """Work for one guess: 128 · n · r bytes of memory, p times over."""

    n: int = 1 << 14
    r: int = 8
    p: int = 3


#: for passwords set now
WORK = Cost()


class HashedPassword(msgspec.Struct, frozen=True, gc=False):
    salt: bytes
    hash: bytes
    cost: Cost = Cost()

    def __repr__(self) -> str:
        return "HashedPassword(…)"


def hash_password(password: str, salt: bytes, cost: Cost = WORK) -> HashedPassword:
    """Takes a tenth of a second, and 16 MiB."""
    return HashedPassword(salt, _work(password, salt, cost), cost)


def is_password(password: str, kept: HashedPassword) -> bool:
    return hmac.compare_digest(_work(password, kept.salt, kept.cost), kept.hash)


def _work(password: str, salt: bytes, cost: Cost) -> bytes:
    room = 128 * cost.n * cost.r + (1 << 20) * (1 + cost.p)
    return scrypt(password.encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=room, dklen=_HASH_BYTES)


def violation(policy: PasswordPolicy, password: str) -> str | None:
    """What of the policy a password breaks, in AWS's words; None where nothing."""
    lower = any("a" <= each <= "z" for each in password)
    upper = any("A" <= each <= "Z" for each in password)
    digit = any("0" <= each <= "9" for each in password)
    symbol = any(each in SYMBOLS for each in password)
    if len(password) < policy.minimum_length:
        return f"Password should have a minimum length of {policy.minimum_length}"
    for required, there, words in (
        (policy.require_uppercase, upper, "uppercase letter"),
        (policy.require_lowercase, lower, "lowercase letter"),
        (policy.require_symbols, symbol, "symbol"),
        (policy.require_numbers, digit, "number"),
    ):
        if required and not there:
            return f"Password should have at least one {words}"
    if lower + upper + digit + symbol < policy.kinds_of_characters:
        return (
            f"Password should have at least {policy.kinds_of_characters} of these: uppercase letters, lowercase letters, numbers, symbols"
        )
    return None

"""Secrets at rest: sealed with a key of the installation, one derived key per purpose.

AES-256-GCM with a random nonce in front. What was sealed for one purpose opens for no other, and what was changed by a single
bit does not open at all. With a keyring the current generation seals and marks what it sealed with its number, and whatever
generation is still there opens; what has no mark was sealed before there were generations, by the first.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore.kit.keyring import Generation, Keyring, derive

__all__ = [
    "MARK",
    "Keyring",
    "Keys",
    "SealBroken",
    "derived_key",
    "derived_keys",
    "era_of",
    "generation_of",
    "is_sealed_anew",
    "lasting_key",
    "newest",
    "resealed",
    "seal",
    "secrets_of",
    "unseal",
]

#: what signs and seals: one secret for good, as a machine has that only opens what was sealed for it, or generations of them
Keys = bytes | Keyring

#: how everything begins that a keyring has sealed; no msgpack does
MARK = b"\xc1"
_NONCE_BYTES = 12
_NUMBER_BYTES = 4
_MARK_BYTES = len(MARK) + _NUMBER_BYTES
#: which generation sealed what has no mark
_UNMARKED = 1


class SealBroken(Exception):
    """Not sealed with this key for this purpose, or changed since."""


def newest(keys: Keys) -> bytes:
    """The secret that signs now."""
    return keys if isinstance(keys, bytes) else keys.current.secret


def secrets_of(keys: Keys) -> tuple[bytes, ...]:
    """Those whose signatures are good, the newest first."""
    return (keys,) if isinstance(keys, bytes) else tuple(one.secret for one in keys.trusted)


def derived_key(keys: Keys, purpose: str) -> bytes:
    """32 bytes of key for `purpose`, from the secret that signs now."""
    return derive(newest(keys), purpose)


def derived_keys(keys: Keys, purpose: str, *, at_rest: bool = False) -> tuple[bytes, ...]:
    """The same of every secret whose signatures are good, the newest first: for whoever verifies. `at_rest`: of every secret that is
    still there, for whoever opens what lies here."""
    secrets = tuple(one.secret for one in keys.living) if at_rest and not isinstance(keys, bytes) else secrets_of(keys)
    return tuple(derive(secret, purpose) for secret in secrets)


def lasting_key(keys: Keys, purpose: str, at: float) -> bytes:
    """A key that no rotation changes, for what was given out at that time (seconds since the epoch)."""
    return derive(keys, purpose) if isinstance(keys, bytes) else keys.lasting(purpose, at)


def era_of(keys: Keys) -> int:
    """Another number after every change of what is good."""
    return 0 if isinstance(keys, bytes) else keys.era


def seal(keys: Keys, purpose: str, content: bytes, about: bytes = b"") -> bytes:
    """`about` is not in the result, and has to be given again to open it."""
    secret, mark = (keys, b"") if isinstance(keys, bytes) else (keys.current.secret, _mark(keys.current.number))
    nonce = os.urandom(_NONCE_BYTES)
    return mark + nonce + AESGCM(derive(secret, purpose)).encrypt(nonce, content, mark + about)


def unseal(keys: Keys, purpose: str, sealed: bytes, about: bytes = b"", *, handed_out: bool = False) -> bytes:
    """Raises SealBroken. `handed_out`: it was given to somebody, and is good for as long as the generation's signatures are."""
    if isinstance(keys, bytes):
        return _opened(keys, purpose, sealed, about)
    trusted = keys.trusted if handed_out else keys.living
    if sealed[:1] == MARK and (by := _numbered(trusted, generation_of(sealed))) is not None:
        try:
            return _opened(by.secret, purpose, sealed[_MARK_BYTES:], sealed[:_MARK_BYTES] + about)
        except SealBroken:
            pass  # one in 256 of those without a mark begins as if it had one
    first = _numbered(trusted, _UNMARKED)
    if first is None:
        raise SealBroken
    return _opened(first.secret, purpose, sealed, about)


def generation_of(sealed: bytes) -> int:
    """The number of the generation that a mark names; of those without, the first's."""
    return int.from_bytes(sealed[len(MARK) : _MARK_BYTES], "big") if sealed[:1] == MARK else _UNMARKED


def is_sealed_anew(keys: Keys, sealed: bytes) -> bool:
    """Whether the secret that seals now has sealed it."""
    return isinstance(keys, bytes) or (sealed[:1] == MARK and generation_of(sealed) == keys.current.number)


def resealed(keys: Keys, purpose: str, sealed: bytes, about: bytes = b"") -> bytes:
    """The same content sealed with what seals now; what is already so, or is nothing, stays as it is. Raises SealBroken."""
    if not sealed or is_sealed_anew(keys, sealed):
        return sealed
    return seal(keys, purpose, unseal(keys, purpose, sealed, about), about)


def _numbered(generations: tuple[Generation, ...], number: int) -> Generation | None:
    return next((one for one in generations if one.number == number), None)


def _mark(number: int) -> bytes:
    return MARK + number.to_bytes(_NUMBER_BYTES, "big")


def _opened(secret: bytes, purpose: str, sealed: bytes, about: bytes) -> bytes:
    try:
        return AESGCM(derive(secret, purpose)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        raise SealBroken from None

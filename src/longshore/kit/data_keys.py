"""Data keys: random keys that content is encrypted with, kept only in a form that the installation's secret opens.

Whoever makes a data key needs the public half of the installation's lock and no secret: the key is drawn, sealed to the lock
(X25519 with a key pair of its own, HKDF, AES-256-GCM) and forgotten. Only who holds the secret opens it. Content whose sealed
data key is deleted can be read by nobody any more, the holder of the secret included.
"""

from __future__ import annotations

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from longshore.kit.sealing import Keys, SealBroken, derived_key, derived_keys

KEY_BYTES = 32
_LOCK_BYTES = 32
_PURPOSE = "data-keys"
#: every seal has a key of its own, so its nonce need not vary
_NONCE = bytes(12)


class SealedKey(msgspec.Struct, frozen=True, gc=False):
    """A data key as it is kept. Its id names it where its bytes lie; it is no secret."""

    #: 32 lower-case hexadecimal digits
    id: str
    sealed: bytes

    def __repr__(self) -> str:
        return f"SealedKey({self.id})"


def lock_of(secret: Keys) -> bytes:
    """The public half of the installation's lock: 32 bytes that data keys are sealed to."""
    return _public(_private(derived_key(secret, _PURPOSE)))


def locks_of(secret: Keys) -> tuple[bytes, ...]:
    """Those of every secret that is still there, the newest first."""
    return tuple(_public(_private(key)) for key in derived_keys(secret, _PURPOSE, at_rest=True))


def new_data_key(lock: bytes) -> SealedKey:
    """A new random key, sealed."""
    return _sealed(lock, os.urandom(16).hex(), os.urandom(KEY_BYTES))


def sealed_to_newest(secret: Keys, key: SealedKey) -> SealedKey:
    """The same key under the same id, sealed to the newest lock; `key` itself where it is. Raises SealBroken."""
    newest, *_ = derived_keys(secret, _PURPOSE, at_rest=True)
    try:
        _opened(newest, key)
    except SealBroken:
        return _sealed(lock_of(secret), key.id, open_data_key(secret, key))
    return key


def open_data_key(secret: Keys, key: SealedKey) -> bytes:
    """The 32 bytes of the key. Raises SealBroken when it was not sealed to this installation, or was changed."""
    for derived in derived_keys(secret, _PURPOSE, at_rest=True):
        try:
            return _opened(derived, key)
        except SealBroken:
            continue
    raise SealBroken


def _sealed(lock: bytes, key_id: str, content: bytes) -> SealedKey:
    pair = X25519PrivateKey.generate()
    ours = _public(pair)
    shared = pair.exchange(X25519PublicKey.from_public_bytes(lock))
    return SealedKey(key_id, ours + AESGCM(_sealing_key(shared, ours, lock)).encrypt(_NONCE, content, key_id.encode()))


def _opened(derived: bytes, key: SealedKey) -> bytes:
    ours, sealed = key.sealed[:_LOCK_BYTES], key.sealed[_LOCK_BYTES:]
    private = _private(derived)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ours))
        return AESGCM(_sealing_key(shared, ours, _public(private))).decrypt(_NONCE, sealed, key.id.encode())
    except (InvalidTag, ValueError):
        raise SealBroken from None


def _private(derived: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(derived)


def _public(private: X25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _sealing_key(shared: bytes, ours: bytes, lock: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, b"longshore:data-key" + ours + lock).derive(shared)

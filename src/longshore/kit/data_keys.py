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

from longshore.kit.sealing import SealBroken, derived_key

KEY_BYTES = 32
_LOCK_BYTES = 32
#: every seal has a key of its own, so its nonce need not vary
_NONCE = bytes(12)


class SealedKey(msgspec.Struct, frozen=True, gc=False):
    """A data key as it is kept. Its id names it where its bytes lie; it is no secret."""

    #: 32 lower-case hexadecimal digits
    id: str
    sealed: bytes

    def __repr__(self) -> str:
        return f"SealedKey({self.id})"


def lock_of(secret: bytes) -> bytes:
    """The public half of the installation's lock: 32 bytes that data keys are sealed to."""
    return _private(secret).public_key().public_bytes_raw()


def new_data_key(lock: bytes) -> SealedKey:
    """A new random key, sealed."""
    pair = X25519PrivateKey.generate()
    ours = pair.public_key().public_bytes_raw()
    key_id = os.urandom(16).hex()
    shared = pair.exchange(X25519PublicKey.from_public_bytes(lock))
    sealed = AESGCM(_sealing_key(shared, ours, lock)).encrypt(_NONCE, os.urandom(KEY_BYTES), key_id.encode())
    return SealedKey(key_id, ours + sealed)


def open_data_key(secret: bytes, key: SealedKey) -> bytes:
    """The 32 bytes of the key. Raises SealBroken when it was not sealed to this installation, or was changed."""
    ours, sealed = key.sealed[:_LOCK_BYTES], key.sealed[_LOCK_BYTES:]
    private = _private(secret)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ours))
        return AESGCM(_sealing_key(shared, ours, private.public_key().public_bytes_raw())).decrypt(_NONCE, sealed, key.id.encode())
    except (InvalidTag, ValueError):
        raise SealBroken from None


def _private(secret: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(derived_key(secret, "data-keys"))


def _sealing_key(shared: bytes, ours: bytes, lock: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, b"longshore:data-key" + ours + lock).derive(shared)

"""Secrets at rest: sealed with a key of the installation, one derived key per purpose.

AES-256-GCM with a random nonce in front. What was sealed for one purpose opens for no other, and what was changed by a single
bit does not open at all.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class SealBroken(Exception):
    """Not sealed with this key for this purpose, or changed since."""


def derived_key(secret: bytes, purpose: str) -> bytes:
    """32 bytes of key for `purpose`, from the installation's secret."""
    return HKDF(SHA256(), 32, None, f"longshore:{purpose}".encode()).derive(secret)


def seal(secret: bytes, purpose: str, content: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(derived_key(secret, purpose)).encrypt(nonce, content, None)


def unseal(secret: bytes, purpose: str, sealed: bytes) -> bytes:
    """Raises SealBroken."""
    try:
        return AESGCM(derived_key(secret, purpose)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        raise SealBroken from None

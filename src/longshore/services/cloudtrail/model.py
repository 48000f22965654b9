"""What is kept for the audit log beside its files: the key it is signed with, one for as long as the installation lives."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind

AUDIT = "audit"


class SigningKey(msgspec.Struct, frozen=True):
    """An Ed25519 private key, 32 bytes."""

    name: str
    key: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.name})"


SIGNING_KEYS: Kind[SigningKey] = Kind("cloudtrail.signing-key", SigningKey, key=lambda key: key.name, sealed=True)

KINDS: tuple[Kind[Any], ...] = (SIGNING_KEYS,)

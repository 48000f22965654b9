"""What lies in the directory of the audit log, and what makes it one that cannot be changed unnoticed.

    00000042-20261128T084603Z.log       the file that is written to: a record per line, as CloudTrail writes events
    00000041-20261128T074603Z.log.gz    one that is full, or whose hour is over
    00000041-20261128T074603Z.digest    what that one was when it was closed, signed
    head                                what was in the open file a second ago, and which digests there are, signed
    public-key.pem                      what all of it is signed with

A digest names the hashes of its file and of the digest before it, so each vouches for all of those before. A signed file is a
line of JSON and a line with the signature of its bytes (Ed25519, hexadecimal). Numbers have no gaps. What is older than is wanted goes
from the beginning, and the head says where the beginning is.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_public_key

HEAD = "head"
PUBLIC_KEY = "public-key.pem"
OPEN, CLOSED, DIGEST = ".log", ".log.gz", ".digest"
ALGORITHM = "SHA-256 with Ed25519"
_STEM = re.compile(r"([0-9]{8,12})-[0-9]{8}T[0-9]{6}Z")
_SIGNED = re.compile(rb"(\{[^\n]*\})\n([0-9a-f]{128})\n")

S = TypeVar("S")


class NotSigned(Exception):
    """No signed file of ours, or one that was changed."""


class FileDigest(msgspec.Struct, frozen=True, rename="camel"):
    """A closed file."""

    file: str
    #: of its bytes as they lie there
    hash_value: str
    #: of the lines in it
    content_hash_value: str
    content_length: int
    records: int
    #: its earliest and its latest eventTime
    oldest_event_time: str
    newest_event_time: str


class Digest(msgspec.Struct, frozen=True, rename="camel"):
    number: int
    installation: str
    made_at: str
    log_file: FileDigest
    public_key_fingerprint: str
    signature_algorithm: str
    hash_algorithm: str = "SHA-256"
    #: "" for the very first one
    previous_digest_file: str = ""
    previous_digest_hash_value: str = ""
    #: what was not as it should be when the file was closed, or the log opened
    findings: tuple[str, ...] = ()


class Growing(msgspec.Struct, frozen=True, rename="camel"):
    """A file without a digest, as far as it was written then."""

    file: str
    length: int
    records: int
    content_hash_value: str


class Head(msgspec.Struct, frozen=True, rename="camel"):
    installation: str
    written_at: str
    #: numbers of the digests that are kept; `last` is `first` - 1 where there are none
    first: int
    last: int
    #: of the file of the last one; "" where there is none
    last_hash_value: str
    growing: tuple[Growing, ...] = ()


def stem_of(number: int, at: str) -> str:
    """`at` as in eventTime."""
    return f"{number:08d}-{at.replace('-', '').replace(':', '')}"


def number_of(name: str) -> int | None:
    """Of a file of ours; None for any other."""
    for suffix in (CLOSED, OPEN, DIGEST):
        if name.endswith(suffix):
            found = _STEM.fullmatch(name.removesuffix(suffix))
            return int(found[1]) if found else None
    return None


def files_of(directory: Path, suffix: str) -> list[Path]:
    """By number."""
    found = [(number, path) for path in directory.iterdir() if path.name.endswith(suffix) and (number := number_of(path.name)) is not None]
    return [path for _, path in sorted(found)]


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def signed(key: Ed25519PrivateKey, what: Digest | Head) -> bytes:
    line = msgspec.json.encode(what)
    return line + b"\n" + key.sign(line).hex().encode() + b"\n"


def opened(key: Ed25519PublicKey, content: bytes, kind: type[S]) -> S:
    """What was signed. Raises NotSigned."""
    found = _SIGNED.fullmatch(content)
    if found is None:
        raise NotSigned
    try:
        key.verify(bytes.fromhex(found[2].decode()), found[1])
        return msgspec.json.decode(found[1], type=kind)
    except (InvalidSignature, msgspec.MsgspecError):
        raise NotSigned from None


def public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(pem: bytes) -> Ed25519PublicKey:
    """Raises ValueError."""
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw key, hexadecimal."""
    return hash_of(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def new_key() -> bytes:
    """32 bytes."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def key_of(raw: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(raw)

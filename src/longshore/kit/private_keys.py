"""Private keys in files of our own: PKCS#8, encrypted with a password that only the installation's keyring gives.

What was written in plain by an earlier version, or with a password of an older generation, is read all the same and written anew. Files
of an operator's are no affair of this module's.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key

from longshore.kit.certificates import CertificateProblem
from longshore.kit.durable import write_durably
from longshore.kit.sealing import Keys, derived_keys

_PURPOSE = "private-key-files"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----\r?\n.*?-----END \1PRIVATE KEY-----\r?\n?", re.DOTALL)


def passwords_of(keys: Keys) -> tuple[bytes, ...]:
    """The first is for whatever is written now; each opens what was written with it."""
    return tuple(key.hex().encode() for key in derived_keys(keys, _PURPOSE, at_rest=True))


def locked(text: bytes, keys: Keys) -> bytes:
    """A PEM text with its private keys encrypted. Raises CertificateProblem for keys that cannot be read."""
    password = passwords_of(keys)[0]
    return _BLOCK.sub(lambda found: _encrypted(found[0], keys, password), text)


def unlocked_with(text: bytes, keys: Keys) -> bytes | None:
    """The password of the first private key in a PEM text; None where there is no key, or it has no password.

    Raises CertificateProblem where none that there is opens it.
    """
    found = _BLOCK.search(text)
    if found is None or not found[1].startswith(b"ENCRYPTED"):
        return None
    for password in passwords_of(keys):
        try:
            load_pem_private_key(found[0], password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return password
    raise CertificateProblem("its private key does not open with the keys of this installation")


def read_locked(path: Path, keys: Keys) -> tuple[bytes, bytes | None]:
    """(the text, the password of its key), written anew first where it is not encrypted with what is current.

    Raises CertificateProblem and OSError.
    """
    text = path.read_bytes()
    password, newest = unlocked_with(text, keys), passwords_of(keys)[0]
    if password != newest and _BLOCK.search(text) is not None:
        text, password = locked(text, keys), newest
        write_durably(path, text)
    return text, password


def _encrypted(block: bytes, keys: Keys, password: bytes) -> bytes:
    try:
        key = load_pem_private_key(block, unlocked_with(block, keys))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateProblem("there is no private key in PEM form in it") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))

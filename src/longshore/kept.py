"""What a data directory holds, and whether it belongs together: the database, the registry's files and the keyring.

They are of use only together. Where one is missing beside the others, a copy was brought back in part, or somebody tidied up.
To go on as if nothing had been there would do harm: without the database all blobs are garbage to be collected, and with a new
key whatever is sealed stays closed. So the server says what is missing and does not start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from longshore.config import ServerConfig
from longshore.kit.data_keys import locks_of
from longshore.kit.durable import remove_durably
from longshore.kit.keyring import SECRET_BYTES, Keyring
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import MasterKeyProblem
from longshore.services.acm.model import CERTIFICATES
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.iam.model import SERVER_CERTIFICATES
from longshore.services.secretsmanager.model import SECRETS
from longshore.services.ssm.model import PARAMETERS
from longshore.store.base import Reader
from longshore.store.sqlite import FILE_NAME

log = logging.getLogger("longshore.server")

_PAGE = 1000


class CannotStart(Exception):
    """Names the cause and the cure."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


def check_exposure(config: ServerConfig) -> None:
    """Whoever starts a server by hand must say, too, that others may read what is said to it. Raises CannotStart."""
    if not config.is_exposed:
        return
    what = f"plain HTTP at {config.host}" if config.tls is None else f"the keys of --dev at {config.host}"
    if not config.insecure:
        raise CannotStart(f"{what} is open to others on the network", "serve with TLS and without --dev, or say --insecure")
    log.warning("INSECURE, as was asked for: %s, open to others on the network", what)


def check_database(directory: Path) -> None:
    """Before the database is opened, and made where there is none. Raises CannotStart."""
    registry = directory / "registry"
    if (directory / FILE_NAME).exists() or not any(any(registry.glob(f"{files}/*/*/*")) for files in ("blobs", "keyed/*")):
        return
    raise CannotStart(
        f"{directory / FILE_NAME} is missing, and {registry} has layers that only it knows of",
        f"bring it back, or move {registry} away as well",
    )


def keys_of(file: KeyringFile, legacy: Path, now: float) -> Callable[[Reader, int], Keyring]:
    """Who finds the installation's secrets, or makes them once: tokens are signed with them, and keys and passwords sealed.

    `legacy` is where earlier versions kept the only one there was, in plain: it goes into the keyring, and away once that is on the
    disk. What is returned is told what is kept, and of how many further rows it is the key; it raises CannotStart.
    """

    def found(reader: Reader, sealed: int) -> Keyring:
        try:
            keys = file.open() if file.exists else file.begin(_first_secret(file.path, legacy, reader, sealed), now)
        except MasterKeyProblem as reason:
            raise CannotStart(reason.cause, reason.fix) from None
        if (problem := file.passed_over) is not None:
            log.error("THE MASTER KEY THAT WAS GIVEN IS NOT USED: %s; what opened the keyring is the key of %s", problem.cause, file.master)
        _forget_legacy(legacy, keys)
        known = reader.get(ENCRYPTION, INSTALLATION)
        if known is not None and known.lock not in locks_of(keys) and _has_sealed(reader):
            log.error("%s is another one than what was sealed here before was sealed with: bring that one back to read it", file.path)
        return keys

    return found


def _first_secret(keyring: Path, legacy: Path, reader: Reader, sealed: int) -> bytes:
    """Raises CannotStart."""
    try:
        found = legacy.read_bytes()
    except FileNotFoundError:
        if sealed or _has_sealed(reader):
            cause = f"{keyring} is missing, and access keys, encrypted repositories, secrets and certificates cannot be read without it"
            raise CannotStart(cause, f"bring it back; if it is lost, so are they: move {keyring.parent} away and begin anew") from None
        return os.urandom(SECRET_BYTES)
    if len(found) < SECRET_BYTES:
        raise CannotStart(f"{legacy} has {len(found)} bytes and not {SECRET_BYTES}", "bring back a copy of it")
    return found


def _forget_legacy(legacy: Path, keys: Keyring) -> None:
    """Only what the keyring has."""
    try:
        found = legacy.read_bytes()
    except FileNotFoundError:
        return
    if any(one.secret == found for one in keys.generations):
        remove_durably(legacy)
        log.info("%s is in the keyring from now on, wrapped with the master key, and nowhere else", legacy)
    else:
        log.error("%s is no key of this keyring: it is left alone; move it away", legacy)


def _has_sealed(reader: Reader) -> bool:
    """Whether there are secrets, parameters that are, keys of certificates, or repositories with a data key."""
    if reader.count(SECRETS) or reader.count(PARAMETERS, "secure", "secure"):
        return True
    if reader.count(CERTIFICATES) or reader.count(SERVER_CERTIFICATES):
        return True
    after = None
    while page := reader.list(REPOSITORIES, after=after, limit=_PAGE):
        if any(repository.data_key is not None for repository in page):
            return True
        after = REPOSITORIES.key(page[-1])
    return False

"""What a data directory holds, and whether it belongs together: the database, the registry's files and the signing key.

They are of use only together. Where one is missing beside the others, a copy was brought back in part, or somebody tidied up.
To go on as if nothing had been there would do harm: without the database all blobs are garbage to be collected, and with a new
key whatever is sealed stays closed. So the server says what is missing and does not start.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from longshore.config import ServerConfig, write_privately
from longshore.kit.data_keys import lock_of
from longshore.services.acm.model import CERTIFICATES
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.iam.model import SERVER_CERTIFICATES
from longshore.services.secretsmanager.model import SECRETS
from longshore.services.ssm.model import PARAMETERS
from longshore.store.base import Reader
from longshore.store.sqlite import FILE_NAME

log = logging.getLogger("longshore.server")

#: bytes of the signing key
_KEY_BYTES = 32
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


def signing_secret(path: Path, reader: Reader) -> bytes:
    """Random bytes of this installation, made once: tokens are signed with them, and keys and passwords sealed. Raises CannotStart."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        if _has_sealed(reader):
            raise CannotStart(
                f"{path} is missing, and encrypted repositories, secrets or keys of certificates cannot be read without it",
                f"bring it back; or, if it is lost, and they with it: head -c {_KEY_BYTES} /dev/urandom > {path}",
            ) from None
        found = os.urandom(_KEY_BYTES)
        write_privately(path, found)
    if len(found) < _KEY_BYTES:
        raise CannotStart(f"{path} has {len(found)} bytes and not {_KEY_BYTES}", "bring back a copy of it")
    known = reader.get(ENCRYPTION, INSTALLATION)
    if known is not None and known.lock != lock_of(found) and _has_sealed(reader):
        log.error("%s is another one than what was sealed here before was sealed with: bring that one back to read it", path)
    return found


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

"""Which repositories have a data key, and who gives it to them.

A repository gets its key in the transaction that creates it and keeps it for life; it goes with the repository, and with it
goes every way to read what was encrypted with it. Those that ask for AWS KMS get one, and all others where the installation
encrypts everything. Repositories without one keep their bytes as plain files.
"""

from __future__ import annotations

import msgspec

from longshore.kit.data_keys import lock_of, new_data_key
from longshore.kit.sealing import Keys
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION, Encryption
from longshore.services.ecr.errors import KmsException
from longshore.services.ecr.model import Repository
from longshore.store.base import Reader, Tx


def ensure_encryption(tx: Tx, secret: Keys, *, always: bool) -> None:
    """What the installation's secret and settings say from now on; repositories that exist stay as they are."""
    tx.put(ENCRYPTION, Encryption(lock=lock_of(secret), always=always))


def with_data_key(reader: Reader, repository: Repository) -> Repository:
    """`repository`, about to be created, with a new data key where it is to have one. Raises KmsException."""
    encryption = reader.get(ENCRYPTION, INSTALLATION)
    wanted = repository.encryption_type != "AES256" or (encryption is not None and encryption.always)
    if not wanted:
        return repository
    if encryption is None:  # never in a server that started; what asks to be encrypted is not kept in plain in its stead
        raise KmsException("The installation has no key to encrypt with")
    return msgspec.structs.replace(repository, data_key=new_data_key(encryption.lock))

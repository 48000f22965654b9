"""The client for a remote registry, with its credentials opened."""

from __future__ import annotations

from longshore.kit.sealing import Keys, SealBroken, unseal
from longshore.services.ecr.remote.addresses import AddressRefused, place_of
from longshore.services.ecr.remote.client import RemoteClient
from longshore.services.ecr.remote.connection import Credentials, Remotes
from longshore.services.ecr.remote.errors import RemoteDenied, RemoteInvalid
from longshore.services.ecr.replication.model import REMOTE_PASSWORDS, RemoteRegistry


def client_of(remotes: Remotes, remote: RemoteRegistry, secret: Keys) -> RemoteClient:
    """Raises RemoteInvalid for an address that is out of reach, RemoteDenied for a password that this installation did not seal."""
    try:
        place = place_of(remote.url)
        password = unseal(secret, REMOTE_PASSWORDS, remote.password).decode() if remote.password else ""
    except AddressRefused as refused:
        raise RemoteInvalid(str(refused)) from refused
    except SealBroken:
        raise RemoteDenied(f"the password of the remote registry {remote.name} cannot be opened") from None
    return RemoteClient(remotes, place, Credentials(remote.user, password, remote.authentication) if remote.user else None)

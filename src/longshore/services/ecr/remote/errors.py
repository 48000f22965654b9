"""What can go wrong with a registry elsewhere, by what it means for whoever asked."""

from __future__ import annotations


class RemoteError(Exception):
    """The message names the registry and what it did; it holds nothing secret."""


class RemoteNotFound(RemoteError):
    """It has no such manifest, blob or repository."""


class RemoteDenied(RemoteError):
    """It does not let us: 401 or 403, or credentials that would have to go over plain HTTP."""


class RemoteBusy(RemoteError):
    """It is asked too often: 429."""


class RemoteUnavailable(RemoteError):
    """It does not answer, not in time, or with an error of its own."""


class RemoteInvalid(RemoteError):
    """What it sent is not what it must be: a digest that does not match, a manifest too large, a redirect too far."""


class RemoteRefused(RemoteError):
    """It does not take what it was sent."""


def told(registry: str, status: int, doing: str) -> RemoteError:
    """An answer of `status` as an error."""
    said = f"{registry} answered {status} to {doing}"
    if status in (401, 403):
        return RemoteDenied(said)
    if status == 404:
        return RemoteNotFound(said)
    if status == 429:
        return RemoteBusy(said)
    if status >= 500:
        return RemoteUnavailable(said)
    return RemoteRefused(said)

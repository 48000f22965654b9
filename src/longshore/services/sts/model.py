"""What STS keeps: who may not go on in sessions that began before a moment. Sessions themselves are not kept."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind


class Began(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One who acts in a session or began one: a link of the chain that leads to whoever had credentials of their own."""

    account_id: str
    #: of the role (AROA…) or the user (AIDA…); the account's for its root
    id: str
    #: the session's (ASIA…), or the long-lived key that the next link was begun with
    access_key_id: str
    #: when the session began; for a long-lived key, when the next one was begun with it (seconds since the epoch)
    at: float
    #: the store's at that moment, which unlike time never goes back; 0 where it is not known
    revision: int = 0


class Revocation(msgspec.Struct, frozen=True, gc=False):
    """Ends every session of one role, user or access key that began before a moment, and those begun in them."""

    account_id: str
    #: an id of a role or a user, or an access key's
    subject: str
    #: as people know it: the role's or the user's ARN, or the key's id
    name: str
    #: sessions that began earlier have ended (seconds since the epoch)
    before: float
    made_at: float
    #: ARN of who wanted it
    made_by: str
    #: when there can be no session left that it could end
    needed_until: float
    #: sessions that began at an earlier revision of the store have ended, whatever their clock said; 0: only the time counts
    revision: int = 0

    @property
    def key(self) -> str:
        return revocation_key(self.account_id, self.subject)


def revocation_key(account_id: str, subject: str) -> str:
    return f"{account_id}:{subject}"


REVOCATIONS: Kind[Revocation] = Kind(
    name="sts.revocation",
    type=Revocation,
    key=lambda revocation: revocation.key,
    indexes={"account": lambda revocation: (revocation.account_id,)},
)

KINDS: tuple[Kind[Any], ...] = (REVOCATIONS,)

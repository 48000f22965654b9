"""Sessions that end before their time: of a role, of a user, or of one access key, begun before a moment.

A session's token says by whom it was begun, and by whom that one was in turn. It has ended when any of them has: whoever got into
a role through a session that is taken back loses that role, too. What is asked at every request is a look into memory for each of them,
and there is mostly one.

Times alone would not do. A session that was begun while the server's clock was ahead is "younger" than a moment on the clock set right;
so what ends all sessions that there are also says at which revision of the store, and sessions say at which they began.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.services.call import Principal
from longshore.services.sts.model import REVOCATIONS, Began, Revocation, revocation_key
from longshore.store.base import Reader, Tx

#: how long a session of a user lasts at most (GetSessionToken, GetFederationToken), what is begun in it included
USERS_S = 36 * 3600.0
#: and one of a role: twelve hours; the session of a machine can be renewed for 90 days after it has ended
ROLES_S = (90 * 24 + 12) * 3600.0
#: forgotten at once
_MOST_FORGOTTEN = 500


def has_ended(reader: Reader, links: Iterable[Began]) -> bool:
    """Whether one of the links has been cut."""
    return any(
        _is_cut(reader.get(REVOCATIONS, revocation_key(link.account_id, subject)), link)
        for link in links
        for subject in (link.id, link.access_key_id)
        if subject
    )


def links_of(principal: Principal, now: float, revision: int) -> tuple[Began, ...]:
    """What something ends with that `principal` begins now: the links of its session, or the key that it signs with."""
    session = principal.session
    if session is not None:
        return session.links
    return (Began(principal.account_id, principal.user_id, principal.access_key_id, now, revision),)


def _is_cut(revocation: Revocation | None, link: Began) -> bool:
    return revocation is not None and (link.at < revocation.before or link.revision < revocation.revision)


def revoke(tx: Tx, revocation: Revocation) -> Revocation:
    """What holds from now on: what was revoked before stays so."""
    kept = tx.get(REVOCATIONS, revocation.key)
    if kept is not None:
        revocation = replace(
            revocation,
            before=max(revocation.before, kept.before),
            revision=max(revocation.revision, kept.revision),
            needed_until=max(revocation.needed_until, kept.needed_until),
        )
    return tx.put(REVOCATIONS, revocation)


def forgettable(reader: Reader, now: float) -> list[str]:
    """Keys of those that can end nothing any more, some of them if there are many."""
    found = [revocation.key for revocation in reader.list(REVOCATIONS) if now >= revocation.needed_until]
    return found[:_MOST_FORGOTTEN]


def forget(tx: Tx, keys: Iterable[str], now: float) -> None:
    for key in keys:
        revocation = tx.get(REVOCATIONS, key)
        if revocation is not None and now >= revocation.needed_until:
            tx.delete(REVOCATIONS, key)

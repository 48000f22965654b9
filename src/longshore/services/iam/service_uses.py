"""When users and roles last used each service: what tells which of their rights nobody needs.

A row for each of them and service, by the id that survives renaming. It is written with the last use of keys (`identities.KeyUses`), so it
may be a minute behind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind
from longshore.store.base import Tx


class ServiceUse(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    #: AIDA… of a user, AROA… of a role
    identity: str
    #: signing name, which is the namespace of its actions, too: ecs
    service: str
    used_at: float
    region: str


SERVICE_USES: Kind[ServiceUse] = Kind(
    name="iam.service_use",
    type=ServiceUse,
    key=lambda use: f"{use.identity}|{use.service}",
    indexes={"identity": lambda use: (use.identity,)},
    recurring=("account_id", "service", "region"),
)

KINDS: tuple[Kind[Any], ...] = (SERVICE_USES,)


def forget_uses(tx: Tx, identity: str) -> None:
    for use in tx.list(SERVICE_USES, "identity", identity):
        tx.delete(SERVICE_USES, SERVICE_USES.key(use))

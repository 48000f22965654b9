"""What a balancer host is told, and in which form: everything that a balancer reads, kind by kind."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind
from longshore.services.acm.model import CERTIFICATES
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TARGETS,
    TRUST_STORE_REVOCATIONS,
    TRUST_STORES,
)
from longshore.services.iam.model import SERVER_CERTIFICATES

#: parents before their children
FED: tuple[Kind[Any], ...] = (
    *(CERTIFICATES, SERVER_CERTIFICATES, TRUST_STORES, TRUST_STORE_REVOCATIONS),
    *(LOAD_BALANCERS, LISTENERS, RULES, TARGET_GROUPS, TARGETS),
)


class Greeting(msgspec.Struct, frozen=True):
    """The host's first word."""

    #: seals the keys of certificates for it
    key: bytes

    def __repr__(self) -> str:
        return "Greeting()"


class Welcome(msgspec.Struct, frozen=True):
    """The platform's first word."""

    version: str
    account_id: str
    region: str


class Row(msgspec.Struct, frozen=True):
    kind: str
    key: str
    #: null: it is gone
    value: msgspec.Raw

    @property
    def is_gone(self) -> bool:
        return bytes(self.value) == b"null"


class Rows(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    #: whatever is not among them is gone
    everything: bool = False

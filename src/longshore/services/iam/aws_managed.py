"""Policies that AWS keeps for everybody and that are attached by name, as far as they concern what is served here.

They stand in no store: `arn:aws:iam::aws:policy/…` is found in this table, which is read from `aws_managed.json` beside it. The
statements there are AWS's own, as of autumn 2026, from a collection of what its API answers (`tools/aws_managed_policies.py` says
which); of the three policies that speak of every service there is, only what concerns the services here and their neighbours. Each has
the one version that was the default then, with its number and its date. Descriptions are in our words where AWS's were not at hand,
and the ids are made from the names: what AWS calls them by inside is not known.
"""

from __future__ import annotations

import base64
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from longshore.services.iam.model import ManagedPolicy

#: the account part of their ARNs
ACCOUNT = "aws"


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    path: str
    version: str
    created: datetime
    updated: datetime
    description: str
    document: dict[str, Any]


def _policy(row: _Row) -> ManagedPolicy:
    named = sha256(f"{row.path}{row.name}".encode()).digest()
    return ManagedPolicy(
        ACCOUNT,
        row.name,
        f"ANPA{base64.b32encode(named).decode()[:17]}",
        row.created.timestamp(),
        row.updated.timestamp(),
        path=row.path,
        description=row.description,
        default_version_id=row.version,
        last_version=int(row.version[1:]),
    )


_ROWS = msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes(), type=list[_Row])
POLICIES: dict[str, ManagedPolicy] = {policy.arn: policy for policy in map(_policy, _ROWS)}
DOCUMENTS: dict[str, str] = {_policy(row).arn: msgspec.json.encode(row.document).decode() for row in _ROWS}

"""Amazon Resource Names: split, joined and checked; never taken apart by hand elsewhere."""

from __future__ import annotations

import re
from typing import NamedTuple

_ACCOUNT = re.compile(r"[0-9]{12}|aws|")


class Arn(NamedTuple):
    """`arn:partition:service:region:account:resource`; `resource` keeps its own slashes and colons."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"

    @property
    def resource_type(self) -> str:
        """What stands before the first `/` or `:` of the resource (`task`, `cluster`, `loadbalancer`, …)."""
        return re.split("[/:]", self.resource, maxsplit=1)[0]

    @property
    def resource_id(self) -> str:
        """What follows the resource type; the whole resource when it has none."""
        parts = re.split("[/:]", self.resource, maxsplit=1)
        return parts[-1]


def parse_arn(text: str) -> Arn | None:
    """The parts of `text`, or None when it is no ARN."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        return None
    if not _ACCOUNT.fullmatch(parts[4]):
        return None
    return Arn(parts[1], parts[2], parts[3], parts[4], parts[5])


def arn(service: str, region: str, account_id: str, resource: str) -> str:
    return f"arn:aws:{service}:{region}:{account_id}:{resource}"

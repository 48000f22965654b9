"""Regions and zones: which names are real, and the ids that AWS gives to zones."""

from __future__ import annotations

import re

#: AWS's public regions. Any of them can be used; the installation's own region may have another name.
AWS_REGIONS: tuple[str, ...] = (
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
)

_KNOWN = frozenset(AWS_REGIONS)
_DIRECTION = re.compile("north|south|east|west|central")


def is_aws_region(name: str) -> bool:
    return name in _KNOWN


def zone_id(region: str, zone: str) -> str:
    """`use1-az1` for us-east-1a: area, initials of the direction, number; the letter becomes a number.

    AWS shuffles letters per account; here a zone's letter and number always agree.
    """
    *area, direction, number = region.split("-") if region.count("-") >= 2 else (region, "", "")
    initials = "".join(word[0] for word in _DIRECTION.findall(direction)) or direction
    prefix = "".join((area[0], *(word[0] for word in area[1:]), initials, number))
    suffix = zone.removeprefix(region)
    if len(suffix) == 1 and "a" <= suffix <= "z":
        return f"{prefix}-az{ord(suffix) - ord('a') + 1}"
    return f"{prefix}-{zone}"

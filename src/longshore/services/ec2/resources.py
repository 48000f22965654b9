"""ARNs of EC2's resources, for authorisation and answers."""

from __future__ import annotations

from longshore.services.call import Call

#: what an id begins with -> (resource type in ARNs and tags)
RESOURCE_TYPES = {
    "vpc": "vpc",
    "subnet": "subnet",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "i": "instance",
}


def arn_of(call: Call, id: str) -> str:
    """The ARN of what has this id; `*` within the account for ids of unknown form."""
    type = RESOURCE_TYPES.get(id.partition("-")[0], "*")
    return call.arn("ec2", f"{type}/{id}" if type != "*" else "*")


def any_of(call: Call, type: str) -> str:
    return call.arn("ec2", f"{type}/*")

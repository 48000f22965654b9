"""The AWS APIs that are served, and how a request names one of them.

An API's shapes and operations are imported when they are first needed: a server is healthy before it has read them all,
and `preload` reads the rest once it is idle.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from longshore.aws.operation import Api, Operation
from longshore.aws.protocol.model import Model, OperationShape

#: names of the folders under services/ that answer requests
SERVED = ("ecs", "ecr", "elbv2", "elb", "acm", "ec2", "iam", "sts", "secretsmanager", "ssm", "cloudtrail")

#: X-Amz-Target prefix -> API
TARGET_PREFIXES: Mapping[str, str] = {
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "secretsmanager": "secretsmanager",
    "AmazonSSM": "ssm",
    "CertificateManager": "acm",
    "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101": "cloudtrail",
}

#: (signing name, API version) of forms -> API; the version tells Classic load balancers from the later ones
FORMS: Mapping[tuple[str, str], str] = {
    ("elasticloadbalancing", "2015-12-01"): "elbv2",
    ("elasticloadbalancing", "2012-06-01"): "elb",
    ("ec2", "2016-11-15"): "ec2",
    ("iam", "2010-05-08"): "iam",
    ("sts", "2011-06-15"): "sts",
}


@dataclass(frozen=True, slots=True)
class Served:
    """Everything needed to answer requests of one API."""

    model: Model
    shapes: Mapping[str, OperationShape]
    operations: Mapping[str, Operation]
    #: all operation names of AWS's model, served or not
    known: frozenset[str]


@cache
def served(name: str) -> Served:
    shapes = importlib.import_module(f"longshore.aws.shapes.{name}")
    importlib.import_module(f"longshore.services.{name}.operations")
    api: Api = importlib.import_module(f"longshore.services.{name}.api").api
    return Served(shapes.MODEL, {**shapes.OPERATIONS, **api.extensions}, api.operations, shapes.KNOWN_OPERATIONS)


async def preload() -> None:
    """Import every API, one per turn of the loop."""
    for name in SERVED:
        await asyncio.sleep(0.05)
        served(name)

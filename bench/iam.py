"""Decisions about a realistic principal: 22 statements in four policies with a boundary, conditions, variables, `Not…`.

Nothing remembers a decision here: compiled policies are kept, as they are in a server, and every question is decided anew, each with
the condition keys of a request. The peer is moto's own evaluation of policies, which knows neither conditions on identity policies nor
variables nor boundaries: it is given the same statements without conditions and asked as it asks itself for every request.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from bench.moto import NAME
from bench.report import Figure, Target, p50
from longshore.gateway.authorise import Access
from longshore.kit.clock import SystemClock
from longshore.services.call import Principal, Session
from longshore.services.iam import model as iam
from longshore.services.iam.checks import check_policy
from longshore.services.iam.evaluator import Limit, decide
from longshore.services.iam.identities import global_context
from longshore.services.iam.policy import compile_policy
from longshore.store.base import Tx
from longshore.store.memory import memory_store

ACCOUNT, REGION = "000000000000", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/deploy"
_ROUND_S = 1.0


def _says(effect: str, action: str | list[str], resource: str = "*", **condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


_APIS = ("ecs", "ecr", "logs", "ec2", "elasticloadbalancing", "s3", "ssm", "secretsmanager")
_TEAM = "${aws:PrincipalTag/team}"
_OWN_TEAM = {"aws:ResourceTag/team": _TEAM}
DOCUMENTS: tuple[list[dict[str, Any]], ...] = (
    [
        _says("Allow", ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]),
        _says("Allow", ["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/ecs/*"),
        _says("Allow", "ecs:Describe*"),
        _says("Allow", "ecs:List*", ArnLike={"ecs:cluster": f"arn:aws:ecs:*:*:cluster/{_TEAM}-*"}),
        _says(
            "Allow",
            ["ecs:RunTask", "ecs:StartTask"],
            f"arn:aws:ecs:*:*:task-definition/{_TEAM}-*",
            ArnEquals={"ecs:cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"},
        ),
        _says("Allow", "ecs:StopTask", "arn:aws:ecs:*:*:task/web/*", StringEquals=_OWN_TEAM),
        _says(
            "Allow",
            ["ecs:CreateService", "ecs:UpdateService", "ecs:DeleteService"],
            "arn:aws:ecs:*:*:service/web/*",
            StringEquals=_OWN_TEAM,
            Bool={"aws:SecureTransport": "true"},
        ),
        _says("Allow", "iam:PassRole", "arn:aws:iam::*:role/team/*", StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
    ],
    [
        _says("Allow", "ec2:Describe*"),
        _says("Allow", "elasticloadbalancing:Describe*"),
        _says(
            "Allow",
            ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            "arn:aws:elasticloadbalancing:*:*:targetgroup/web-*/*",
        ),
        _says("Allow", "s3:GetObject*", "arn:aws:s3:::team-${aws:PrincipalTag/team, 'none'}/*"),
        _says(
            "Allow",
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:*:*:secret:web/*",
            StringEquals={"aws:RequestedRegion": [REGION, "eu-west-1"]},
        ),
        _says("Allow", "ssm:GetParameter*", "arn:aws:ssm:*:*:parameter/web/*"),
    ],
    [
        _says(
            "Deny",
            "*",
            NotIpAddress={"aws:SourceIp": ["10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8"]},
            Bool={"aws:ViaAWSService": "false"},
        ),
        {
            "Effect": "Deny",
            "NotAction": [f"{api}:*" for api in ("iam", "sts", *_APIS)],
            "Resource": "*",
        },
        _says("Deny", ["iam:Create*", "iam:Delete*", "iam:Put*", "iam:Attach*"]),
        _says("Deny", "*", DateLessThan={"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}),
        _says("Deny", "ecs:DeleteCluster", StringNotEquals={"aws:PrincipalTag/rank": "lead"}),
        _says("Deny", "ecs:*", StringNotLike={"aws:ResourceTag/stage": ["dev*", "test*"]}, Null={"aws:ResourceTag/stage": "false"}),
    ],
)
BOUNDARY = [
    _says("Allow", [f"{api}:*" for api in _APIS] + ["iam:PassRole"]),
    _says("Deny", "iam:*", "arn:aws:iam::*:role/admin*"),
]
#: action, resource, whether it is allowed
QUESTIONS = (
    ("ecs:RunTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/web-app:3", True),
    ("ecs:UpdateService", f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/web/front", True),
    ("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/web", True),
    ("iam:PassRole", ROLE, True),
    ("ecs:DeleteCluster", f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web", False),
    ("kms:Decrypt", "*", False),
    ("s3:GetObject", "arn:aws:s3:::team-web/x", True),
    ("ecs:StopTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/web/1234", True),
)
ASKED = {
    "ecs:cluster": [f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"],
    "aws:resourcetag/team": ["web"],
    "aws:resourcetag/stage": ["dev1"],
    "iam:passedtoservice": ["ecs-tasks.amazonaws.com"],
}
PRINCIPAL = Principal(
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/build",
    "AROADEPLOYDEPLOYDEPLO:build",
    "ASIABENCHBENCHBENCHB",
    tags=(("team", "web"),),
    session=Session(ROLE, "AROADEPLOYDEPLOYDEPLO", 1_780_000_000.0, 1_780_003_600.0, "token"),
)


def text(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _per_second(ask: Callable[[], int]) -> float:
    """How often in a second of one processor's time, where `ask` says how many times it did it."""
    done, began = 0, time.process_time()
    while (elapsed := time.process_time() - began) < _ROUND_S:
        done += ask()
    return done / elapsed


def _deciding() -> Callable[[], int]:
    own = [compile_policy(text(one)) for one in DOCUMENTS]
    limits = [Limit("boundary", (compile_policy(text(BOUNDARY)),))]
    clock = SystemClock()

    def ask() -> int:
        for action, resource, allowed in QUESTIONS:
            context = global_context(PRINCIPAL, now=clock.now(), region=REGION, source_ip="10.2.3.4", secure=True, user_agent="bench")
            decision = decide(own, (), action, resource, {**context, **ASKED}, PRINCIPAL, limits=limits)
            assert decision.allowed is allowed, action
        return len(QUESTIONS)

    return ask


async def _asking_access() -> Callable[[], int]:
    """As the gateway asks, the principal's policies found in the store."""
    store = memory_store(iam.KINDS)
    bound = iam.ManagedPolicy(ACCOUNT, "bound", "ANPABOUNDBOUNDBOUNDBO", 0.0, 0.0)
    role = iam.Role(ACCOUNT, "deploy", "AROADEPLOYDEPLOYDEPLO", 0.0, "{}", "/team/", boundary_arn=bound.arn)

    def write(tx: Tx) -> None:
        tx.put(iam.ROLES, role)
        tx.put(iam.MANAGED_POLICIES, bound)
        tx.put(iam.POLICY_VERSIONS, iam.PolicyVersion(bound.arn, "v1", text(BOUNDARY), 0.0))
        for number, document in enumerate(DOCUMENTS):
            tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(ROLE, f"p{number}", text(document)))

    await store.transact(write)
    access = Access(store, SystemClock())

    def ask() -> int:
        for action, resource, allowed in QUESTIONS:
            origin: dict[str, Any] = {"region": REGION, "source_ip": "10.2.3.4", "secure": True, "user_agent": "bench"}
            denied = access.denial(PRINCIPAL, action, resource, **origin, conditions=lambda: ASKED)
            assert (denied is None) is allowed, (action, denied)
        return len(QUESTIONS)

    return ask


def _moto() -> Callable[[], int]:
    plain = [[{key: value for key, value in one.items() if key != "Condition"} for one in document] for document in DOCUMENTS[:2]]
    documents = [text(document) for document in plain]
    documents.append(text([one for one in DOCUMENTS[2] if "Condition" not in one]))

    def ask() -> int:
        for action, resource, _ in QUESTIONS:
            for document in documents:
                if IAMPolicy(document).is_action_permitted(action, resource) is PermissionResult.DENIED:
                    break
        return len(QUESTIONS)

    return ask


def _compiling() -> Callable[[], int]:
    pick = random.Random(1)

    def ask() -> int:
        document = text([{**one, "Sid": f"s{pick.getrandbits(60)}x{number}"} for number, one in enumerate(DOCUMENTS[0])])
        check_policy(document)
        return 1

    return ask


def measure(rounds: int) -> Iterator[Figure]:
    deciding, asking, moto, compiling = _deciding(), asyncio.run(_asking_access()), _moto(), _compiling()
    found: dict[str, list[float]] = {"decide": [], "access": [], "moto": [], "compile": []}
    for _ in range(rounds):
        for name, ask in (("decide", deciding), ("moto", moto), ("access", asking), ("compile", compiling)):
            found[name].append(_per_second(ask))
    theirs = p50(found["moto"])
    yield Figure("decisions, 22 statements", "/s", p50(found["decide"]), theirs, NAME, Target(">=", 20_000))
    yield Figure("as the gateway asks, decisions not kept", "/s", p50(found["access"]), theirs, NAME, Target(">=", 20_000))
    yield Figure("documents checked and compiled, 8 statements", "/s", p50(found["compile"]))

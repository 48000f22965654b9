"""Questions about policies by chance: whoever may ask, every element and every operator, values that matter and some that do not.

Much faster than a search for small counterexamples, and so made for many:

    python -m tests.services.iam.random_policies 1000000 [first seed]

holds the evaluator against the plain one that often, and prints each question on which they differ.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from longshore.services.iam.evaluator import Limit, decide, service_may
from longshore.services.iam.policy import compile_policy
from tests.services.iam import reference

ACCOUNT, OTHER = "000000000000", "111111111111"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/login.example.org"
ROLE, ROLE_ID = f"arn:aws:iam::{ACCOUNT}:role/team/deploy", "AROADEPLOYDEPLOYDEPLO"
USER, USER_ID = f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN"


@dataclass(frozen=True)
class Asking:
    arn: str
    account_id: str
    user_id: str
    identity_arn: str
    identity_id: str
    provider_arn: str = ""


def _self(arn: str, account_id: str, user_id: str) -> Asking:
    return Asking(arn, account_id, user_id, arn, user_id)


CALLERS = [
    _self(USER, ACCOUNT, USER_ID),
    _self(f"arn:aws:iam::{OTHER}:user/zoe", OTHER, "AIDAZOEZOEZOEZOEZOEZO"),
    _self(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT),
    Asking(f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/dan", ACCOUNT, f"{ROLE_ID}:dan", ROLE, ROLE_ID),
    Asking(f"arn:aws:sts::{ACCOUNT}:federated-user/eve", ACCOUNT, f"{ACCOUNT}:eve", USER, USER_ID),
    Asking(f"arn:aws:sts::{ACCOUNT}:federated-user/max", ACCOUNT, f"{ACCOUNT}:max", f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT),
    Asking(f"arn:aws:sts::{ACCOUNT}:web-identity/x/", ACCOUNT, "x", f"arn:aws:sts::{ACCOUNT}:web-identity/x/", "x", PROVIDER),
]
NAMES = [one for caller in CALLERS for one in (caller.arn, caller.identity_arn) if not one.endswith("/")]
IDS = [ROLE_ID, USER_ID, f"{ROLE_ID}:dan"[:21], "AIDABOBBOBBOBBOBBOBBO"]
SERVICE = "ecs-tasks.amazonaws.com"
ACTIONS = ["ecs:RunTask", "ecs:StopTask", "ecr:PutImage", "sts:AssumeRole"]
ACTION_PATTERNS = ["*", "ecs:*", "ecs:Run*", "ECS:stoptask", "ecr:P?tImage", "*:*Task", "sts:*", "e*:*a*", "ecs:R*n*k", "ecs:????Task"]
RESOURCES = [
    "*",
    *(f"arn:aws:ecs:us-east-1:{account}:cluster/{name}" for account in (ACCOUNT, OTHER, "") for name in ("edge", "core", "e*", "ann")),
]
RESOURCE_PATTERNS = [
    *("*", "arn:aws:ecs", "arn:aws:ecs:*", "arn:aws:ecs:us-east-1", "arn:aws:*:*:*:*", "arn:aws:ecs:*:*:cluster/e*g?"),
    *(f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge", f"arn:aws:ecs:*:{OTHER}:*", "arn:aws:ecs:us-????-1:*:cluster/*"),
    *("arn:aws:ecs:*:*:cluster/${aws:username}", "arn:aws:ecs:*:cluster/${*}", "arn:aws:ecs:*:*:cluster/e${*}"),
    *("arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/Team, 'core'}*", "arn:aws:ecs:*:*:${x:type}/?${x:rest}", "arn:aws:ecs:*:*:c*/*d*e"),
]
WORDS = ["edge", "Edge", "core", "e*", "ann", "", "straße", "a?b", "edgeedge"]
TEXTS = [
    *("edge", "EDGE", "core", "e*", "e?ge", "*", "?", "**", "${aws:username}", "x${aws:PrincipalTag/Team, 'y'}", "${?}", "${*}", "${$}"),
    *("${ aws:username }", "${ecs:tags}", "${aws:username", "${}", "$${aws:username}}", "${x:none,'e*'}", "*d*e", "e*e*e", "STRASSE", ""),
]
ARNS = [
    *(f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge", "arn:aws:sns:eu-west-1:222222222222:topic", "arn:aws:s3:::bucket/a:b:c"),
    *("edge", "arn:aws", USER),
]
ARN_PATTERNS = [
    *("arn:aws:ecs:*:*:cluster/*", "arn:aws:ecs:*:cluster/edge", "arn:aws:ecs:us-east-?:0*0:cluster/e??e", "arn:aws:s3:::bucket/*", "*"),
    *(f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}", "arn:aws:*:*:*:*", "arn:aws:s3:::*:b:c", "arn:*:ecs:*:*:*edge"),
]
NUMBERS = ["1", "2", "2.0", "3", "-1", ".5", "1e1", "10", "9007199254740993", "9007199254740992", "ten", "", "nan"]
DATES = [
    *("2026-03-01T00:00:00Z", "2026-03-01", "1772323200", "2026-03-01T01:00:00+01:00", "2026-03-01T00:00:00.5Z", "1772323200.5", "soon"),
    *("2025-12-31T23:59:59Z", "0"),
]
TRUTHS = ["true", "false", "TRUE", "yes"]
BYTES = ["aGVsbG8=", "aGk=", "????"]
ADDRESSES = ["10.2.3.4", "127.0.0.1", "::1", "::ffff:10.2.3.4", "2001:db8::7", "192.0.2.255"]
NETWORKS = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::ffff:10.0.0.0/104", "192.0.2.128/25", "0.0.0.0/0", "::/0", "10.2.3.4/31"]

#: kind of operator -> (its names, the policy's values, the keys that are asked for, the request's values)
KINDS: dict[str, tuple[list[str], list[str], list[str], list[str]]] = {
    "text": (
        ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"],
        TEXTS,
        ["aws:username", "aws:PrincipalTag/Team", "ecs:tags", "x:type", "x:rest", "x:none"],
        WORDS,
    ),
    "arn": (["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"], ARN_PATTERNS, ["aws:SourceArn"], ARNS),
    "number": (
        [f"Numeric{how}" for how in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")],
        NUMBERS[:-3],
        ["ecs:count"],
        NUMBERS,
    ),
    "date": (
        [f"Date{how}" for how in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")],
        [one for one in DATES if one != "soon"],
        ["aws:CurrentTime"],
        DATES,
    ),
    "truth": (["Bool"], TRUTHS, ["aws:SecureTransport"], TRUTHS),
    "bytes": (["BinaryEquals"], BYTES[:2], ["x:bytes"], BYTES),
    "address": (["IpAddress", "NotIpAddress"], NETWORKS, ["aws:SourceIp"], ADDRESSES),
}


class Case(NamedTuple):
    identity: list[str]
    resources: list[str]
    action: str
    resource: str
    context: dict[str, list[str]]
    caller: Asking
    limits: list[tuple[str, list[str]]]
    must: bool


def some(pick: random.Random, values: list[str], most: int) -> Any:
    found = [pick.choice(values) for _ in range(pick.randint(1, most))]
    return found[0] if len(found) == 1 and pick.random() < 0.5 else found


def conditions(pick: random.Random) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for _ in range(pick.choice([0, 0, 1, 1, 2])):
        operators, values, keys, _given = KINDS[pick.choice(["text", "text", "arn", "number", "date", "truth", "bytes", "address"])]
        key = pick.choice([str.lower, str.upper, str])(pick.choice(keys))
        if pick.random() < 0.1:
            found["Null"] = {key: pick.choice(["true", "false", True, ["true", "false"]])}
            continue
        quantifier = pick.choice(["", "", "", "ForAllValues:", "ForAnyValue:"])
        found[quantifier + pick.choice(operators) + pick.choice(["", "", "IfExists"])] = {key: some(pick, values, 3)}
    return found


def principal(pick: random.Random) -> Any:
    if pick.random() < 0.2:
        return "*"
    named: dict[str, Any] = {}
    if pick.random() < 0.9:
        named["AWS"] = some(pick, [*NAMES, *IDS[:2], IDS[3], ACCOUNT, OTHER, "*"], 3)
    if pick.random() < 0.3 or not named:
        named["Federated"] = some(pick, [PROVIDER, "accounts.example.org"], 2)
    if pick.random() < 0.2:
        named["Service"] = some(pick, [SERVICE, "ecs.amazonaws.com"], 2)
    return named


def statement(pick: random.Random, *, of_resource: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": "Allow" if pick.random() < 0.75 else "Deny"}
    made["NotAction" if pick.random() < 0.2 else "Action"] = some(pick, ACTION_PATTERNS, 3)
    whole = [one for one in RESOURCE_PATTERNS if one.count(":") >= 5 or "*" in one]
    if not of_resource or pick.random() < 0.5:
        made["NotResource" if pick.random() < 0.2 else "Resource"] = some(pick, whole if of_resource else RESOURCE_PATTERNS, 3)
    if of_resource:
        made["NotPrincipal" if pick.random() < 0.2 else "Principal"] = principal(pick)
    asked = conditions(pick)
    if asked or pick.random() < 0.1:
        made["Condition"] = asked
    return made


def document(pick: random.Random, *, of_resource: bool = False) -> str:
    version = pick.choice(["2012-10-17", "2012-10-17", "2008-10-17"]) if of_resource else "2012-10-17"
    statements = [statement(pick, of_resource=of_resource) for _ in range(pick.choice([1, 1, 2, 3]))]
    return json.dumps({"Version": version, "Statement": statements[0] if len(statements) == 1 else statements})


def context(pick: random.Random) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, _, keys, values in KINDS.values():
        for key in keys:
            if key != "x:none" and pick.random() < 0.6:
                found[pick.choice([str.lower, str])(key)] = [pick.choice(values) for _ in range(pick.choice([0, 1, 1, 1, 1, 2, 3]))]
    return found


def case(pick: random.Random) -> Case:
    limits = [(kind, [document(pick) for _ in range(pick.choice([0, 1, 1, 2]))]) for kind in ("boundary", "session") if pick.random() < 0.3]
    return Case(
        [document(pick) for _ in range(pick.choice([0, 1, 1, 2]))],
        [document(pick, of_resource=True) for _ in range(pick.choice([0, 0, 1, 1, 2]))],
        pick.choice(ACTIONS),
        pick.choice(RESOURCES),
        context(pick),
        pick.choice(CALLERS),
        limits,
        pick.random() < 0.2,
    )


def ours(asked: Case) -> reference.Verdict:
    limits = [Limit(kind, tuple(map(compile_policy, documents))) for kind, documents in asked.limits]  # type: ignore[arg-type]
    its = [compile_policy(one, resource_based=True) for one in asked.resources]
    own = [compile_policy(one) for one in asked.identity]
    question = (asked.action, asked.resource, asked.context, asked.caller)
    decision = decide(own, its, *question, limits=limits, resource_must_allow=asked.must)
    return reference.Verdict(decision.allowed, decision.explicit_deny, decision.side)


def plainly(asked: Case) -> reference.Verdict:
    return reference.decided(*asked[:7], must=asked.must)


def differences(times: int, seed: int, tell: Callable[[int, Case, object, object], None]) -> int:
    """How many of `times` questions get different answers."""
    found = 0
    for number in range(seed, seed + times):
        pick = random.Random(number // 2)
        asked = case(pick)
        if number % 2:  # the same policies, asked about something else
            asked = asked._replace(
                action=pick.choice(ACTIONS), resource=pick.choice(RESOURCES), context=context(pick), caller=pick.choice(CALLERS)
            )
        answers: list[tuple[object, object]] = [(ours(asked), plainly(asked))]
        for one in asked.resources:
            question = (asked.action, asked.resource, asked.context, SERVICE)
            answers.append((service_may(compile_policy(one, resource_based=True), *question), reference.service_allowed(one, *question)))
        for left, right in answers:
            if left != right:
                found += 1
                tell(number, asked, left, right)
    return found


def main() -> int:
    times, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.perf_counter()
    found = differences(times, seed, lambda number, asked, left, right: print(number, asked, left, right, sep="\n  "))
    print(f"{times} questions, {found} differences, {time.perf_counter() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

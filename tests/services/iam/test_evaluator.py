"""What policies allow: each rule of the evaluation in a sentence, and the fast evaluator against a plain one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.iam.checks import check_session_policy
from longshore.services.iam.evaluator import Limit, decide
from longshore.services.iam.policy import MalformedPolicy, compile_policy
from tests.services.iam import reference

ACCOUNT = "000000000000"
OTHER = "111111111111"
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge"


@dataclass(frozen=True)
class Caller:
    arn: str
    account_id: str = ACCOUNT
    user_id: str = ""
    role_arn: str = ""
    role_id: str = ""
    provider_arn: str = ""

    @property
    def identity_arn(self) -> str:
        return self.role_arn or self.arn

    @property
    def identity_id(self) -> str:
        return self.role_id or self.user_id


ANN = Caller(f"arn:aws:iam::{ACCOUNT}:user/ann", user_id="AIDAANNANNANNANNANNAN")
ROOT = Caller(f"arn:aws:iam::{ACCOUNT}:root")
#: in a role
DAN = Caller(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/dan",
    user_id="AROADEPLOYDEPLOYDEPLO:dan",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/deploy",
    role_id="AROADEPLOYDEPLOYDEPLO",
)


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def may(
    *statements: dict[str, Any],
    action: str = "ecs:DescribeClusters",
    resource: str = CLUSTER,
    caller: Caller = ANN,
    its: tuple[dict[str, Any], ...] = (),
    boundary: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    must: bool = False,
    **context: Any,
) -> bool:
    own = [compile_policy(document(*statements))] if statements else []
    other = [compile_policy(document(*its), resource_based=True)] if its else []
    keys = {name.replace("__", ":"): value if isinstance(value, list) else [value] for name, value in context.items()}
    limits = []
    if boundary is not None:
        limits.append(Limit("boundary", (compile_policy(document(boundary)),)))
    if session is not None:
        limits.append(Limit("session", (compile_policy(document(session)),)))
    return decide(own, other, action, resource, keys, caller, limits=limits, resource_must_allow=must).allowed


def test_nothing_is_allowed_without_a_policy() -> None:
    assert not may()


def test_an_explicit_deny_wins_over_every_allow() -> None:
    assert may(allow())
    assert not may(allow(), deny("ecs:Describe*"))
    decision = decide([compile_policy(document(allow(), deny(Sid="NoEcs")))], [], "ecs:RunTask", CLUSTER, {}, ANN)
    assert (decision.allowed, decision.explicit_deny) == (False, True)
    assert decision.statement is not None and decision.statement.sid == "NoEcs"


def test_a_missing_allow_is_not_an_explicit_deny() -> None:
    decision = decide([compile_policy(document(allow("ecr:*")))], [], "ecs:RunTask", CLUSTER, {}, ANN)
    assert (decision.allowed, decision.explicit_deny, decision.side) == (False, False, "identity")


@pytest.mark.parametrize("pattern", ["*", "ecs:*", "ECS:describeclusters", "ecs:Describe*", "ecs:*Clusters", "ecs:D?scribe*s"])
def test_actions_match_by_wildcard_and_without_regard_to_case(pattern: str) -> None:
    assert may(allow(pattern))


@pytest.mark.parametrize("pattern", ["ecr:*", "ecs:List*", "ecs:DescribeCluster", "ecs:DescribeClusters?"])
def test_other_actions_do_not_match(pattern: str) -> None:
    assert not may(allow(pattern))


@pytest.mark.parametrize("pattern", [CLUSTER, "arn:aws:ecs:*:*:cluster/e*", "arn:aws:ecs:us-east-?:*", "arn:aws:ecs:*:cluster/*ge"])
def test_resources_match_by_wildcard(pattern: str) -> None:
    assert may(allow(resource=pattern))


@pytest.mark.parametrize("pattern", [CLUSTER.upper().replace("ARN:AWS", "arn:aws"), "arn:aws:ecs:*:*:cluster/f*", CLUSTER + "?"])
def test_other_resources_do_not_match(pattern: str) -> None:
    assert not may(allow(resource=pattern))


def test_not_action_and_not_resource_mean_all_others() -> None:
    assert may({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert not may({"Effect": "Allow", "NotAction": "ecs:*", "Resource": "*"})
    assert not may({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ecs:*:*:cluster/edge"})
    assert may({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ecs:*:*:cluster/core"})


def test_a_long_pattern_of_wildcards_is_matched_quickly() -> None:
    pattern = "arn:aws:ecs:*:*:cluster/" + "*a" * 40 + "b"
    started = time.perf_counter()
    assert not may(allow(resource=pattern), resource=f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/" + "a" * 2000)
    assert time.perf_counter() - started < 0.5


def _filling(make: Any, most: int = 6_100) -> str:
    """The longest document of its kind that is still a policy."""
    times = 1
    while len(make(2 * times)) < most:
        times *= 2
    return str(make(times))


#: (documents as slow as they come, a value of a condition key)
SLOW: list[tuple[Any, str]] = [
    (lambda times: document(allow(resource=[f"*:{number}*?" for number in range(times)])), "x"),
    (lambda times: document(allow(resource="*:" + "*a" * times + "b")), "x"),
    (lambda times: document(allow(Condition={"StringLike": {"aws:UserAgent": "*" + "?" * times + "b"}})), "a" * 4_000),
    (lambda times: document(allow(Condition={"StringLike": {"aws:UserAgent": ["*?a?b" + str(n) for n in range(times)]}})), "ab" * 2_000),
    (lambda times: document(allow(Condition={"ForAllValues:StringNotLike": {"aws:UserAgent": ["*${x:y}?a*"] * times}})), "ab" * 2_000),
    (lambda times: document(allow(Condition={"ArnLike": {"aws:UserAgent": [f"a:b:*:?:{n}:*x*" for n in range(times)]}})), "a:b:c:d:e:f"),
]


@pytest.mark.parametrize("number", range(len(SLOW)))
def test_a_policy_made_to_be_slow_is_not(number: int) -> None:
    make, value = SLOW[number]
    policy = compile_policy(_filling(make))
    context = {"aws:useragent": [value], "x:y": ["b" * 200]}
    started = time.perf_counter()
    decide([policy], [], "ecs:RunTask", f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/" + "a" * 2_000, context, ANN)
    assert time.perf_counter() - started < 0.3


def test_what_a_refusal_repeats_is_short() -> None:
    for long in (allow(resource="x" * 9_000), allow("e!" * 9_000 + ":x"), allow(Condition={"x" * 9_000: {"a:b": "c"}})):
        with pytest.raises(MalformedPolicy) as refused:
            compile_policy(document(long))
        assert len(str(refused.value)) < 600


# ── variables ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_variable_stands_for_the_callers_value() -> None:
    mine = allow(resource="arn:aws:ecs:*:*:cluster/${aws:username}")
    assert may(mine, aws__username="edge")
    assert not may(mine, aws__username="core")
    assert not may(mine), "a variable without a value matches nothing"
    assert may(mine, AWS__UserName="edge"), "keys are told apart without regard to case"


def test_wildcards_in_a_variables_value_are_plain_characters() -> None:
    assert not may(allow(resource="arn:aws:ecs:*:*:cluster/${aws:username}"), aws__username="*")
    assert may(allow(resource="arn:aws:ecs:*:*:cluster/${*}"), resource=f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/*")
    assert not may(allow(resource="arn:aws:ecs:*:*:cluster/${*}"))


def test_a_variable_may_have_a_default() -> None:
    mine = allow(resource="arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team, 'edge'}")
    assert may(mine)
    assert not may(mine, **{"aws__PrincipalTag/team": "core"})


def test_variables_are_plain_text_in_the_old_version() -> None:
    old = compile_policy(
        document({**allow(resource="arn:aws:ecs:*:*:cluster/${aws:username}"), "Principal": "*"}, version="2008-10-17"),
        resource_based=True,
    )
    assert not decide([], [old], "ecs:DescribeClusters", CLUSTER, {"aws:username": ["edge"]}, ANN).allowed


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────

KEY = "ecs:cluster"
CONDITIONS: list[tuple[str, Any, Any, bool]] = [
    # operator, policy value(s), value(s) in the request (None: absent), holds
    ("StringEquals", "edge", "edge", True),
    ("StringEquals", ["core", "edge"], "edge", True),
    ("StringEquals", "Edge", "edge", False),
    ("StringEquals", "e*", "edge", False),
    ("StringEquals", "edge", None, False),
    ("StringEqualsIfExists", "edge", None, True),
    ("StringNotEquals", ["core", "edge"], "edge", False),
    ("StringNotEquals", ["core", "rim"], "edge", True),
    ("StringNotEquals", "edge", None, True),
    ("StringEqualsIgnoreCase", "EDGE", "edge", True),
    ("StringNotEqualsIgnoreCase", "EDGE", "edge", False),
    ("StringEqualsIgnoreCase", "STRASSE", "straße", False),
    ("StringEqualsIgnoreCase", "ÉTÉ", "été", True),
    ("StringLike", "e?g*", "edge", True),
    ("StringNotLike", "e?g*", "edge", False),
    ("NumericEquals", 3, "3.0", True),
    ("NumericNotEquals", "3", "4", True),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "10", "10", False),
    ("NumericGreaterThanEquals", "10", "10", True),
    ("NumericEquals", "3", "three", False),
    ("NumericEquals", "10", "1_0", False),
    ("NumericEquals", "1e1", "10", True),
    ("NumericEquals", "9007199254740993", "9007199254740992", False),
    ("NumericNotEquals", "3", "nan", True),
    ("NumericLessThan", ["1", "10"], "9", True),
    ("DateEquals", "2026-03-01T00:00:00Z", "1772323200", True),
    ("DateNotEquals", "2026-03-01T00:00:00Z", "1772323201", True),
    ("DateLessThan", "2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z", True),
    ("DateLessThanEquals", "2026-03-01", "2026-03-01T00:00:00Z", True),
    ("DateGreaterThan", "1772323200", "2026-03-01T00:00:01+00:00", True),
    ("DateEquals", "2026-03-01T00:00:00.5Z", "1772323200.5", True),
    ("DateEquals", "2026-03-01T01:00:00+01:00", "2026-03-01T00:00:00Z", True),
    ("DateLessThan", "2026-03-01T00:00:00Z", "nan", False),
    ("DateGreaterThanEquals", "2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", False),
    ("Bool", "true", "true", True),
    ("Bool", True, "true", True),
    ("Bool", "false", "true", False),
    ("Bool", "false", None, False),
    ("BoolIfExists", "false", None, True),
    ("Bool", ["true", "false"], "false", True),
    ("Bool", "true", ["false", "true"], True),
    ("BinaryEquals", "aGVsbG8=", "aGVsbG8=", True),
    ("BinaryEquals", "aGVsbG8=", "????", False),
    ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", ["192.0.2.1", "2001:db8::/32"], "2001:db8::1", True),
    ("IpAddress", "10.0.0.0/8", "::1", False),
    ("IpAddress", "10.0.0.0/8", "nonsense", False),
    ("IpAddress", "10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("IpAddress", "::ffff:10.0.0.0/104", "10.1.2.3", True),
    ("NotIpAddress", "10.0.0.0/8", "::ffff:192.0.2.1", True),
    ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
    ("ArnEquals", "arn:aws:ecs:*:*:cluster/edge", CLUSTER, True),
    ("ArnLike", "arn:aws:ecs:*:cluster/edge", CLUSTER, False),
    ("ArnNotLike", "arn:aws:ecs:*:*:cluster/core", CLUSTER, True),
    ("ArnEquals", "arn:aws:ecs:us-????-1:0*0:cluster/e?ge", CLUSTER, True),
    ("ArnEquals", "arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a:b", True),
    ("ArnNotEquals", "arn:aws:ecs:*:*:cluster/edge", CLUSTER, False),
    ("Null", "true", None, True),
    ("Null", "true", "edge", False),
    ("Null", False, "edge", True),
    ("ForAllValues:StringEquals", ["a", "b"], ["a", "b", "a"], True),
    ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
    ("ForAllValues:StringEquals", ["a"], None, True),
    ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True),
    ("ForAllValues:StringNotEquals", ["a"], ["b", "a"], False),
    ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
    ("ForAnyValue:StringEquals", ["a"], ["b"], False),
    ("ForAnyValue:StringEquals", ["a"], None, False),
    ("ForAnyValue:StringEqualsIfExists", ["a"], None, False),
    ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
    ("ForAnyValue:StringLike", ["a*"], ["xa", "ab"], True),
]


@pytest.mark.parametrize(("operator", "wanted", "given_value", "holds"), CONDITIONS)
def test_a_condition_operator(operator: str, wanted: Any, given_value: Any, holds: bool) -> None:
    context = {} if given_value is None else {KEY: given_value}
    assert may(allow(Condition={operator: {"ECS:Cluster": wanted}}), **context) is holds


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = allow(Condition={"StringEquals": {"ecs:cluster": "edge"}, "Bool": {"aws:SecureTransport": "true"}})
    assert may(both, ecs__cluster="edge", aws__SecureTransport="true")
    assert not may(both, ecs__cluster="edge", aws__SecureTransport="false")


def test_a_variable_in_a_condition_value() -> None:
    own = allow(Condition={"StringLike": {"ecs:cluster": "${aws:username}-*"}})
    assert may(own, ecs__cluster="ann-1", aws__username="ann")
    assert not may(own, ecs__cluster="bob-1", aws__username="ann")
    assert not may(own, ecs__cluster="ann-1")


# ── resource policies ────────────────────────────────────────────────────────────────────────────────────────────────

REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/web"
FOREIGN = f"arn:aws:ecr:us-east-1:{OTHER}:repository/web"


def grants(principal: Any, effect: str = "Allow", element: str = "Principal") -> dict[str, Any]:
    return {"Effect": effect, "Action": "ecr:*", element: principal}


def test_in_one_account_either_side_may_allow() -> None:
    assert may(allow("ecr:*"), action="ecr:PutImage", resource=REPOSITORY)
    assert may(its=(grants({"AWS": ANN.arn}),), action="ecr:PutImage", resource=REPOSITORY)
    assert may(its=(grants("*"),), action="ecr:PutImage", resource=REPOSITORY)
    assert not may(its=(grants({"AWS": f"{ANN.arn}a"}),), action="ecr:PutImage", resource=REPOSITORY)


def test_naming_the_account_leaves_the_decision_to_its_own_policies() -> None:
    for account in (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"):
        assert not may(its=(grants({"AWS": account}),), action="ecr:PutImage", resource=REPOSITORY)
        assert may(allow("ecr:PutImage"), its=(grants({"AWS": account}),), action="ecr:PutImage", resource=REPOSITORY)


def test_across_accounts_both_sides_must_allow() -> None:
    question: dict[str, Any] = {"action": "ecr:PutImage", "resource": FOREIGN}
    assert not may(allow(), **question)
    assert not may(its=(grants({"AWS": ANN.arn}),), **question)
    assert may(allow(), its=(grants({"AWS": ANN.arn}),), **question)
    assert may(allow(), its=(grants({"AWS": ACCOUNT}),), **question)
    assert not may(its=(grants({"AWS": OTHER}),), caller=ROOT, **question)
    assert may(its=(grants({"AWS": ACCOUNT}),), caller=ROOT, **question)


def test_a_resource_policys_deny_binds_even_the_root() -> None:
    assert may(action="ecr:PutImage", resource=REPOSITORY, caller=ROOT)
    assert not may(its=(grants("*", "Deny"),), action="ecr:PutImage", resource=REPOSITORY, caller=ROOT)
    assert not may(allow(), its=(grants({"AWS": ANN.arn}, "Deny"),), action="ecr:PutImage", resource=REPOSITORY)


def test_a_user_can_be_named_by_id() -> None:
    question: dict[str, Any] = {"action": "ecr:PutImage", "resource": REPOSITORY}
    by_id = grants({"AWS": ANN.user_id})
    assert may(its=(by_id,), **question)
    assert may(its=(by_id,), caller=Caller(f"arn:aws:iam::{ACCOUNT}:user/anna", user_id=ANN.user_id), **question)
    assert not may(its=(by_id,), caller=Caller(ANN.arn, user_id="AIDABOBBOBBOBBOBBOBBO"), **question)
    assert not may(its=(grants({"AWS": ACCOUNT}),), caller=Caller(ANN.arn, user_id=ACCOUNT), **question), "an account's id is no user's"


def test_not_principal_denies_everybody_else() -> None:
    guarded = grants({"AWS": [ANN.arn]}, "Deny", "NotPrincipal")
    question: dict[str, Any] = {"action": "ecr:PutImage", "resource": REPOSITORY, "its": (guarded,)}
    assert may(allow(), **question)
    assert not may(allow(), caller=Caller(f"arn:aws:iam::{ACCOUNT}:user/bob"), **question)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_boundary_or_a_session_policy_does_not_allow_is_not_allowed() -> None:
    for caller in (ANN, DAN):
        for limit in ("boundary", "session"):
            assert may(allow(), caller=caller, **{limit: allow("ecs:*")})
            assert not may(allow(), caller=caller, **{limit: allow("ecr:*")})
            assert not may(allow(), caller=caller, **{limit: deny("ecs:*")})
            assert not may(caller=caller, **{limit: allow()}), "a limit allows nothing by itself"
    assert may(allow(), boundary=allow("ecs:*"), session=allow("ecs:Describe*"))
    assert not may(allow(), boundary=allow("ecs:*"), session=allow("ecs:List*"))


def test_a_decision_names_the_limit_that_lacked_an_allow_or_denied() -> None:
    own = [compile_policy(document(allow()))]
    limits = [Limit("boundary", (compile_policy(document(allow())),)), Limit("session", (compile_policy(document(allow("ecr:*"))),))]
    decision = decide(own, [], "ecs:RunTask", CLUSTER, {}, DAN, limits=limits)
    assert (decision.allowed, decision.explicit_deny, decision.side) == (False, False, "session")
    limits = [Limit("boundary", (compile_policy(document(deny(Sid="Never"))),))]
    decision = decide(own, [], "ecs:RunTask", CLUSTER, {}, DAN, limits=limits)
    assert (decision.explicit_deny, decision.side) == (True, "boundary")
    assert decision.statement is not None and decision.statement.sid == "Never"


def test_what_a_resource_gives_a_user_or_one_session_is_beyond_limits_and_what_it_gives_a_role_is_not() -> None:
    question: dict[str, Any] = {"action": "ecr:PutImage", "resource": REPOSITORY, "boundary": allow("ecs:*"), "session": allow("ecs:*")}
    assert may(its=(grants({"AWS": ANN.arn}),), **question)
    assert may(its=(grants("*"),), **question)
    assert may(its=(grants({"AWS": DAN.arn}),), caller=DAN, **question)
    for named in ({"AWS": DAN.role_arn}, {"AWS": DAN.role_id}, "*"):
        assert not may(its=(grants(named),), caller=DAN, **question)
        assert may(its=(grants(named),), caller=DAN, action="ecr:PutImage", resource=REPOSITORY)
    assert not may(its=(grants({"AWS": DAN.arn}, "Deny"),), caller=DAN, action="ecr:PutImage", resource=REPOSITORY)
    assert not may(allow(), its=(grants({"AWS": DAN.role_arn}, "Deny"),), caller=DAN, action="ecr:PutImage", resource=REPOSITORY)


def test_where_the_resource_must_allow_the_callers_own_policies_are_not_enough() -> None:
    question: dict[str, Any] = {"action": "sts:AssumeRole", "resource": DAN.role_arn, "must": True}
    for caller in (ANN, DAN, ROOT):
        assert not may(allow(), caller=caller, **question)
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    assert may(allow(), its=(trusted,), **question)
    assert not may(its=(trusted,), **question)
    assert may(its=(trusted | {"Principal": {"AWS": ANN.arn}},), **question)


# ── documents that cannot stand ──────────────────────────────────────────────────────────────────────────────────────

MALFORMED: list[tuple[str, str]] = [
    ("{", "This policy contains invalid Json"),
    ("[" * 100_000, "This policy contains invalid Json"),
    ("[]", "Syntax errors in policy."),
    ("{}", "Syntax errors in policy."),
    (document(), "Syntax errors in policy."),
    (document(version="2020-01-01"), "Syntax errors in policy."),
    (document(allow(), version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
    (json.dumps({"Statement": allow()}), "Policy document must be version 2012-10-17 or greater."),
    (document({**allow(), "Effect": "allow"}), "Syntax errors in policy."),
    (document({**allow(), "Colour": "red"}), "Syntax errors in policy."),
    (document({**allow(), "NotAction": "*"}), "Syntax errors in policy."),
    (document({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
    (document({"Effect": "Allow", "Action": "*"}), "Policy statement must contain resources."),
    (document(allow([])), "Policy statement must contain actions."),
    (document(allow(resource=[])), "Policy statement must contain resources."),
    (document(allow("RunTask")), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
    (document(allow("ecs:Run:Task")), "Actions/Condition can contain only one colon."),
    (document(allow("e s:RunTask")), "Vendor e s is not valid"),
    (document(allow(resource="web")), 'Resource web must be in ARN format or "*".'),
    (document(allow(resource="arn:mars:ecs:::x")), 'Partition "mars" is not valid for resource "arn:mars:ecs:::x".'),
    (document(allow(resource="arn:aws::::x")), "Resource vendor must be fully qualified and cannot contain regexes."),
    (document(allow(Sid="a-b")), "Statement IDs (SID) must be alpha-numeric."),
    (document(allow(Sid="a"), allow(Sid="a")), "Statement IDs (SID) in a single policy must be unique."),
    (document(allow(Principal="*")), "Policy document should not specify a principal."),
    (document(allow(Condition={"StringEqual": {"aws:x": "y"}})), "Invalid Condition type : StringEqual."),
    (document(allow(Condition={"ForSome:StringEquals": {"aws:x": "y"}})), "Invalid Condition type : ForSome:StringEquals."),
    (document(allow(Condition={"StringEquals": "y"})), "Syntax errors in policy."),
    (document(allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}})), "Invalid IP address in Condition"),
    (document(allow(Condition={"NumericEquals": {"aws:x": "many"}})), "Invalid numeric value in Condition: many."),
    (document(allow(Condition={"DateEquals": {"aws:x": "soon"}})), "Invalid date value in Condition: soon."),
    (document(allow(Condition={"StringEquals": {"username": "y"}})), "Actions/Conditions must be prefaced by a vendor"),
]


@pytest.mark.parametrize(("text", "words"), MALFORMED, ids=[words[:40] + str(n) for n, (_, words) in enumerate(MALFORMED)])
def test_a_malformed_document_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        compile_policy(text)
    assert str(refused.value).startswith(words)


def test_an_arn_that_ends_early_stands_for_all_that_begin_so_in_identity_policies_alone() -> None:
    assert may(allow(resource="arn:aws:ecs")) and may(allow(resource="arn:aws:ecs:us-east-1"))
    assert not may(allow(resource="arn:aws:ecs:us-east")) and not may(allow(resource="arn:aws:ec"))
    for whole in (
        lambda: compile_policy(document({**allow(resource="arn:aws:ecs"), "Principal": "*"}), resource_based=True),
        lambda: check_session_policy(document(allow(resource="arn:aws:ecs"))),
    ):
        with pytest.raises(MalformedPolicy, match=r"^Resource arn:aws:ecs must be in ARN format") as refused:
            whole()
        assert refused.value.path == ("Statement", 0, "Resource")


def test_a_resource_policy_needs_a_principal() -> None:
    with pytest.raises(MalformedPolicy, match="Missing required field Principal"):
        compile_policy(document(allow()), resource_based=True)
    with pytest.raises(MalformedPolicy, match="Invalid principal in policy"):
        compile_policy(document(grants({"AWS": "ann"})), resource_based=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Sid", "Principal"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_no_document_makes_the_compiler_stumble(value: Any) -> None:
    for resource_based in (False, True):
        try:
            compile_policy(json.dumps(value), resource_based=resource_based)
        except MalformedPolicy:
            pass


# ── the fast evaluator against the plain one ─────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(["edge", "core", "ann", "e*", "*", "e?ge"])
ACTIONS = st.sampled_from(["ecs:RunTask", "ecs:StopTask", "ecr:PutImage"])
ACTION_PATTERNS = st.sampled_from(["*", "ecs:*", "ecs:Run*", "ECS:stoptask", "ecr:P?tImage", "*:*Task"])
RESOURCES = st.builds("arn:aws:ecs:us-east-1:{}:cluster/{}".format, st.sampled_from([ACCOUNT, OTHER, ""]), NAMES) | st.just("*")
RESOURCE_PATTERNS = st.sampled_from([
    "*", "arn:aws:ecs:*", f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge", "arn:aws:ecs:*:*:cluster/${aws:username}",
    "arn:aws:ecs:*:*:cluster/e*g?", "arn:aws:ecs:*:cluster/${*}", "arn:aws:ecs:*:*:cluster/${aws:team, 'core'}*",
])  # fmt: skip
TEXTS = st.sampled_from(["edge", "Edge", "core", "e*", "e?ge", "*", "${aws:username}", "x${aws:team, 'y'}", "${?}"])
WORDS = st.sampled_from(["edge", "Edge", "core", "e*", "ann", "xy", "?"])


def conditions() -> st.SearchStrategy[dict[str, dict[str, list[str]]]]:
    keys = st.sampled_from(["aws:username", "AWS:Team", "ecs:tags"])
    strings = st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "ArnLike"])
    quantified = st.builds(
        "{}{}{}".format, st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]), strings, st.sampled_from(["", "IfExists"])
    )
    of_strings = st.tuples(quantified, keys, st.lists(TEXTS, min_size=1, max_size=2))
    numbers = st.sampled_from(["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEqualsIfExists"])
    of_numbers = st.tuples(numbers, st.just("ecs:count"), st.lists(st.sampled_from(["1", "2", "3.0"]), min_size=1, max_size=2))
    addresses = st.tuples(st.sampled_from(["IpAddress", "NotIpAddress"]), st.just("aws:SourceIp"), st.just(["10.0.0.0/8", "127.0.0.1"]))
    nulls = st.tuples(st.just("Null"), keys, st.sampled_from([["true"], ["false"]]))
    one = of_strings | of_numbers | addresses | nulls
    return st.lists(one, max_size=2).map(lambda found: {name: {key: values} for name, key, values in found})


PRINCIPALS = st.sampled_from([
    {"AWS": DAN.arn}, {"AWS": DAN.role_arn}, {"AWS": [DAN.role_id, OTHER]},
    "*", {"AWS": "*"}, {"AWS": ANN.arn}, {"AWS": ANN.user_id}, {"AWS": ACCOUNT}, {"AWS": [ROOT.arn, OTHER]}, {"AWS": OTHER},
    {"Service": "ecs.amazonaws.com"},
])  # fmt: skip


def statements(*, principals: bool) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda effect, action, resource, condition, act, on, who, how: {
            "Effect": effect,
            act: action,
            on: resource,
            "Condition": condition,
            **({how: who} if principals else {}),
        },
        st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
        st.lists(ACTION_PATTERNS, min_size=1, max_size=2),
        st.lists(RESOURCE_PATTERNS, min_size=1, max_size=2),
        conditions(),
        st.sampled_from(["Action", "Action", "NotAction"]),
        st.sampled_from(["Resource", "Resource", "NotResource"]),
        PRINCIPALS,
        st.sampled_from(["Principal", "Principal", "NotPrincipal"]),
    )


CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "aws:username": st.lists(WORDS, max_size=1),
        "aws:team": st.lists(WORDS, max_size=2),
        "ecs:tags": st.lists(WORDS, max_size=3),
        "ecs:count": st.sampled_from([["1"], ["3"], []]),
        "aws:SourceIp": st.sampled_from([["10.2.3.4"], ["127.0.0.1"], ["192.0.2.1"]]),
    },
)


@settings(max_examples=150)
@given(
    st.lists(statements(principals=False), max_size=3),
    st.lists(statements(principals=True), max_size=2),
    ACTIONS,
    RESOURCES,
    CONTEXTS,
    st.sampled_from([ANN, ROOT, DAN, DAN]),
    st.lists(st.lists(statements(principals=False), min_size=1, max_size=2), max_size=2),
    st.booleans(),
)
def test_the_evaluator_agrees_with_the_plain_one(
    own: list[dict[str, Any]],
    its: list[dict[str, Any]],
    action: str,
    resource: str,
    context: dict[str, list[str]],
    caller: Caller,
    limits: list[list[dict[str, Any]]],
    must: bool,
) -> None:
    identity = [document(*own)] if own else []
    resources = [document(*its)] if its else []
    decision = decide(
        [compile_policy(text) for text in identity],
        [compile_policy(text, resource_based=True) for text in resources],
        action,
        resource,
        context,
        caller,
        limits=[Limit("session", (compile_policy(document(*limit)),)) for limit in limits],
        resource_must_allow=must,
    )
    bounds = [[document(*limit)] for limit in limits]
    expected = reference.allowed(identity, resources, action, resource, context, caller, bounds, must=must)
    assert (decision.allowed, decision.explicit_deny) == expected


@settings(max_examples=100)
@given(st.lists(statements(principals=False), max_size=2), st.lists(statements(principals=True), max_size=2), ACTIONS, RESOURCES, CONTEXTS)
def test_what_constant_policies_decide_does_not_hang_on_the_context(
    own: list[dict[str, Any]], its: list[dict[str, Any]], action: str, resource: str, context: dict[str, list[str]]
) -> None:
    compiled = [compile_policy(document(*own))] if own else []
    others = [compile_policy(document(*its), resource_based=True)] if its else []
    if all(policy.is_constant for policy in (*compiled, *others)):
        assert decide(compiled, others, action, resource, context, ANN) == decide(compiled, others, action, resource, {}, ANN)


@pytest.mark.parametrize(
    ("statement", "constant", "timeless"),
    [
        (allow(), True, True),
        (allow(["ecs:*", "ecr:Get?"], "arn:aws:ecs:*:*:cluster/e*"), True, True),
        (allow(Condition={}), True, True),
        (allow(Condition={"StringEquals": {"aws:username": "ann"}}), False, True),
        (allow(Condition={"IpAddress": {"AWS:SourceIP": ["10.0.0.0/8"]}, "Bool": {"aws:SecureTransport": True}}), False, True),
        (allow(Condition={"StringEquals": {"ecr:ResourceTag/team": "web"}}), False, True),
        (allow(Condition={"StringEquals": {"ecs:cluster": "web"}}), False, False),
        (allow(Condition={"StringLike": {"aws:UserAgent": ["x", "${aws:CurrentTime}"]}}), False, False),
        (allow(Condition={"Bool": {"aws:SecureTransport": "true"}, "DateLessThan": {"aws:CurrentTime": "2030-01-01"}}), False, False),
        (allow(resource="arn:aws:ecs:*:*:cluster/${aws:username}"), False, False),
        ({"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:ecs:*:*:cluster/${aws:username}"}, False, False),
    ],
)
def test_it_is_known_what_a_policy_hangs_on(statement: dict[str, Any], constant: bool, timeless: bool) -> None:
    policy = compile_policy(document(deny("s3:*"), statement))
    assert (policy.is_constant, policy.is_timeless) == (constant, timeless)

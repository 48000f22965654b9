"""Policies written from recorded calls: they allow every one of them, and exact ones nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.call import Principal
from longshore.services.iam.checks import check_policy
from longshore.services.iam.evaluator import decide
from longshore.services.iam.lookup import MOST_DOCUMENT, size_of
from longshore.services.iam.minimal import minimal_policy
from longshore.services.iam.minimal_patterns import generalised, literal
from longshore.services.iam.policy import compile_policy
from longshore.services.iam.recording_model import RecordedCall

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci"
WHO = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN", "AKIAANN")
TASK = "6f2c0a4bd8e04f6e8d7f0a1b2c3d4e5f"


def ecs(resource: str) -> str:
    return f"arn:aws:ecs:us-east-1:{ACCOUNT}:{resource}"


def call(action: str, resource: str, *, allowed: int = 1, denied: int = 0, is_pattern: bool = False, **said: str) -> RecordedCall:
    circumstances = tuple(sorted((key.replace("__", ":"), (value,)) for key, value in said.items()))
    return RecordedCall("r", ROLE, action, resource, circumstances, is_pattern, allowed, denied)


def statements(*calls: RecordedCall, **how: Any) -> list[dict[str, Any]]:
    made = minimal_policy(calls, **how)
    assert len(made.documents) <= 1
    return list(json.loads(made.documents[0])["Statement"]) if made.documents else []


def allows(documents: tuple[str, ...], action: str, resource: str, context: dict[str, list[str]]) -> bool:
    return decide([compile_policy(document) for document in documents], (), action, resource, context, WHO).allowed


def test_actions_on_the_same_and_resources_of_the_same_stand_together() -> None:
    calls = [
        *(call(action, ecs(f"cluster/{name}")) for action in ("ecs:ListTasks", "ecs:DescribeClusters") for name in ("b", "a")),
        call("ecs:DescribeClusters", ecs("cluster/c")),
        call("ecr:GetAuthorizationToken", "*"),
    ]
    assert statements(*calls) == [
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": "ecs:DescribeClusters", "Resource": ecs("cluster/c")},
        {"Effect": "Allow", "Action": ["ecs:DescribeClusters", "ecs:ListTasks"], "Resource": [ecs("cluster/a"), ecs("cluster/b")]},
    ]


def test_what_was_refused_is_left_out_unless_it_is_asked_for() -> None:
    calls = [call("ecs:ListTasks", ecs("cluster/a")), call("ecs:DeleteCluster", ecs("cluster/a"), allowed=0, denied=3)]
    assert [one["Action"] for one in statements(*calls)] == ["ecs:ListTasks"]
    assert minimal_policy(calls).refused == 1
    assert [one["Action"] for one in statements(*calls, with_refused=True)] == [["ecs:DeleteCluster", "ecs:ListTasks"]]


@pytest.mark.parametrize(
    ("resource", "pattern"),
    [
        (ecs(f"task/web/{TASK}"), ecs("task/web/*")),
        (ecs(f"container-instance/web/{TASK}"), ecs("container-instance/web/*")),
        (ecs("task-definition/app:7"), ecs("task-definition/app:*")),
        (ecs("service-deployment/web/app/QE7cJm-KAKyaYXk0xAfg9"), ecs("service-deployment/web/app/*")),
        (ecs("service/web/app"), None),
        (ecs("cluster/web"), None),
        (ecs("task/web/mine"), None),
        (
            f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/web/452e69f50f270abc",
            f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/web/*",
        ),
        (
            f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db/main-a1B2c3",
            f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db/main-??????",
        ),
        (f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/{TASK}", None),
        (f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app", None),
        ("*", None),
    ],
)
def test_only_identifiers_that_nobody_chose_give_way(resource: str, pattern: str | None) -> None:
    found = generalised(resource)
    assert (found.pattern if found is not None else None) == pattern
    (statement,) = statements(call("x:Do", resource))
    assert statement["Resource"] == (pattern or resource)
    (exactly,) = statements(call("x:Do", resource), exact=True)
    assert exactly["Resource"] == resource
    widened = minimal_policy([call("x:Do", resource)]).widened
    assert [one.pattern for one in widened] == ([pattern] if pattern else [])


def test_a_pattern_that_stands_for_very_many_is_taken_as_one_and_said() -> None:
    made = minimal_policy([call("ecs:StopTask", ecs("task/web/*"), is_pattern=True)], exact=True)
    assert [(one.pattern, one.seen) for one in made.widened] == [(ecs("task/web/*"), 1)]
    assert allows(made.documents, "ecs:StopTask", ecs("task/web/other"), {})


def test_what_the_request_says_beyond_the_resource_narrows_where_it_was_always_said() -> None:
    definition = ecs("task-definition/app:7")
    calls = [call("ecs:RunTask", definition, ecs__cluster=ecs("cluster/a")), call("ecs:RunTask", definition, ecs__cluster=ecs("cluster/b"))]
    (statement,) = statements(*calls, exact=True)
    assert statement["Condition"] == {"ArnEquals": {"ecs:cluster": [ecs("cluster/a"), ecs("cluster/b")]}}
    (open_to_all,) = statements(*calls, call("ecs:RunTask", definition), exact=True)
    assert "Condition" not in open_to_all
    (of_the_cluster,) = statements(call("ecs:StopTask", ecs(f"task/a/{TASK}"), ecs__cluster=ecs("cluster/a")))
    assert "Condition" not in of_the_cluster, "its name says it already"
    (passed,) = statements(call("iam:PassRole", ROLE, iam__passedtoservice="ecs-tasks.amazonaws.com"))
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_wildcards_in_names_mean_themselves() -> None:
    strange = ecs("cluster/*")
    (statement,) = statements(call("ecs:DescribeClusters", strange), exact=True)
    assert statement["Resource"] == ecs("cluster/${*}")
    made = minimal_policy([call("ecs:DescribeClusters", strange), call("ecs:ListTasks", ecs("cluster/${aws:username}"))], exact=True)
    assert allows(made.documents, "ecs:DescribeClusters", strange, {})
    assert not allows(made.documents, "ecs:DescribeClusters", ecs("cluster/other"), {})
    assert not allows(made.documents, "ecs:ListTasks", ecs("cluster/ann"), {"aws:username": ["ann"]})


def test_what_is_asked_about_all_of_a_kind_is_allowed_by_a_wildcard_and_exactly_by_itself_alone() -> None:
    of_all = ecs("task-definition/app:*")
    calls = [call("ecs:RegisterTaskDefinition", of_all), call("ecs:RunTask", ecs("task-definition/app:7"))]
    (statement,) = statements(*calls)
    assert (statement["Action"], statement["Resource"]) == (["ecs:RegisterTaskDefinition", "ecs:RunTask"], of_all)
    exact = minimal_policy(calls, exact=True).documents
    assert allows(exact, "ecs:RegisterTaskDefinition", of_all, {})
    assert not allows(exact, "ecs:RegisterTaskDefinition", ecs("task-definition/app:8"), {})


def test_a_large_policy_comes_in_documents_that_iam_takes() -> None:
    calls = [call(f"ecr:Do{number % 7}", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{'x' * 100}/{number}") for number in range(400)]
    made = minimal_policy(calls)
    assert len(made.documents) > 5
    for document in made.documents:
        assert size_of(document) <= MOST_DOCUMENT
        check_policy(document)
    assert all(allows(made.documents, one.action, one.resource, {}) for one in calls)


NAMES = st.text(st.sampled_from("ab/*?${}:-_ \u00e9"), min_size=1, max_size=8)
RESOURCES = st.one_of(
    st.just("*"),
    NAMES.map(lambda name: ecs(f"cluster/{name}")),
    st.sampled_from([ecs(f"task/web/{TASK}"), ecs("task-definition/app:7"), ecs("task-definition/app:8"), ecs("service/web/app")]),
)
ACTIONS = st.sampled_from(["ecs:RunTask", "ecs:StopTask", "ecr:PutImage", "iam:PassRole"])
SAID = st.dictionaries(
    st.sampled_from(["ecs__cluster", "iam__passedtoservice", "aws__sourceip"]), st.sampled_from([ecs("cluster/a"), ecs("cluster/b")])
)
CALLS = st.lists(st.builds(lambda action, resource, said: call(action, resource, **said), ACTIONS, RESOURCES, SAID), max_size=12)


@settings(max_examples=150, deadline=None)
@given(CALLS, st.booleans())
def test_everything_that_was_allowed_is_allowed_again(calls: list[RecordedCall], exact: bool) -> None:
    made = minimal_policy(calls, exact=exact)
    for document in made.documents:
        check_policy(document)
    for one in calls:
        assert allows(made.documents, one.action, one.resource, {key: list(values) for key, values in one.circumstances})


@settings(max_examples=150, deadline=None)
@given(CALLS, CALLS)
def test_the_exact_policy_allows_no_action_on_a_resource_that_was_not_seen(calls: list[RecordedCall], others: list[RecordedCall]) -> None:
    made = minimal_policy(calls, exact=True)
    seen = {(one.action, one.resource) for one in calls}
    everywhere = {action for action, resource in seen if resource == "*"}
    for one in others:
        if (one.action, one.resource) not in seen and one.action not in everywhere:
            assert not allows(made.documents, one.action, one.resource, {key: list(values) for key, values in one.circumstances})


@given(NAMES, NAMES)
def test_a_literal_matches_itself_and_nothing_else(name: str, other: str) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "x:Do", "Resource": literal(ecs(name))}})
    assert allows((document,), "x:Do", ecs(name), {})
    assert allows((document,), "x:Do", ecs(other), {}) is (name == other)

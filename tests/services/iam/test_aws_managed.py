"""AWS's managed policies: each answers for itself, says what can be evaluated, and is what AWS publishes."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from longshore.services.call import Principal
from longshore.services.iam import aws_managed
from longshore.services.iam.evaluator import decide
from longshore.services.iam.policy import compile_policy
from tests.services.iam.wire import ACCOUNT, Account
from tools import aws_managed_policies as tool

ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDA", "AKIA")
PREFIX = "arn:aws:iam::aws:policy/"


@pytest.mark.parametrize("arn", aws_managed.POLICIES)
async def test_each_answers_with_its_version_and_its_document(arn: str) -> None:
    account = Account()
    policy = (await account.ask("GetPolicy", PolicyArn=arn))["Policy"]
    assert (policy["Arn"], policy["PolicyName"], policy["AttachmentCount"]) == (arn, arn.rpartition("/")[2], 0)
    assert policy["Description"]
    assert policy["CreateDate"] <= policy["UpdateDate"]
    asked = {"PolicyArn": arn, "VersionId": policy["DefaultVersionId"]}
    version = (await account.ask("GetPolicyVersion", **asked))["PolicyVersion"]
    document = version["Document"] if isinstance(version["Document"], dict) else json.loads(unquote(version["Document"]))
    assert version["IsDefaultVersion"] and document["Statement"]
    compile_policy(json.dumps(document))


async def test_all_are_listed() -> None:
    account = Account()
    names: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = await account.ask("ListPolicies", Scope="AWS", MaxItems=20, **more)
        names += [policy["Arn"] for policy in page["Policies"]]
        if not page["IsTruncated"]:
            break
        more = {"Marker": page["Marker"]}
    assert sorted(names) == sorted(aws_managed.POLICIES)


@pytest.mark.parametrize(
    ("name", "action", "resource", "context", "allowed"),
    [
        ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:Poll", "*", {}, True),
        ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:SubmitTaskStateChange", "*", {}, True),
        ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:TagResource", "*", {"ecs:createaction": ["RunTask"]}, False),
        ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:TagResource", "*", {"ecs:createaction": ["CreateCluster"]}, True),
        ("AmazonEC2ContainerRegistryPullOnly", "ecr:BatchGetImage", "*", {}, True),
        ("AmazonEC2ContainerRegistryPullOnly", "ecr:PutImage", "*", {}, False),
        ("AmazonEC2ContainerRegistryPowerUser", "ecr:PutImage", "*", {}, True),
        ("AmazonEC2ContainerRegistryPowerUser", "ecr:DeleteRepository", "*", {}, False),
        ("ReadOnlyAccess", "ecs:DescribeTasks", "*", {}, True),
        ("ReadOnlyAccess", "ecs:StopTask", "*", {}, False),
        ("ReadOnlyAccess", "ecr:BatchGetImage", "*", {}, True),
        ("PowerUserAccess", "ecs:StopTask", "*", {}, True),
        ("PowerUserAccess", "iam:CreateUser", "*", {}, False),
        ("IAMUserChangePassword", "iam:ChangePassword", ANN.arn, {"aws:username": ["ann"]}, True),
        ("IAMUserChangePassword", "iam:ChangePassword", f"{ANN.arn}a", {"aws:username": ["ann"]}, False),
        ("ElasticLoadBalancingReadOnly", "elasticloadbalancing:DescribeLoadBalancers", "*", {}, True),
        ("ElasticLoadBalancingReadOnly", "elasticloadbalancing:CreateLoadBalancer", "*", {}, False),
    ],
)
def test_they_allow_what_their_names_say(name: str, action: str, resource: str, context: dict[str, list[str]], allowed: bool) -> None:
    policy = compile_policy(aws_managed.DOCUMENTS[PREFIX + name])
    assert decide([policy], [], action, resource, context, ANN).allowed is allowed


def test_statements_are_those_that_aws_publishes() -> None:
    pytest.importorskip("moto.iam.aws_managed_policies", reason="moto (the bench group) is not installed")
    assert tool.FILE.read_text() == tool.text()


def test_policies_of_every_service_are_cut_to_those_that_are_here() -> None:
    for name in ("ReadOnlyAccess", "SecurityAudit"):
        services = {
            action.split(":")[0] for one in json.loads(aws_managed.DOCUMENTS[PREFIX + name])["Statement"] for action in one["Action"]
        }
        assert {"ecs", "ecr", "iam", "elasticloadbalancing"} <= services <= set(tool.CONCERNED)

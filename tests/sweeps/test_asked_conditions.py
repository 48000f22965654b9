"""Policies that ask about EC2's network, the shape of tasks and services, and secrets: each keeps what it names, and that alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.sweeps.installation import OWNER, PARAMETER_NAME, REGION, SECRET_NAME, USER, House, Installation

Names = Mapping[str, str]
_TAGS = [{"Key": "team", "Value": "web"}]
_MAIN = {"cluster": "main"}
_CONTAINER = {"name": "app", "image": "busybox", "memory": 64}


class Case(NamedTuple):
    api: str
    operation: str
    condition: Callable[[Names], Mapping[str, Mapping[str, Any]]]
    kept: Callable[[Names], Mapping[str, Any]]
    free: Callable[[Names], Mapping[str, Any]]


def case(
    api: str,
    operation: str,
    condition: Mapping[str, Mapping[str, Any]],
    kept: Mapping[str, Any],
    free: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
) -> Case:
    begun = base or {}
    return Case(api, operation, lambda _: condition, lambda _: {**begun, **kept}, lambda _: {**begun, **free})


def _specification(type_: str) -> list[dict[str, Any]]:
    return [{"ResourceType": type_, "Tags": _TAGS}]


def _network(subnet: str, public: str = "DISABLED") -> dict[str, Any]:
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet], "assignPublicIp": public}}}


_SERVICE = _MAIN | {"serviceName": "other", "taskDefinition": "web", "desiredCount": 1}
_DEFINITION = {"family": "new", "containerDefinitions": [_CONTAINER]}
CASES = {
    "a vpc, from who would make subnets in it": Case(
        "ec2",
        "CreateSubnet",
        lambda names: {"StringEquals": {"ec2:VpcID": names["vpc"]}},
        lambda names: {"VpcId": names["vpc"], "CidrBlock": "10.1.7.0/24"},
        lambda names: {"VpcId": names["empty_vpc"], "CidrBlock": "10.2.7.0/24"},
    ),
    "groups of a vpc": Case(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        lambda names: {"ArnEquals": {"ec2:Vpc": f"arn:aws:ec2:{REGION}:{OWNER}:vpc/{names['vpc']}"}},
        lambda names: {"GroupId": names["group"], "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"},
        lambda names: {"GroupId": names["default_group"], "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"},
    ),
    "one subnet": Case(
        "ec2",
        "DeleteSubnet",
        lambda names: {"StringEquals": {"ec2:SubnetID": names["subnet"], "ec2:AvailabilityZone": "us-east-1a"}},
        lambda names: {"SubnetId": names["subnet"]},
        lambda names: {"SubnetId": names["subnet_b"]},
    ),
    "what has no team": case(
        "ec2",
        "CreateVpc",
        {"Null": {"aws:RequestTag/team": "true"}},
        {},
        {"TagSpecifications": _specification("vpc")},
        {"CidrBlock": "10.9.0.0/16"},
    ),
    "privileged containers": case(
        "ecs",
        "RegisterTaskDefinition",
        {"Bool": {"ecs:privileged": "true"}},
        {"containerDefinitions": [_CONTAINER, _CONTAINER | {"name": "b", "privileged": True}]},
        {},
        _DEFINITION,
    ),
    "tasks larger than a GB": case(
        "ecs",
        "RegisterTaskDefinition",
        {"NumericGreaterThan": {"ecs:task-memory": "1024"}},
        {"memory": "2 GB", "cpu": "256"},
        {"memory": "512", "cpu": "256"},
        _DEFINITION,
    ),
    "definitions for Fargate": case(
        "ecs",
        "RegisterTaskDefinition",
        {"ForAnyValue:StringEquals": {"ecs:compute-compatibility": "FARGATE"}},
        {"requiresCompatibilities": ["EC2", "FARGATE"]},
        {"requiresCompatibilities": ["EC2"]},
        _DEFINITION,
    ),
    "a subnet from services": case(
        "ecs",
        "CreateService",
        {"ForAnyValue:StringEquals": {"ecs:subnet": "subnet-1"}},
        _network("subnet-1"),
        _network("subnet-2"),
        _SERVICE,
    ),
    "public addresses": case(
        "ecs",
        "CreateService",
        {"Bool": {"ecs:auto-assign-public-ip": "true"}},
        _network("subnet-1", "ENABLED"),
        _network("subnet-1"),
        _SERVICE,
    ),
    "services that pass no tags on": case(
        "ecs", "CreateService", {"StringEquals": {"ecs:propagate-tags": "NONE"}}, {}, {"propagateTags": "SERVICE"}, _SERVICE
    ),
    "a machine's attributes, in one cluster": Case(
        "ecs",
        "PutAttributes",
        lambda names: {"ArnEquals": {"ecs:cluster": names["cluster"]}},
        lambda names: _MAIN | {"attributes": [{"name": "a", "targetId": names["instance"]}]},
        lambda names: {"cluster": "empty", "attributes": [{"name": "a", "targetId": names["instance"].rpartition("/")[2]}]},
    ),
    "the deployments of a service": Case(
        "ecs",
        "StopServiceDeployment",
        lambda names: {"ArnEquals": {"ecs:service": names["service"]}},
        lambda names: {"serviceDeploymentArn": names["service_deployment"]},
        lambda names: {"serviceDeploymentArn": names["service_deployment"].replace("/site/", "/other/")},
    ),
    "secrets from being deleted for good": case(
        "secretsmanager",
        "DeleteSecret",
        {"Bool": {"secretsmanager:ForceDeleteWithoutRecovery": "true"}},
        {"ForceDeleteWithoutRecovery": True},
        {"RecoveryWindowInDays": 7},
        {"SecretId": SECRET_NAME},
    ),
    "earlier versions of secrets": case(
        "secretsmanager",
        "GetSecretValue",
        {"StringEquals": {"secretsmanager:VersionStage": "AWSPREVIOUS"}},
        {"VersionStage": "AWSPREVIOUS"},
        {"VersionStage": "AWSCURRENT"},
        {"SecretId": SECRET_NAME},
    ),
    "parameters with policies": case(
        "ssm",
        "PutParameter",
        {"Null": {"ssm:Policies": "false"}},
        {"Policies": "[]"},
        {},
        {"Name": PARAMETER_NAME, "Value": "x", "Overwrite": True},
    ),
    "the names of certificates": Case(
        "acm",
        "ExportCertificate",
        lambda names: {"ForAnyValue:StringLike": {"acm:DomainNames": "*.example"}},
        lambda names: {"CertificateArn": names["issued_certificate"], "Passphrase": b"open sesame"},
        lambda names: {"CertificateArn": names["issued_certificate"] + "x", "Passphrase": b"open sesame"},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_policy_keeps(there: Installation, house: House, name: str) -> None:
    asked = CASES[name]
    action = f"{asked.api}:{asked.operation}"
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    await there.allow(everything, {"Effect": "Deny", "Action": action, "Resource": "*", "Condition": asked.condition(house.names)})
    assert not (await there.ask(asked.api, asked.operation, asked.free(house.names), USER)).denied
    answer = await there.ask(asked.api, asked.operation, asked.kept(house.names), USER)
    assert answer.denied and "with an explicit deny" in answer.message


async def test_whoever_creates_something_of_ec2s_with_tags_needs_the_right_to_tag(there: Installation) -> None:
    create = {"Effect": "Allow", "Action": "ec2:CreateVpc", "Resource": "*"}
    asked = {"CidrBlock": "10.9.0.0/16", "TagSpecifications": _specification("vpc")}
    await there.allow(create)
    answer = await there.ask("ec2", "CreateVpc", asked, USER)
    assert answer.denied and f"ec2:CreateTags on resource: arn:aws:ec2:{REGION}:{OWNER}:vpc/*" in answer.message
    for action, status in (("CreateSubnet", 403), ("CreateVpc", 200)):
        tag = {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": action}}}
        await there.allow(create, tag)
        assert (await there.ask("ec2", "CreateVpc", asked, USER)).status == status


async def test_tags_of_the_network_let_in_and_keep_out(there: Installation, house: House) -> None:
    group, rule = house.names["group"], house.names["group_rule"]
    await there.done("ec2", "CreateTags", Resources=[group, rule], Tags=_TAGS)
    own = {"StringEquals": {"aws:ResourceTag/team": "web", "ec2:ResourceTag/team": "web"}}
    await there.allow({"Effect": "Allow", "Action": "ec2:DeleteTags", "Resource": "*", "Condition": own})
    assert (await there.ask("ec2", "DeleteTags", {"Resources": [house.names["default_group"]]}, USER)).denied
    assert (await there.ask("ec2", "DeleteTags", {"Resources": [group, house.names["default_group"]]}, USER)).denied
    assert (await there.ask("ec2", "DeleteTags", {"Resources": [group, rule]}, USER)).status == 200
    assert (await there.ask("ec2", "DeleteTags", {"Resources": [group]}, USER)).denied, "it has none any more"

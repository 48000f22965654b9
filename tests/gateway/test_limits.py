"""Rate limits: who shares a bucket with whom, which operations do, and how a client is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longshore.aws.errors import Throttling
from longshore.gateway.attempt import Unlimited
from longshore.gateway.buckets import Rate
from longshore.gateway.catalogue import SERVED, served
from longshore.gateway.limits import GENEROUS, RateLimits, generous, limiter_of, retry_headers, whose
from longshore.gateway.limits_of_aws import DOCUMENTED, of_aws
from longshore.services.call import Principal, Session

ACCOUNT = "123456789012"
USER = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANN", "AKIAANN")


def session(role: str, name: str, bound_to: str = "") -> Principal:
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    own = Session(role_arn, "AROA", 0.0, 9e9, "token", bound_to=bound_to)
    return Principal(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", f"AROA:{name}", "ASIA" + name, session=own)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(limits: RateLimits, who: Principal, api: str, operation: str, most: int = 100_000) -> int:
    for count in range(most):
        try:
            limits.admit(who, api, operation)
        except Throttling:
            return count
    return most


def test_sessions_of_a_role_share_its_buckets_and_machines_have_their_own() -> None:
    assert whose(session("deploy", "a")) == whose(session("deploy", "b")) == f"arn:aws:iam::{ACCOUNT}:role/deploy"
    task = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/c/1"
    assert whose(session("app", "1", task)) == whose(session("app", "2", task + "2"))
    assert whose(session("LongshoreInstanceRole", "i-1", "m-1")) != whose(session("LongshoreInstanceRole", "i-2", "m-2"))
    assert whose(USER) == USER.arn


def test_what_one_takes_is_not_missed_by_another() -> None:
    time = Time()
    limits = RateLimits(of_aws, time)
    assert admitted(limits, USER, "ecs", "DescribeClusters") == 50
    assert admitted(limits, USER, "ecs", "ListClusters") == 0
    assert admitted(limits, USER, "ecs", "DescribeServices") == 100
    assert admitted(limits, replace(USER, arn=USER.arn + "2"), "ecs", "ListClusters") == 50
    time.now += 1.0
    assert admitted(limits, USER, "ecs", "ListClusters") == 20


def test_names_that_clients_invent_get_nobody_further() -> None:
    limits = RateLimits(of_aws, Time())
    tried = [f"Describe{number}" for number in range(200)]
    refused = 0
    for name in tried:
        try:
            limits.admit(USER, "ec2", name * 50)
        except Throttling:
            refused += 1
    assert refused == len(tried) - 50 and limits.buckets == 1


@pytest.mark.parametrize("api", SERVED)
def test_every_operation_has_a_bucket_in_every_choice(api: str) -> None:
    for operation in served(api).known | set(served(api).operations):
        for classify in (generous, of_aws):
            name, rate = classify(api, operation)
            assert name and rate.burst >= 1 and rate.per_s > 0


def test_what_is_documented_is_spelled_as_the_models_spell_it() -> None:
    unknown = [
        f"{api}: {operation}"
        for api, classes in DOCUMENTED.items()
        for _, operations in classes.values()
        for operation in operations
        if not operation.endswith("*") and operation not in served(api).known
    ]
    assert unknown == ["ec2: CreateDefaultSubnet", "ec2: CreateDefaultVpc"] or not unknown


@pytest.mark.parametrize(
    ("api", "operation", "name", "rate"),
    [
        ("ecs", "RunTask", "cluster resource modify", Rate(100, 40)),
        ("ecs", "SubmitTaskStateChange", "agent modify", Rate(200, 120)),
        ("ecs", "CreateTaskSet", "other changes", Rate(50, 5)),
        ("ec2", "DescribeVpcs", "DescribeVpcs", Rate(100, 20)),
        ("ec2", "CreateVpc", "mutating", Rate(50, 5)),
        ("elbv2", "CreateLoadBalancer", "resource-intensive", Rate(10, 0.2)),
        ("elbv2", "DescribeTargetHealth", "non-mutating", Rate(40, 10)),
        ("elb", "RegisterInstancesWithLoadBalancer", "registration", Rate(20, 4)),
        ("ecr", "PutImage", "PutImage", Rate(10, 10)),
        ("iam", "GetRole", "other reads", Rate(50, 20)),
        ("sts", "AssumeRole", "requests", Rate(600, 600)),
        ("cloudtrail", "LookupEvents", "LookupEvents", Rate(2, 2)),
    ],
)
def test_the_buckets_of_aws(api: str, operation: str, name: str, rate: Rate) -> None:
    assert of_aws(api, operation) == (name, rate)


def test_generous_tells_reads_from_changes() -> None:
    assert generous("ecs", "DescribeTasks") == generous("iam", "ListUsers") == ("reads", GENEROUS["reads"])
    assert generous("ecs", "RunTask") == generous("ecr", "PutImage") == ("changes", GENEROUS["changes"])


def test_no_limits_are_no_limits() -> None:
    assert isinstance(limiter_of("off"), Unlimited)
    assert isinstance(limiter_of("generous"), RateLimits) and isinstance(limiter_of("aws"), RateLimits)


def test_hints_are_whole_seconds_and_milliseconds_never_none() -> None:
    assert dict(retry_headers(0.0001)) == {"Retry-After": "1", "x-amz-retry-after": "1"}
    assert dict(retry_headers(2.2)) == {"Retry-After": "3", "x-amz-retry-after": "2200"}


def test_routes_of_our_own_have_buckets_of_their_own() -> None:
    limits = RateLimits(of_aws, Time())
    assert admitted(limits, USER, "longshore", "ListAccounts") == 50
    assert admitted(limits, USER, "longshore", "CreateAccountKey") == 50
    assert admitted(limits, USER, "ecs", "DescribeClusters") == 50

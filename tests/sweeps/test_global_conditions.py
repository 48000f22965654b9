"""The condition keys that AWS documents for every request, asked for by a policy over each API: there, and with what they should say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.gateway.catalogue import SERVED, served
from longshore.services.iam import model as iam
from tests.sweeps.installation import OWNER, REGION, STRANGER, USER, USER_ARN, House, Installation
from tests.sweeps.samples import sample

#: something harmless to ask of each API; of sts there is nothing that a user needs a right to and that only looks
READS = {
    "ecs": "ListClusters",
    "ecr": "DescribeRepositories",
    "elbv2": "DescribeLoadBalancers",
    "elb": "DescribeLoadBalancers",
    "acm": "ListCertificates",
    "ec2": "DescribeVpcs",
    "iam": "ListUsers",
    "secretsmanager": "ListSecrets",
    "ssm": "DescribeParameters",
    "cloudtrail": "LookupEvents",
    "sts": "GetAccessKeyInfo",
}
#: operator, key -> (a value that lets in, one that does not)
PRESENT: Mapping[tuple[str, str], tuple[str, str]] = {
    ("IpAddress", "aws:SourceIp"): ("127.0.0.0/8", "192.0.2.0/24"),
    ("Bool", "aws:SecureTransport"): ("false", "true"),
    ("DateGreaterThan", "aws:CurrentTime"): ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
    ("NumericGreaterThan", "aws:EpochTime"): ("1600000000", "4000000000"),
    ("StringEquals", "aws:PrincipalTag/team"): ("web", "api"),
    ("ArnEquals", "aws:PrincipalArn"): (USER_ARN, USER_ARN + "x"),
    ("StringEquals", "aws:PrincipalAccount"): (OWNER, STRANGER),
    ("StringEquals", "aws:PrincipalType"): ("User", "AssumedRole"),
    ("StringEquals", "aws:username"): ("ann", "bob"),
    ("StringEquals", "aws:userid"): ("AIDAANNANNANNANNANNAN", "AIDA"),
    ("StringEquals", "aws:ResourceAccount"): (OWNER, STRANGER),
    ("StringEquals", "aws:RequestedRegion"): (REGION, "eu-west-1"),
    ("StringLike", "aws:UserAgent"): ("Python/* aiohttp/*", "curl*"),
    ("Bool", "aws:ViaAWSService"): ("false", "true"),
    ("Bool", "aws:PrincipalIsAWSService"): ("false", "true"),
}
#: of what there is not here: organisations, private networks' endpoints, services that ask on somebody's behalf; and of sessions
ABSENT = (
    *("aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:ResourceOrgID", "aws:ResourceOrgPaths", "aws:Referer"),
    *("aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp", "aws:SourceVpcArn", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast"),
    *("aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:PrincipalServiceName", "aws:PrincipalServiceNamesList"),
    *("aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:SourceIdentity", "aws:FederatedProvider"),
)


@pytest.fixture
async def asked(there: Installation) -> AsyncIterator[Installation]:
    def tag(tx: Any) -> None:
        (ann,) = tx.list(iam.USERS, "arn", USER_ARN)
        tx.put(iam.USERS, replace(ann, tags=(iam.Tag("team", "web"),)))

    await there.store.transact(tag)
    async with there.over_http():
        yield there


def test_every_api_is_asked() -> None:
    assert set(READS) == set(SERVED)


@pytest.mark.parametrize("api", SERVED)
async def test_what_every_request_says_of_itself_may_be_asked_for(asked: Installation, house: House, api: str) -> None:
    operation = READS[api]
    action, parameters = served(api).operations[operation].action, sample(house, api, operation)

    async def is_allowed(conditions: Mapping[str, Mapping[str, str]]) -> bool:
        await asked.allow({"Effect": "Allow", "Action": action, "Resource": "*", "Condition": conditions})
        answer = await asked.ask(api, operation, parameters, USER)
        assert answer.denied or answer.status == 200, f"{answer.code}: {answer.message}"
        return not answer.denied

    everything: dict[str, dict[str, str]] = {}
    for (operator, key), (right, _) in PRESENT.items():
        everything.setdefault(operator, {})[key] = right
    everything["Null"] = dict.fromkeys(ABSENT, "true")
    assert await is_allowed(everything)
    for (operator, key), (_, wrong) in PRESENT.items():
        assert not await is_allowed({operator: {key: wrong}}), key
        assert not await is_allowed({"Null": {key: "true"}}), key

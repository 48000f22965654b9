"""What a refusal tells whoever was refused, and what it tells those alone who may decode it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.call import Principal
from longshore.services.sts.errors import InvalidAuthorizationMessageException
from longshore.services.sts.messages import decoded_message, encoded_message, refused, said
from tests.gateway.place import EVERYTHING, Place, document, furnished
from tests.sweeps.installation import OWNER, REGION, ROOT, STRANGER, STRANGERS_ROOT, Answer, Keys

ENCODED = ". Encoded authorization failure message: "
REPOSITORY = f"arn:aws:ecr:{REGION}:{OWNER}:repository/team/app"
SECRET = b"s" * 32
ANN = Principal(OWNER, f"arn:aws:iam::{OWNER}:user/ann", "AIDAANNANNANNANNANNAN", "AKIAANN")


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with furnished() as place:
        yield place


async def decoded(place: Place, answer: Answer, keys: Keys = ROOT) -> dict[str, Any]:
    encoded = answer.message.partition(ENCODED)[2]
    told = await place.done("sts", "DecodeAuthorizationMessage", keys, EncodedMessage=encoded)
    return dict(json.loads(told["DecodedMessage"]))


def conditions(told: dict[str, Any]) -> dict[str, list[str]]:
    return {one["key"]: [value["value"] for value in one["values"]["items"]] for one in told["context"]["conditions"]["items"]}


@pytest.mark.parametrize(
    ("api", "operation", "parameters", "code", "begin"),
    [
        ("ecs", "ListClusters", {}, "AccessDeniedException", "User: "),
        ("ecr", "DescribeRegistry", {}, "AccessDeniedException", "User: "),
        ("iam", "ListUsers", {}, "AccessDenied", "User: "),
        ("elbv2", "DescribeLoadBalancers", {}, "AccessDenied", "User: "),
        ("ec2", "DescribeVpcs", {}, "UnauthorizedOperation", "You are not authorized to perform this operation. User: "),
    ],
)
async def test_every_api_ends_its_refusals_with_an_encoded_message(
    place: Place, api: str, operation: str, parameters: dict[str, Any], code: str, begin: str
) -> None:
    answer = await place.ask(api, operation, place.ann, **parameters)
    assert answer.code == code and answer.message.startswith(f"{begin}arn:aws:iam::{OWNER}:user/ann is not authorized to perform: ")
    assert len(answer.message) < 1200
    told = await decoded(place, answer)
    assert told["context"]["action"].endswith(f":{operation}")


async def test_the_details_are_principal_action_resource_and_condition_keys(place: Place) -> None:
    session = await place.assume(Policy=document({**EVERYTHING, "Action": ["s3:*", "sts:*"]}))
    told = await decoded(
        place, await place.ask("ecs", "CreateCluster", session, clusterName="edge", tags=[{"key": "team", "value": "web"}])
    )
    assert (told["allowed"], told["explicitDeny"], told["matchedStatements"], told["failures"]) == (
        False,
        False,
        {"items": []},
        {"items": []},
    )
    about = told["context"]
    me = await place.done("sts", "GetCallerIdentity", session)
    assert about["principal"] == {"id": me["UserId"], "arn": me["Arn"]}
    assert (about["action"], about["resource"]) == ("ecs:CreateCluster", f"arn:aws:ecs:{REGION}:{OWNER}:cluster/edge")
    found = conditions(told)
    assert (found["aws:requesttag/team"], found["aws:requestedregion"], found["aws:principaltype"]) == (["web"], [REGION], ["AssumedRole"])


async def test_statements_that_denied_are_shown_as_they_stand(place: Place) -> None:
    never = {"Sid": "Never", "Effect": "Deny", "Action": ["ecs:List*", "ecs:Stop*"], "Resource": "*"}
    never["Condition"] = {"StringEquals": {"aws:username": ["ann", "bob"]}}
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING, never))
    told = await decoded(place, await place.ask("ecs", "ListClusters", place.ann))
    assert told["explicitDeny"] is True
    (one,) = told["matchedStatements"]["items"]
    assert (one["statementId"], one["effect"], one["resources"]) == ("Never", "DENY", {"items": [{"value": "*"}]})
    assert [action["value"] for action in one["actions"]["items"]] == ["ecs:List*", "ecs:Stop*"]
    assert one["conditions"]["items"] == [{"key": "aws:username", "values": {"items": [{"value": "ann"}, {"value": "bob"}]}}]
    assert one["principals"] == {"items": [{"value": told["context"]["principal"]["id"]}]}


async def test_only_who_may_decode_in_the_account_of_who_was_refused_decodes(place: Place) -> None:
    refusal = await place.ask("ec2", "DescribeVpcs", place.ann)
    encoded = refusal.message.partition(ENCODED)[2]
    assert "AccessDenied" in await place.refusal("DecodeAuthorizationMessage", EncodedMessage=encoded), "not for the one refused"
    for keys, text in ((STRANGERS_ROOT, encoded), (ROOT, encoded[:-8]), (ROOT, "x"), (ROOT, "é" * 8)):
        assert "InvalidAuthorizationMessageException" in await place.refusal("DecodeAuthorizationMessage", keys, EncodedMessage=text)
    may = {"Effect": "Allow", "Action": "sts:DecodeAuthorizationMessage", "Resource": "*"}
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(may))
    assert (await decoded(place, refusal, place.ann))["context"]["action"] == "ec2:DescribeVpcs"


async def test_nothing_of_another_accounts_resource_is_sealed_in(place: Place) -> None:
    async def asked(name: str) -> tuple[Answer, dict[str, Any]]:
        answer = await place.ask("ecr", "ListImages", STRANGERS_ROOT, repositoryName=name, registryId=OWNER)
        return answer, await decoded(place, answer, STRANGERS_ROOT)

    await place.done("ecr", "CreateRepository", repositoryName="team/app", tags=[{"Key": "secret", "Value": "plan"}])
    policy = {"Sid": "NoStrangers", "Effect": "Deny", "Principal": {"AWS": STRANGER}, "Action": "ecr:*"}
    await place.done("ecr", "SetRepositoryPolicy", repositoryName="team/app", policyText=document(policy))
    there, told = await asked("team/app")
    absent, untold = await asked("team/ape")
    assert told["context"]["resource"] == REPOSITORY
    assert told["matchedStatements"] == {"items": []} and told["explicitDeny"] is False
    assert set(conditions(told)) == set(conditions(untold)) and "plan" not in json.dumps(told)
    assert abs(len(there.message) - len(absent.message)) <= 4, "its length does not tell either"


TEXTS = st.text(max_size=20) | st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=20), st.integers(1, 100))


@settings(max_examples=60)
@given(
    st.dictionaries(TEXTS, st.lists(TEXTS, max_size=12), max_size=12),
    TEXTS,
    TEXTS,
    st.lists(st.lists(TEXTS, min_size=1, max_size=12), max_size=6),
)
def test_whatever_a_request_brings_its_message_is_short_and_opens_again(
    context: dict[str, list[str]], action: str, resource: str, denying: list[list[str]]
) -> None:
    message = refused(ANN, action, resource, explicit=bool(denying), context=context)
    statements = tuple(said({"Effect": "Deny", "Sid": texts[0], "Action": texts, "Resource": texts[0]}) for texts in denying)
    message = type(message)(*[getattr(message, name) for name in message.__struct_fields__[:-1]], statements)
    encoded = encoded_message(SECRET, message)
    assert len(encoded) <= 10_240, "what DecodeAuthorizationMessage takes"
    told = json.loads(decoded_message(SECRET, OWNER, encoded))
    assert told["context"]["action"].removesuffix("…") == action[: len(told["context"]["action"].removesuffix("…"))]
    assert len(told["matchedStatements"]["items"]) == min(len(denying), 4)
    with pytest.raises(InvalidAuthorizationMessageException):
        decoded_message(SECRET, STRANGER, encoded)

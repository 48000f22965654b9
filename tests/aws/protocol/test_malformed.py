"""What is refused, and in which words; and that nothing a client sends raises anything but an AwsError."""

from __future__ import annotations

import json as standard_json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.aws.errors import AwsError, UnknownOperation, Validation
from longshore.aws.protocol import ec2, json, query
from tests.aws.protocol.modelled import operation, plain, served

PROTOCOLS: dict[str, Any] = {"json": json, "query": query, "ec2": ec2}
SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def parse(api: str, name: str, body: bytes) -> msgspec.Struct:
    model, shape, _ = operation(api, name)
    parsed: msgspec.Struct = PROTOCOLS[model.protocol].parse(model, shape, body)
    return parsed


def refused(api: str, name: str, body: bytes) -> tuple[str, str]:
    """(code, message) of the refusal."""
    model, _, _ = operation(api, name)
    with pytest.raises(AwsError) as caught:
        parse(api, name, body)
    return caught.value.wire(model.protocol)[0], caught.value.message


INVALID_JSON = "SerializationException", "The request body is not valid JSON"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"\xff", *INVALID_JSON),
        (b'{"taskDefinition": "\xff"}', *INVALID_JSON),
        (b'{"taskDefinition": "\\ud800"}', *INVALID_JSON),
        (b'{"taskDefinition": NaN}', *INVALID_JSON),
        (b'{"taskDefinition": "a"', *INVALID_JSON),
        (b'{"taskDefinition": "a"} x', *INVALID_JSON),
        (b'{"count": ' + b"9" * 5000 + b"}", *INVALID_JSON),
        (b'{"count": 1e999}', *INVALID_JSON),
        (b'{"x": ' + b"[" * 101 + b"]" * 101 + b"}", "SerializationException", "The request body is nested too deeply"),
        (b'{"x": ' + b'{"y":' * 100_000, "SerializationException", "The request body is nested too deeply"),
        (b"[]", "SerializationException", "Start of list found where not expected"),
        (b"null", "SerializationException", "The request body is not an object"),
        (b'"a"', "SerializationException", "Expected structure or null"),
        (b'{"taskDefinition": 5}', "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        (b'{"taskDefinition": true}', "SerializationException", "TRUE_VALUE can not be converted to a String"),
        (b'{"taskDefinition": {}}', "SerializationException", "Start of structure or map found where not expected."),
        (b'{"taskDefinition": []}', "SerializationException", "Start of list found where not expected"),
        (b'{"taskDefinition": "a", "count": "1"}', "SerializationException", "STRING_VALUE can not be converted to an Integer"),
        (b'{"taskDefinition": "a", "count": 1.5}', "SerializationException", "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"taskDefinition": "a", "enableExecuteCommand": 0}', "SerializationException", "NUMBER_VALUE can not be converted to a Boolean"),
        (b'{"taskDefinition": "a", "tags": "b"}', "SerializationException", "Expected list or null"),
        (b'{"taskDefinition": "a", "tags": ["b"]}', "SerializationException", "Expected structure or null"),
        # A value of a wrong type is told before any constraint.
        (b'{"launchType": "BARGE", "tags": [{"key": "!"}, {"key": 1}]}', "SerializationException", "NUMBER_VALUE can not be"),
    ],
)
def test_json_that_cannot_be_read_is_a_serialization_exception(body: bytes, code: str, message: str) -> None:
    found_code, found = refused("ecs", "RunTask", body)
    assert found_code == code
    assert message in found


@pytest.mark.parametrize("union", [{}, {"nvidiaMps": None}, {"nvidiaMps": {"memory": 1}, "unknown": 1}])
def test_a_union_has_exactly_one_member(union: dict[str, Any]) -> None:
    requirements = [{"type": "GPU", "value": "1", "sharingStrategy": union}]
    definition = {"family": "a", "containerDefinitions": [{"resourceRequirements": requirements}]}
    body = standard_json.dumps(definition).encode()
    if union.get("nvidiaMps"):
        assert plain(parse("ecs", "RegisterTaskDefinition", body))
    else:
        told = "SharingStrategy must have one and only one member set"
        assert refused("ecs", "RegisterTaskDefinition", body) == ("SerializationException", told)


ECS = "InvalidParameterException"
NO_TASK_DEFINITION = "Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", f"1 validation error detected: {NO_TASK_DEFINITION}"),
        (b" \n", f"1 validation error detected: {NO_TASK_DEFINITION}"),
        (b"{}", f"1 validation error detected: {NO_TASK_DEFINITION}"),
        (b'{"taskDefinition": null}', f"1 validation error detected: {NO_TASK_DEFINITION}"),
        (
            b'{"taskDefinition": "a", "launchType": "BARGE"}',
            "1 validation error detected: Value 'BARGE' at 'launchType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [EC2, EXTERNAL, FARGATE, MANAGED_INSTANCES]",
        ),
        (
            b'{"taskDefinition": "a", "tags": [{"key": "fine"}, {"key": "!"}]}',
            "1 validation error detected: Value '!' at 'tags.2.member.key' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: ([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)",
        ),
        (
            b'{"capacityProviderStrategy": [{"capacityProvider": "a", "weight": 1001, "base": -1}]}',
            "3 validation errors detected: Value '1001' at 'capacityProviderStrategy.1.member.weight' failed to satisfy constraint: "
            "Member must have value less than or equal to 1000; Value '-1' at 'capacityProviderStrategy.1.member.base' failed to satisfy "
            f"constraint: Member must have value greater than or equal to 0; {NO_TASK_DEFINITION}",
        ),
    ],
)
def test_ecs_names_every_constraint_that_does_not_hold(body: bytes, message: str) -> None:
    assert refused("ecs", "RunTask", body) == (ECS, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must not be null'"),
        (
            {"repositoryName": "a"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must have length greater than or equal to 2'",
        ),
        (
            {"repositoryName": "UPPER"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
            r"'[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*''",
        ),
    ],
)
def test_ecr_names_the_first_constraint_that_does_not_hold(body: dict[str, Any], message: str) -> None:
    assert refused("ecr", "CreateRepository", standard_json.dumps(body).encode()) == (ECS, message)


@pytest.mark.parametrize("name", ["ab\n", "ab/", "/ab", "../ab", "a..b", "ab//cd", "a b", "ä" * 3, "a" * 257, "ab\x00"])
def test_a_repository_name_has_to_match_as_a_whole(name: str) -> None:
    assert refused("ecr", "CreateRepository", standard_json.dumps({"repositoryName": name}).encode())[0] == ECS


def test_ecr_tells_the_constraints_of_a_lists_items_together() -> None:
    code, message = refused("ecr", "DescribeRepositories", b'{"repositoryNames": ["fine", "NOT"]}')
    assert code == ECS
    assert message.startswith(
        "Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'Member must satisfy constraint: [Member must"
    )


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("Port=1", "ValidationError", "Value null at 'name' failed to satisfy constraint: Member must not be null"),
        (
            "Name=a&Port=70000",
            "ValidationError",
            "1 validation error detected: Value '70000' at 'port' failed to satisfy constraint: Member must have",
        ),
        (
            "Name=a&Protocol=SMTP",
            "ValidationError",
            "Value 'SMTP' at 'protocol' failed to satisfy constraint: Member must satisfy enum value set: [",
        ),
        ("Name=a&Port=", "MalformedInput", "'' is not a valid number"),
        ("Name=a&Port=http", "MalformedInput", "'http' is not a valid number"),
        ("Name=a&Port=1_0", "MalformedInput", "Expected `int"),
        ("Name=a&HealthCheckEnabled=yes", "MalformedInput", "'yes' is not a valid Boolean"),
        ("Name.member.1=a", "MalformedInput", "Start of list found where not expected"),
        ("Name.First=a", "MalformedInput", "Start of structure or map found where not expected"),
        ("Name=a&Tags=b", "MalformedInput", "Unexpected list element termination"),
        ("Name=a&Tags.member=b", "MalformedInput", "Unexpected list element termination"),
        ("Name=a&Tags.member.1=b", "MalformedInput", "Unexpected complex element termination"),
        ("Name=a&Tags.member.x.Key=b", "MalformedInput", "'x' is not a valid index"),
        ("Name=a&Tags.member.99999999999999999.Key=b", "MalformedInput", "is not a valid index"),
        ("Name=a&Tags.member.-1.Key=b", "MalformedInput", "'-1' is not a valid index"),
        ("Name=%ff", "MalformedInput", "The request is not valid UTF-8"),
        ("Name=a&" + "&".join(f"X{i}=" for i in range(20_001)), "MalformedInput", "The request has too many parameters"),
        ("Name=a&" + ".".join("x" * 100) + "=1", "MalformedInput", "A parameter name is nested too deeply"),
    ],
)
def test_forms_of_the_query_protocol_are_refused_in_its_words(body: str, code: str, message: str) -> None:
    found_code, found = refused("elbv2", "CreateTargetGroup", body.encode())
    assert found_code == code
    assert message in found


@pytest.mark.parametrize(
    ("name", "body", "code", "message"),
    [
        ("CreateSubnet", "CidrBlock=10.0.0.0/24", "MissingParameter", "The request must contain the parameter vpcId"),
        ("CreateVpc", "DryRun=maybe", "InvalidParameterValue", "'maybe' is not a valid Boolean"),
        ("CreateVpc", "InstanceTenancy=x", "InvalidParameterValue", "Value (x) for parameter instanceTenancy is invalid."),
        ("DescribeVpcs", "MaxResults=x", "InvalidParameterValue", "'x' is not a valid number"),
        ("DescribeVpcs", "VpcId=x", "InvalidParameterValue", "Unexpected list element termination"),
    ],
)
def test_ec2_tells_missing_from_wrong(name: str, body: str, code: str, message: str) -> None:
    found_code, found = refused("ec2", name, body.encode())
    assert found_code == code
    assert message in found


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        (
            "CreateUser",
            "UserName=a%2Fb",
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
        ),
        (
            "CreateUser",
            "UserName=a&Path=x",
            "The specified value for path is invalid. "
            "It must begin and end with / and contain only alphanumeric characters and/or / characters.",
        ),
        (
            "CreateUser",
            "",
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_iam_has_words_of_its_own_for_names_and_paths(name: str, body: str, message: str) -> None:
    assert refused("iam", name, body.encode()) == ("ValidationError", message)


KEY = "-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("api", "name", "body"),
    [
        (
            "iam",
            "UploadServerCertificate",
            urlencode({"PrivateKey": f"{KEY}\u20ac", "CertificateBody": "x", "ServerCertificateName": "a"}).encode(),
        ),
        (
            "iam",
            "UploadServerCertificate",
            urlencode({"PrivateKey": KEY * 700, "CertificateBody": "x", "ServerCertificateName": "a"}).encode(),
        ),
        ("secretsmanager", "CreateSecret", standard_json.dumps({"Name": "a", "SecretString": KEY * 3000}).encode()),
        ("acm", "ImportCertificate", standard_json.dumps({"Certificate": "QUJD", "PrivateKey": "QUJD" * 3000}).encode()),
    ],
)
def test_no_refusal_repeats_a_secret(api: str, name: str, body: bytes) -> None:
    _, message = refused(api, name, body)
    assert "Value at '" in message
    assert KEY not in message
    assert "QUJDQUJD" not in message


def test_null_is_absent_and_unknown_members_are_ignored() -> None:
    body = b'{"cluster": null, "taskDefinition": "a", "colour": {"x": [1]}, "count": 1, "count": 2}'
    assert plain(parse("ecs", "RunTask", body)) == {"taskDefinition": "a", "count": 2}


def test_lists_of_forms_follow_their_numbers_and_leave_gaps_out() -> None:
    form = "Name=a&Subnets.member.10=j&Subnets.member.2=b&Subnets.member.1=a&SecurityGroups=&Colour=red&Tags.member.3.Key=k&&=x"
    assert plain(parse("elbv2", "CreateLoadBalancer", form.encode())) == {
        "Name": "a",
        "Subnets": ["a", "b", "j"],
        "SecurityGroups": [],
        "Tags": [{"Key": "k"}],
    }
    vpcs = plain(parse("ec2", "DescribeVpcs", b"Filter.2.Name=b&Filter.1.Name=tag%3AName&Filter.1.Value.1=x+y&VpcId.1=vpc-1"))
    assert vpcs == {"Filters": [{"Name": "tag:Name", "Values": ["x y"]}, {"Name": "b"}], "VpcIds": ["vpc-1"]}


def test_of_a_form_name_given_twice_the_last_counts() -> None:
    assert plain(parse("elbv2", "CreateTargetGroup", b"Name=a&Name=b")) == {"Name": "b"}


def test_errors_before_any_api_is_known_can_be_told_in_every_protocol() -> None:
    error = UnknownOperation("No such <thing>")
    assert json.render_error(None, error, "id")[:3] == (
        400,
        b'{"__type":"UnknownOperationException","message":"No such <thing>"}',
        "application/x-amz-json-1.1",
    )
    assert query.render_error(None, error, "id")[1] == (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>No such &lt;thing&gt;</Message></Error>"
        b"<RequestId>id</RequestId></ErrorResponse>"
    )
    assert ec2.render_error(None, Validation("x"), "id")[1] == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>x</Message></Error>'
        b"</Errors><RequestID>id</RequestID></Response>"
    )


# --- whatever comes ---------------------------------------------------------------------------------------------------

OPERATIONS = served()
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def attempt(api: str, name: str, body: bytes) -> None:
    """Reads `body` or refuses it with an error that can be told, in words of ours rather than the decoder's."""
    model, _, _ = operation(api, name)
    try:
        parse(api, name, body)
    except AwsError as error:
        status, told, _, _ = PROTOCOLS[model.protocol].render_error(model, error, "id")
        assert status == 400
        assert told
        if model.protocol == "json":
            assert " - at `$" not in error.message, "the explainer has no words for this"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(OPERATIONS), st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_read(target: tuple[str, str], body: bytes) -> None:
    attempt(*target, body)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_members_of_arbitrary_types_are_refused_or_read(data: st.DataObject) -> None:
    api, name = data.draw(st.sampled_from([target for target in OPERATIONS if target[0] in ("ecs", "ecr")]))
    _, _, operation_model = operation(api, name)
    known = list(operation_model.input_shape.members) if operation_model.input_shape else []
    members = st.dictionaries(st.sampled_from(known or ["x"]), anything, max_size=4)
    attempt(api, name, standard_json.dumps(data.draw(members)).encode())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_form_names_of_arbitrary_shape_are_refused_or_read(data: st.DataObject) -> None:
    api, name = data.draw(st.sampled_from([target for target in OPERATIONS if target[0] not in ("ecs", "ecr")]))
    _, _, operation_model = operation(api, name)
    members = list(operation_model.input_shape.members) if operation_model.input_shape else []
    first = st.sampled_from([member.rstrip("s") for member in members] + [*members, "x"])
    part = st.sampled_from(["member", "entry", "1", "2", "007", "Key", "Value", "Name", "x", "", "-1"])
    names = st.tuples(first, st.lists(part, max_size=4)).map(lambda found: ".".join([found[0], *found[1]]))
    attempt(api, name, urlencode(data.draw(st.lists(st.tuples(names, st.text(max_size=4)), max_size=5))).encode())


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["a-" * 127, "a" * 255 + "!", "a/" * 127 + "!", "a__" * 80 + "!", "-" * 255])
def test_no_pattern_takes_long_over_a_hostile_value(name: str) -> None:
    attempt("ecr", "CreateRepository", standard_json.dumps({"repositoryName": name}).encode())
    attempt("iam", "CreateUser", urlencode({"UserName": name[:64], "Path": "/" + name, "Tags.member.1.Key": name[:128]}).encode())


def test_what_the_stock_agent_and_ecs_cli_send_is_read() -> None:
    if not SHARED.is_dir():
        pytest.skip("the recorded requests are not beside this checkout")
    captures = sorted((SHARED / "agent-captures").glob("*-api-*.json"))
    assert captures
    for path in captures:
        recorded = standard_json.loads(path.read_text())
        body = standard_json.dumps(recorded["data"]["body"]).encode()
        parse("ecs", path.stem.split("-api-")[1], body)
    parse("ecs", "RegisterTaskDefinition", (SHARED / "ecs-cli-register-task-definition.json").read_bytes())

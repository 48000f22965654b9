"""The law of the wire: what botocore writes we read, and what we write botocore reads, value for value, in every operation served."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.aws.protocol import ec2, json, query
from tests.aws.protocol.modelled import APIS, operation, plain, served, service_model, shapes_of, values

PROTOCOLS: dict[str, Any] = {"json": json, "query": query, "ec2": ec2}

few = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def body_of(protocol: str, params: dict[str, Any], operation_model: Any) -> bytes:
    body = create_serializer(protocol, include_validation=False).serialize_to_request(params, operation_model)["body"]
    return urlencode(body, doseq=True).encode() if isinstance(body, dict) else body


@pytest.mark.parametrize(("api", "name"), served())
def test_a_request_that_botocore_writes_is_read_back_equal(api: str, name: str) -> None:
    model, shape, operation_model = operation(api, name)
    protocol = PROTOCOLS[model.protocol]

    @few
    @given(values(operation_model.input_shape, full=model.protocol != "json"))
    def check(params: dict[str, Any]) -> None:
        request = protocol.parse(model, shape, body_of(model.protocol, params, operation_model))
        assert plain(request) == plain(params)

    check()


@pytest.mark.parametrize(("api", "name"), served())
def test_a_response_is_read_back_equal_by_botocore(api: str, name: str) -> None:
    model, shape, operation_model = operation(api, name)
    protocol = PROTOCOLS[model.protocol]

    @few
    @given(values(operation_model.output_shape, xml=model.protocol != "json"))
    def check(params: dict[str, Any]) -> None:
        response = None if shape.response is None else msgspec.convert(plain(params), shape.response)
        body, content_type = protocol.render(model, shape, response, "a-request-id")
        answer = {"status_code": 200, "headers": {"content-type": content_type}, "body": body}
        parsed = create_parser(model.protocol).parse(answer, operation_model.output_shape)
        metadata = parsed.pop("ResponseMetadata")
        assert plain(parsed) == plain(params)
        if model.protocol != "json":
            assert metadata["RequestId"] == "a-request-id"

    check()


@pytest.mark.parametrize("api", APIS)
def test_botocore_raises_the_modelled_exception_for_every_error(api: str) -> None:
    module = shapes_of(api)
    client = Session().create_client(api, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    for name, modelled in module.ERRORS.items():
        error = type(name, (AwsError,), {"code": modelled.code, "status": modelled.status})('It was <not> & "so"\r\n.')
        parsed, status = parsed_error(module.MODEL, error)
        assert (parsed["Error"]["Code"], parsed["Error"]["Message"], status) == (modelled.code, error.message, modelled.status)
        assert client.exceptions.from_code(parsed["Error"]["Code"]).__name__ == name


def parsed_error(model: Any, error: AwsError) -> tuple[dict[str, Any], int]:
    status, body, content_type, headers = PROTOCOLS[model.protocol].render_error(model, error, "a-request-id")
    answer = {"status_code": status, "headers": {"content-type": content_type, **dict(headers)}, "body": body}
    parsed: dict[str, Any] = create_parser(model.protocol).parse(answer, None)
    return parsed, status


@pytest.mark.parametrize("api", APIS)
def test_further_members_of_an_error_reach_the_client(api: str) -> None:
    class Refused(AwsError):
        """No."""

    model = shapes_of(api).MODEL
    status, body, _, _ = PROTOCOLS[model.protocol].render_error(model, Refused(resourceIds=["a<", "b"], retry=True), "id")
    assert status == 400
    if model.protocol == "json":
        assert msgspec.json.decode(body) == {"__type": "Refused", "message": "No.", "resourceIds": ["a<", "b"], "retry": True}
    else:
        assert b"<resourceIds><member>a&lt;</member><member>b</member></resourceIds><retry>true</retry>" in body


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\x00\x0b\x1f￾￿\r\n&<"), max_size=30))
def test_any_text_at_all_makes_a_document_that_can_be_read(text: str) -> None:
    model, shape, operation_model = operation("sts", "GetCallerIdentity")
    body, _ = query.render(model, shape, shapes_of("sts").GetCallerIdentityResponse(arn=text), "id")
    parsed = create_parser("query").parse({"status_code": 200, "headers": {}, "body": body}, operation_model.output_shape)
    assert len(parsed["Arn"]) == len(text)


def test_the_wire_facts_are_botocores() -> None:
    for api in APIS:
        model, theirs = shapes_of(api).MODEL, service_model(api)
        assert (model.signing_name, model.api_version) == (theirs.signing_name, theirs.api_version)
        assert model.protocol == theirs.protocol
        assert model.target_prefix == theirs.metadata.get("targetPrefix", "")
        assert model.global_endpoint == ("globalEndpoint" in theirs.metadata)

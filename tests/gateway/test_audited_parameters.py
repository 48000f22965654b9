"""What records say of requests and answers: AWS's names, and nothing that botocore's models call sensitive."""

from __future__ import annotations

from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.model import Shape
from msgspec import inspect

from longshore.audit.record import MOST_BYTES, Particular, line_of
from longshore.aws.operation import OWN_PREFIX
from longshore.aws.shapes import ecs, iam, secretsmanager, ssm, sts
from longshore.gateway.auditing.parameters import HIDDEN, written
from longshore.gateway.catalogue import SERVED, served

#: how deep shapes are filled
_DEEP = 7


class Filling:
    """Values for every member of a shape: each text says where it stands, and those that AWS calls sensitive are gathered."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self._count = 0

    def struct(self, kind: type[msgspec.Struct], model: Shape | None, deep: int = 0) -> Any:
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        members = getattr(model, "members", {})
        given = {f.name: self.value(f.type, members.get(f.encode_name), f.encode_name, deep + 1) for f in info.fields}
        try:
            return kind(**given)
        except ValueError:  # a union, of which one member alone can be given
            first = next(((name, value) for name, value in given.items() if value is not None), None)
            return kind(**dict([first])) if first is not None else None

    def value(self, kind: inspect.Type, model: Shape | None, name: str, deep: int) -> Any:
        match kind:
            case inspect.UnionType(types=types):
                return self.value(next(each for each in types if not isinstance(each, inspect.NoneType)), model, name, deep)
            case inspect.Metadata(type=inner):
                return self.value(inner, model, name, deep)
            case inspect.StructType(cls=cls):
                return None if deep > _DEEP else self.struct(cls, model, deep)
            case inspect.VarTupleType(item_type=item):
                found = self.value(item, getattr(model, "member", None), name, deep + 1)
                return None if found is None else (found,)
            case inspect.DictType(value_type=item):
                return {"some": self.value(item, getattr(model, "value", None), name, deep + 1)}
            case inspect.BytesType():
                return self.text(model, name).encode()
            case inspect.IntType() | inspect.FloatType():
                return 7
            case inspect.BoolType():
                return True
            case _:
                return self.text(model, name)

    def text(self, model: Shape | None, name: str) -> str:
        self._count += 1
        text = f"{name}-{self._count}-is-here"
        if model is not None and model.metadata.get("sensitive"):
            self.secrets.append(text)
        return text


@pytest.mark.parametrize("api", SERVED)
def test_nothing_that_aws_calls_sensitive_is_written_down(api: str) -> None:
    model = botocore.session.get_session().get_service_model(api)
    sensitive = 0
    for name in served(api).operations:
        if name.startswith(OWN_PREFIX):
            continue
        shape, operation = served(api).shapes[name], model.operation_model(name)
        for kind, of in ((shape.request, operation.input_shape), (shape.response, operation.output_shape)):
            if kind is None:
                continue
            filling = Filling()
            told = msgspec.json.encode(written(filling.struct(kind, of))).decode()
            assert not [secret for secret in filling.secrets if secret in told], name
            sensitive += len(filling.secrets)
    assert sensitive or api not in ("iam", "sts", "secretsmanager", "ssm", "acm")


def test_names_begin_with_a_small_letter_and_what_is_not_there_is_left_out() -> None:
    request = iam.CreateUserRequest(user_name="ann", path="/team/")
    assert written(request) == {"userName": "ann", "path": "/team/"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            secretsmanager.CreateSecretRequest(name="db", secret_string="hunter2"),
            {"name": "db", "secretString": HIDDEN},
        ),
        (ssm.PutParameterRequest(name="/db", value="hunter2"), {"name": "/db", "value": HIDDEN}),
        (
            sts.Credentials(access_key_id="ASIA", secret_access_key="s", session_token="t", expiration=1.0),
            {"accessKeyId": "ASIA", "secretAccessKey": HIDDEN, "sessionToken": HIDDEN, "expiration": 1.0},
        ),
        (
            ecs.ContainerDefinition(name="web", environment=(ecs.KeyValuePair(name="PASSWORD", value="hunter2"),)),
            {"name": "web", "environment": [{"name": "PASSWORD", "value": HIDDEN}]},
        ),
        (
            ecs.LogConfiguration(log_driver="splunk", options={"splunk-url": "u", "splunk-secret": "hunter2"}),
            {"logDriver": "splunk", "options": {"splunk-url": "u", "splunk-secret": HIDDEN}},
        ),
    ],
    ids=["secret", "parameter", "session", "environment", "options"],
)
def test_secrets_are_not_shown(value: msgspec.Struct, expected: dict[str, Any]) -> None:
    assert written(value) == expected


def test_a_record_is_never_longer_than_it_may_be_and_says_what_it_leaves_out() -> None:
    many = {"tags": [{"key": "k" * 100, "value": "v" * 200}] * 1000}
    particular = Particular(
        event_time="", request_parameters=many, response_elements=many, request_id="", event_id="", error_message="x" * 8000
    )
    line = line_of(b'{"a":1,', particular)
    assert len(line) <= MOST_BYTES
    found = msgspec.json.decode(line)
    assert found["requestParameters"]["omitted"] is found["responseElements"]["omitted"] is True
    assert found["requestParameters"]["originalSize"] == len(msgspec.json.encode(many))


@pytest.mark.parametrize(
    "name",
    ["splunk-token", "apikey", "api_key", "HTTP_Passwd", "shared_key", "License_Key", "http_User_Credentials", "AWS_SECRET_ACCESS_KEY"],
)
def test_options_that_log_drivers_and_routers_sign_in_with_are_in_no_record(name: str) -> None:
    told = written(ecs.LogConfiguration(log_driver="awsfirelens", options={"Name": "datadog", "dd_tag_key": "team", name: "hunter2"}))
    assert told["options"] == {"Name": "datadog", "dd_tag_key": "team", name: HIDDEN}

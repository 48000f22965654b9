"""Actions: defaults filled in, everything that AWS refuses refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.actions import checked_actions
from longshore.services.elbv2.errors import InvalidLoadBalancerAction, TooManyActions, Validation

GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"


def checked(*wire: dict[str, Any], type: str = "application", protocol: str = "HTTP") -> dict[str, Any]:
    (action,) = checked_actions(msgspec.convert(wire, tuple[shapes.Action, ...]), type, protocol)
    built: dict[str, Any] = msgspec.to_builtins(action)
    return built


def redirect(protocol: str = "HTTP", **config: Any) -> dict[str, Any]:
    found: dict[str, Any] = checked({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **config}}, protocol=protocol)
    return found


def test_a_redirect_keeps_what_it_does_not_change() -> None:
    assert redirect(Protocol="HTTPS", Port="443")["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"Query": "a=b"},
        {"Port": "0"},
        {"Port": "70000"},
        {"Port": "#{host}"},
        {"Path": "no-slash"},
        {"Path": "/#{query}"},
        {"Path": "/#{secret}"},
        {"Path": "/#{path"},
        {"Path": "/a b"},
        {"Path": '/a"\n'},
        {"Host": "#{path}.example.com"},
        {"Host": "a b"},
        {"Host": "a.b", "Query": "?x"},
    ],
)
def test_redirects_that_lead_nowhere_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidLoadBalancerAction):
        redirect(**config)


def test_a_redirect_never_leads_from_https_to_http() -> None:
    with pytest.raises(InvalidLoadBalancerAction):
        redirect("HTTPS", Protocol="HTTP", Port="80")
    redirect("HTTP", Protocol="HTTP", Port="80")


def test_a_fixed_response_is_plain_text_unless_it_says_otherwise() -> None:
    action = checked({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "MessageBody": "gone\nfishing"}})
    assert action["FixedResponseConfig"] == {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "gone\nfishing"}


@pytest.mark.parametrize("config", [{"StatusCode": "200", "ContentType": "image/png"}, {"StatusCode": "200", "MessageBody": "a\x00b"}])
def test_fixed_responses_that_cannot_be_sent_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidLoadBalancerAction):
        checked({"Type": "fixed-response", "FixedResponseConfig": config})


def test_a_forward_in_either_spelling_becomes_the_same() -> None:
    one = checked({"Type": "forward", "TargetGroupArn": GROUP})
    other = checked({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}]}})
    both = checked({"Type": "forward", "TargetGroupArn": GROUP, "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}]}})
    assert one == other == both


def test_group_stickiness_is_kept_with_its_duration() -> None:
    stickiness = {"Enabled": True, "DurationSeconds": 600}
    config = {"TargetGroups": [{"TargetGroupArn": GROUP}], "TargetGroupStickinessConfig": stickiness}
    assert checked({"Type": "forward", "ForwardConfig": config})["ForwardConfig"]["TargetGroupStickinessConfig"] == stickiness


@pytest.mark.parametrize(
    "action",
    [
        {"Type": "forward"},
        {"Type": "forward", "TargetGroupArn": GROUP, "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP + "0"}]}},
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}] * 2}},
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP, "Weight": 1000}]}},
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": f"{GROUP}{n}"} for n in range(6)]}},
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"Weight": 1}]}},
        {
            "Type": "forward",
            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}], "TargetGroupStickinessConfig": {"Enabled": True}},
        },
    ],
)
def test_forwards_that_make_no_sense_are_refused(action: dict[str, Any]) -> None:
    with pytest.raises(Validation):
        checked(action)


def test_exactly_one_action_decides() -> None:
    response = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    with pytest.raises(TooManyActions):
        checked(response, response)
    with pytest.raises(Validation):
        checked()
    with pytest.raises(InvalidLoadBalancerAction):
        checked({**response, "TargetGroupArn": GROUP})


@pytest.mark.parametrize(
    "action",
    [
        {"Type": "authenticate-cognito", "AuthenticateCognitoConfig": {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}},
        {"Type": "jwt-validation", "JwtValidationConfig": {"JwksEndpoint": "https://a/b", "Issuer": "a"}},
    ],
)
def test_actions_of_https_listeners_are_refused_by_name(action: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match=action["Type"]):
        checked(action, {"Type": "forward", "TargetGroupArn": GROUP})

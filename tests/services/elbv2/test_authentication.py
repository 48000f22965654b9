"""Actions that ask who it is: what is taken, what is refused, and that nobody is shown a secret."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.services.elbv2.client_secrets import opened
from longshore.services.elbv2.model import LISTENERS, RULES
from tests.services.acm.making import Made
from tests.services.ec2.wire import SECRET, Cloud

OIDC: dict[str, Any] = {
    "Issuer": "https://id.example",
    "AuthorizationEndpoint": "https://id.example/authorize",
    "TokenEndpoint": "https://id.example/token",
    "UserInfoEndpoint": "https://id.example/userinfo",
    "ClientId": "shop",
    "ClientSecret": "top secret",
}
JWT: dict[str, Any] = {"JwksEndpoint": "https://id.example/jwks", "Issuer": "https://id.example"}
ANSWER: dict[str, Any] = {"Type": "fixed-response", "Order": 9, "FixedResponseConfig": {"StatusCode": "200"}}


def login(**more: Any) -> dict[str, Any]:
    config = {name: value for name, value in {**OIDC, **more}.items() if value is not None}
    return {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config}


def token(**more: Any) -> dict[str, Any]:
    return {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": {**JWT, **more}}


class Site:
    def __init__(self, cloud: Cloud, lb_arn: str, certificate: str) -> None:
        self.cloud = cloud
        self.lb_arn = lb_arn
        self.certificate = certificate

    async def listener(self, *actions: dict[str, Any], protocol: str = "HTTPS", port: int = 443) -> dict[str, Any]:
        certificates = {"Certificates": [{"CertificateArn": self.certificate}]} if protocol == "HTTPS" else {}
        asked = {"LoadBalancerArn": self.lb_arn, "Protocol": protocol, "Port": port, "DefaultActions": list(actions), **certificates}
        made: dict[str, Any] = (await self.cloud.elb("CreateListener", **asked))["Listeners"][0]
        return made

    async def refusal(self, *actions: dict[str, Any], protocol: str = "HTTPS") -> str:
        with pytest.raises(AwsError) as raised:
            await self.listener(*actions, protocol=protocol, port=8443)
        return raised.value.wire("query")[0]


@pytest.fixture
async def site() -> Site:
    cloud = Cloud()
    made = Made("web.example", cloud.clock.now())
    certificate = (await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key))["CertificateArn"]
    return Site(cloud, (await cloud.load_balancer())["LoadBalancerArn"], certificate)


def kept(site: Site, arn: str) -> str:
    """The sealed secret of a listener's or a rule's action."""
    found = site.cloud.store.get(LISTENERS, arn)
    rule = site.cloud.store.get(RULES, arn)
    actions = found.default_actions if found else rule.actions if rule else ()
    config = actions[0].authenticate_oidc_config
    assert config is not None
    return config.client_secret or ""


async def test_a_login_is_described_with_its_defaults_and_without_its_secret(site: Site) -> None:
    made = await site.listener(ANSWER, login())
    told = made["DefaultActions"]
    assert [action["Type"] for action in told] == ["authenticate-oidc", "fixed-response"]
    config = told[0]["AuthenticateOidcConfig"]
    assert config["SessionCookieName"] == "AWSELBAuthSessionCookie"
    assert (config["Scope"], config["SessionTimeout"], config["OnUnauthenticatedRequest"]) == ("openid", 604_800, "authenticate")
    assert "ClientSecret" not in config
    arn = made["ListenerArn"]
    described = await site.cloud.elb("DescribeListeners", ListenerArns=[arn])
    rules = await site.cloud.elb("DescribeRules", ListenerArn=arn)
    changed = await site.cloud.elb("ModifyListener", ListenerArn=arn, Port=8443)
    assert "top secret" not in f"{described}{rules}{changed}{site.cloud.store.list(LISTENERS)}"
    assert opened(kept(site, arn), SECRET) == "top secret"


async def test_asking_for_the_same_listener_twice_gives_the_same_one(site: Site) -> None:
    first = await site.listener(login(), ANSWER)
    assert (await site.listener(login(), ANSWER))["ListenerArn"] == first["ListenerArn"]
    with pytest.raises(AwsError) as raised:
        await site.listener(login(ClientSecret="another"), ANSWER)
    assert raised.value.wire("query")[0] == "DuplicateListener"


async def test_a_rule_that_is_changed_may_keep_its_secret(site: Site) -> None:
    listener = await site.listener(ANSWER)
    asked = {"ListenerArn": listener["ListenerArn"], "Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/a"]}]}
    made = (await site.cloud.elb("CreateRule", Actions=[login(), ANSWER], **asked))["Rules"][0]
    assert "ClientSecret" not in made["Actions"][0]["AuthenticateOidcConfig"]
    arn = made["RuleArn"]
    before = kept(site, arn)
    await site.cloud.elb(
        "ModifyRule", RuleArn=arn, Actions=[login(Scope="openid email", ClientSecret=None, UseExistingClientSecret=True), ANSWER]
    )
    assert kept(site, arn) == before
    await site.cloud.elb("ModifyRule", RuleArn=arn, Actions=[login(ClientSecret="new"), ANSWER])
    assert opened(kept(site, arn), SECRET) == "new"
    for wrong in (login(ClientSecret=None), login(ClientSecret=None, UseExistingClientSecret=True, ClientId="another")):
        with pytest.raises(AwsError) as raised:
            await site.cloud.elb("ModifyRule", RuleArn=arn, Actions=[wrong, ANSWER])
        assert raised.value.wire("query")[0] == "InvalidLoadBalancerAction"
    assert opened(kept(site, arn), SECRET) == "new"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ClientSecret": None},
        {"ClientSecret": None, "UseExistingClientSecret": True},
        {"UseExistingClientSecret": True},
        {"Issuer": "id.example"},
        {"TokenEndpoint": "http://id.example/token"},
        {"TokenEndpoint": "https://user:password@id.example/token"},
        {"TokenEndpoint": "https://id.example/token#part"},
        {"UserInfoEndpoint": "file:///etc/passwd"},
        {"UserInfoEndpoint": "https://"},
        {"AuthorizationEndpoint": "https://id.example/a b"},
        {"AuthorizationEndpoint": "https://id.example:99999/"},
        {"ClientId": "a\nb"},
        {"SessionCookieName": "a;b"},
        {"SessionCookieName": "a'b"},
        {"SessionTimeout": 0},
        {"SessionTimeout": 604_801},
        {"AuthenticationRequestExtraParams": {"redirect_uri": "https://evil.example"}},
        {"AuthenticationRequestExtraParams": {"state": "x"}},
        {"AuthenticationRequestExtraParams": {f"p{number}": "x" for number in range(11)}},
    ],
)
async def test_logins_that_cannot_be_are_refused(wrong: dict[str, Any], site: Site) -> None:
    assert await site.refusal(login(**wrong), ANSWER) == "InvalidLoadBalancerAction"


def claim(name: str = "scope", format: str = "single-string", *values: str) -> dict[str, Any]:
    return {"Name": name, "Format": format, "Values": list(values or ("x",))}


@pytest.mark.parametrize(
    "wrong",
    [
        {"JwksEndpoint": "http://id.example/jwks"},
        {"JwksEndpoint": f"https://id.example/{'x' * 250}"},
        {"Issuer": "a\tb"},
        {"AdditionalClaims": [claim("exp")]},
        {"AdditionalClaims": [claim("a.b")]},
        {"AdditionalClaims": [claim("a[0]")]},
        {"AdditionalClaims": [claim("a'b")]},
        {"AdditionalClaims": [claim("a"), claim("a")]},
        {"AdditionalClaims": [claim(f"c{number}") for number in range(11)]},
        {"AdditionalClaims": [claim("a", "single-string", "x", "y")]},
        {"AdditionalClaims": [claim("a", "string-array", *"abcdefghijk")]},
        {"AdditionalClaims": [claim("a", "space-separated-values", "a b")]},
        {"AdditionalClaims": [claim("a", "single-string", "x" * 257)]},
    ],
)
async def test_validations_of_tokens_that_cannot_be_are_refused(wrong: dict[str, Any], site: Site) -> None:
    assert await site.refusal(token(**wrong), ANSWER) == "InvalidLoadBalancerAction"


async def test_validations_of_tokens_are_taken(site: Site) -> None:
    claims = [claim("a", "string-array", "x", "y"), claim("https://x/y", "single-string", "q'%[z]")]
    with pytest.raises(AwsError):
        await site.listener(token(AdditionalClaims=[claim("https://x.y/z")]), ANSWER)
    made = await site.listener(token(AdditionalClaims=claims), ANSWER)
    assert made["DefaultActions"][0]["JwtValidationConfig"] == {**JWT, "AdditionalClaims": claims}


async def test_who_is_asked_first_and_once(site: Site) -> None:
    cognito = {"UserPoolArn": "arn:x", "UserPoolClientId": "c", "UserPoolDomain": "d"}
    expected = {
        "InvalidLoadBalancerAction": [
            (login(),),
            ({**login(), "Order": 10}, ANSWER),
            ({"Type": "authenticate-oidc", "Order": 1}, ANSWER),
            ({"Type": "jwt-validation", "Order": 1, "AuthenticateOidcConfig": OIDC}, ANSWER),
            ({"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": cognito}, ANSWER),
            ({**ANSWER, "AuthenticateOidcConfig": OIDC},),
        ],
        "TooManyActions": [(login(), {**token(), "Order": 2}, ANSWER)],
        "ValidationError": [({**login(), "Order": 9}, ANSWER), ({"Type": "jwt-validation", "JwtValidationConfig": JWT}, ANSWER)],
    }
    for code, several in expected.items():
        for actions in several:
            assert await site.refusal(*actions) == code, actions
    assert await site.refusal(login(), ANSWER, protocol="HTTP") == "InvalidLoadBalancerAction"
    await site.listener(
        login(**{name: url.replace("https://id.example", "http://localhost:8080") for name, url in OIDC.items() if "http" in url}), ANSWER
    )

"""Actions that let nobody in who does not prove who it is: what AWS accepts of them, brought into one form.

An authenticate-oidc action sends people to an identity provider; a jwt-validation action wants a token with every request.
A checked one carries every default. Its client secret is sealed before it is kept (`client_secrets.py`). Pure.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import InvalidLoadBalancerAction

#: actions that may stand before the one that answers or forwards
TYPES = ("authenticate-oidc", "authenticate-cognito", "jwt-validation")
DEFAULT_COOKIE = "AWSELBAuthSessionCookie"
DEFAULT_SCOPE = "openid"
MOST_SESSION_SECONDS = 604_800
MOST_EXTRA_PARAMETERS = 10
MOST_URL_LENGTH = 256
MOST_CLAIMS = 10
MOST_CLAIM_VALUES = 10
MOST_CLAIM_VALUE_LENGTH = 256
#: claims that are looked at anyway
ALWAYS_CHECKED = frozenset({"exp", "iss", "nbf", "iat"})
#: what a load balancer says itself when it sends somebody to a provider
_ITS_OWN_PARAMETERS = frozenset({"client_id", "redirect_uri", "response_type", "scope", "state", "nonce"})

_COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
#: a name with a dot or a bracket would be a path to HAProxy, which reads the claims
_CLAIM_NAME = re.compile(r"[A-Za-z0-9_:/@-]{1,256}")


def checked_authentication(action: shapes.Action, listener_protocol: str) -> shapes.Action:
    """The action in one form. Raises InvalidLoadBalancerAction."""
    if listener_protocol != "HTTPS":
        raise InvalidLoadBalancerAction(f"Actions of type '{action.type}' are supported only on HTTPS listeners")
    if action.type == "authenticate-cognito":
        raise InvalidLoadBalancerAction(
            "Actions of type 'authenticate-cognito' are not served, since there are no Amazon Cognito user pools here; "
            "'authenticate-oidc' takes any OpenID Connect provider"
        )
    if action.type == "authenticate-oidc":
        return _oidc(action)
    return _jwt(action)


def _oidc(action: shapes.Action) -> shapes.Action:
    given = action.authenticate_oidc_config
    if given is None:
        raise InvalidLoadBalancerAction("An AuthenticateOidcConfig must be specified for an action of type 'authenticate-oidc'")
    for name, url in (
        ("Issuer", given.issuer),
        ("AuthorizationEndpoint", given.authorization_endpoint),
        ("TokenEndpoint", given.token_endpoint),
        ("UserInfoEndpoint", given.user_info_endpoint),
    ):
        _check_url(name, url, most=2048)
    _check_text("ClientId", given.client_id, _VISIBLE)
    cookie = given.session_cookie_name or DEFAULT_COOKIE
    if not _COOKIE_NAME.fullmatch(cookie):
        raise InvalidLoadBalancerAction(f"The SessionCookieName '{cookie}' is not valid")
    scope = given.scope or DEFAULT_SCOPE
    _check_text("Scope", scope, _PRINTABLE)
    timeout = MOST_SESSION_SECONDS if given.session_timeout is None else given.session_timeout
    if not 1 <= timeout <= MOST_SESSION_SECONDS:
        raise InvalidLoadBalancerAction(f"The SessionTimeout must be between 1 and {MOST_SESSION_SECONDS} seconds")
    _check_extra_parameters(given.authentication_request_extra_params or {})
    if given.client_secret and given.use_existing_client_secret:
        raise InvalidLoadBalancerAction("You cannot specify both a ClientSecret and UseExistingClientSecret")
    if not given.client_secret and not given.use_existing_client_secret:
        raise InvalidLoadBalancerAction("A ClientSecret must be specified for an action of type 'authenticate-oidc'")
    if given.client_secret:
        _check_text("ClientSecret", given.client_secret, _PRINTABLE)
    config = msgspec.structs.replace(
        given,
        session_cookie_name=cookie,
        scope=scope,
        session_timeout=timeout,
        authentication_request_extra_params=given.authentication_request_extra_params or None,
        on_unauthenticated_request=given.on_unauthenticated_request or "authenticate",
    )
    return shapes.Action(type=action.type, order=action.order or 1, authenticate_oidc_config=config)


def _check_extra_parameters(parameters: dict[str, str]) -> None:
    if len(parameters) > MOST_EXTRA_PARAMETERS:
        raise InvalidLoadBalancerAction(f"At most {MOST_EXTRA_PARAMETERS} AuthenticationRequestExtraParams can be specified")
    for name, value in parameters.items():
        _check_text("AuthenticationRequestExtraParams", name, _VISIBLE)
        if value:
            _check_text("AuthenticationRequestExtraParams", value, _PRINTABLE)
        if name in _ITS_OWN_PARAMETERS:
            raise InvalidLoadBalancerAction(f"The parameter '{name}' cannot be specified as one of AuthenticationRequestExtraParams")


def _jwt(action: shapes.Action) -> shapes.Action:
    given = action.jwt_validation_config
    if given is None:
        raise InvalidLoadBalancerAction("A JwtValidationConfig must be specified for an action of type 'jwt-validation'")
    _check_url("JwksEndpoint", given.jwks_endpoint, most=MOST_URL_LENGTH)
    _check_text("Issuer", given.issuer, _PRINTABLE, MOST_URL_LENGTH)
    claims = given.additional_claims or ()
    if len(claims) > MOST_CLAIMS:
        raise InvalidLoadBalancerAction(f"At most {MOST_CLAIMS} AdditionalClaims can be specified")
    if len({claim.name for claim in claims}) != len(claims):
        raise InvalidLoadBalancerAction("AdditionalClaims must have different names")
    for claim in claims:
        _check_claim(claim)
    config = msgspec.structs.replace(given, additional_claims=claims or None)
    return shapes.Action(type=action.type, order=action.order or 1, jwt_validation_config=config)


def _check_claim(claim: shapes.JwtValidationActionAdditionalClaim) -> None:
    if claim.name in ALWAYS_CHECKED:
        raise InvalidLoadBalancerAction(f"The claim '{claim.name}' is validated by default and cannot be specified")
    if not _CLAIM_NAME.fullmatch(claim.name):
        raise InvalidLoadBalancerAction(f"Claims named like '{claim.name}' are not served: letters, digits and _:/@- are")
    if not 1 <= len(claim.values) <= MOST_CLAIM_VALUES:
        raise InvalidLoadBalancerAction(f"Between 1 and {MOST_CLAIM_VALUES} values must be specified for the claim '{claim.name}'")
    if claim.format == "single-string" and len(claim.values) > 1:
        raise InvalidLoadBalancerAction(f"Only one value can be specified for the single-string claim '{claim.name}'")
    for value in claim.values:
        _check_text("AdditionalClaims", value, _PRINTABLE, MOST_CLAIM_VALUE_LENGTH)
        if claim.format == "space-separated-values" and " " in value:
            raise InvalidLoadBalancerAction(f"A value of the claim '{claim.name}' cannot contain spaces")


def _check_text(name: str, text: str, allowed: re.Pattern[str], most: int = 2048) -> None:
    if not allowed.fullmatch(text) or len(text) > most:
        raise InvalidLoadBalancerAction(f"The {name} is not valid")


def _check_url(name: str, url: str, most: int) -> None:
    """HTTPS, or HTTP to this machine's own addresses, where nobody listens in."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_valid = urlsplit(""), False
    is_whole = bool(_VISIBLE.fullmatch(url)) and bool(parts.hostname) and port_is_valid and not parts.fragment and "@" not in parts.netloc
    if len(url) > most or not is_whole or not (parts.scheme == "https" or (parts.scheme == "http" and is_of_this_machine(parts.hostname))):
        raise InvalidLoadBalancerAction(f"The {name} '{url[:MOST_URL_LENGTH]}' must be a full URL, including the HTTPS protocol")


def is_of_this_machine(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""Attributes of listeners: which a protocol has, their defaults and what they may be set to. Pure.

Values end up in headers of requests and answers, so each is held to what its header may say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from longshore.services.elbv2.attributes import Attribute, Check, between, one_of
from longshore.services.elbv2.errors import InvalidConfigurationRequest

IDLE_TIMEOUT = "tcp.idle_timeout.seconds"
SERVER_ENABLED = "routing.http.response.server.enabled"

_MOST_VALUE = 1024
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
#: requests live by these: no certificate's value goes under such a name
_RESERVED = frozenset(
    {
        *("host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive", "cookie"),
        *("authorization", "proxy-authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-amzn-trace-id"),
        *("x-amzn-oidc-data", "x-amzn-oidc-identity", "x-amzn-oidc-accesstoken"),
    }
)


def _header_name(value: str) -> str | None:
    if not _HEADER_NAME.fullmatch(value):
        return "must be a header name of 1 to 40 letters, digits, hyphens and underscores"
    return f"must not be the reserved header name {value}" if value.lower() in _RESERVED else None


def _like(pattern: str, words: str) -> Check:
    """Empty, which leaves the header out, or what `pattern` matches as a whole."""
    compiled = re.compile(pattern)
    return lambda value: None if not value or (len(value) <= _MOST_VALUE and compiled.fullmatch(value)) else f"must be {words}"


_ORIGIN = _like(r"\*|null|[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.\[\]:_-]+", "*, null or an origin such as https://www.example.com")
_TOKENS = _like(rf"\*|{_TOKEN}(, ?{_TOKEN})*", "* or names separated by commas")
_TRANSPORT_SECURITY = _like(
    r"max-age=[0-9]{1,10}(; ?includeSubDomains)?(; ?preload)?", "max-age=SECONDS, perhaps followed by includeSubDomains and preload"
)
_PRINTABLE = _like(r"[\x20-\x7e]*[\x21-\x7e]", f"up to {_MOST_VALUE} printable ASCII characters")
_FRAME_OPTIONS = _like(r"DENY|SAMEORIGIN|ALLOW-FROM https?://[A-Za-z0-9.\[\]:/_-]+", "DENY, SAMEORIGIN or ALLOW-FROM with an address")

_ANSWERS = (
    Attribute(SERVER_ENABLED, "true", one_of("true", "false")),
    Attribute("routing.http.response.strict_transport_security.header_value", "", _TRANSPORT_SECURITY),
    Attribute("routing.http.response.access_control_allow_origin.header_value", "", _ORIGIN),
    Attribute("routing.http.response.access_control_allow_methods.header_value", "", _TOKENS),
    Attribute("routing.http.response.access_control_allow_headers.header_value", "", _TOKENS),
    Attribute("routing.http.response.access_control_allow_credentials.header_value", "", one_of("", "true")),
    Attribute("routing.http.response.access_control_expose_headers.header_value", "", _TOKENS),
    Attribute("routing.http.response.access_control_max_age.header_value", "", between(0, 86_400, "")),
    Attribute("routing.http.response.content_security_policy.header_value", "", _PRINTABLE),
    Attribute("routing.http.response.x_content_type_options.header_value", "", one_of("", "nosniff")),
    Attribute("routing.http.response.x_frame_options.header_value", "", _FRAME_OPTIONS),
)
#: part of the attribute's key -> the header's usual name
REQUEST_HEADERS: Mapping[str, str] = {
    "x_amzn_mtls_clientcert_serial_number": "X-Amzn-Mtls-Clientcert-Serial-Number",
    "x_amzn_mtls_clientcert_issuer": "X-Amzn-Mtls-Clientcert-Issuer",
    "x_amzn_mtls_clientcert_subject": "X-Amzn-Mtls-Clientcert-Subject",
    "x_amzn_mtls_clientcert_validity": "X-Amzn-Mtls-Clientcert-Validity",
    "x_amzn_mtls_clientcert_leaf": "X-Amzn-Mtls-Clientcert-Leaf",
    "x_amzn_mtls_clientcert": "X-Amzn-Mtls-Clientcert",
    "x_amzn_tls_version": "X-Amzn-Tls-Version",
    "x_amzn_tls_cipher_suite": "X-Amzn-Tls-Cipher-Suite",
}
_REQUESTS = tuple(Attribute(f"routing.http.request.{part}.header_name", name, _header_name) for part, name in REQUEST_HEADERS.items())

_BY_PROTOCOL: Mapping[str, tuple[Attribute, ...]] = {
    "HTTP": _ANSWERS,
    "HTTPS": (*_ANSWERS, *_REQUESTS),
    "TCP": (Attribute(IDLE_TIMEOUT, "350", between(60, 6000)),),
}


def listener_attributes(protocol: str) -> tuple[Attribute, ...]:
    return _BY_PROTOCOL.get(protocol, ())


def kept_for(protocol: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """Those that a listener still has when its protocol becomes `protocol`."""
    known = {attribute.key for attribute in listener_attributes(protocol)}
    return {key: value for key, value in attributes.items() if key in known}


def check_together(protocol: str, attributes: Mapping[str, str]) -> None:
    """No two values go under one name. Raises InvalidConfigurationRequest."""
    if protocol != "HTTPS":
        return
    names = [attributes.get(attribute.key, attribute.default).lower() for attribute in _REQUESTS]
    if len(set(names)) != len(names):
        raise InvalidConfigurationRequest("The header names of a listener's attributes must be different from each other")

"""The kinds of policies that a Classic load balancer can have, with the attributes of each, as AWS describes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longshore.services.elb.ssl_negotiation import CIPHERS, PROTOCOLS

LB_COOKIE = "LBCookieStickinessPolicyType"
APP_COOKIE = "AppCookieStickinessPolicyType"
SSL_NEGOTIATION = "SSLNegotiationPolicyType"
PROXY_PROTOCOL = "ProxyProtocolPolicyType"
PUBLIC_KEY = "PublicKeyPolicyType"
BACKEND_AUTHENTICATION = "BackendServerAuthenticationPolicyType"

#: attribute names
COOKIE_EXPIRATION = "CookieExpirationPeriod"
COOKIE_NAME = "CookieName"
REFERENCE = "Reference-Security-Policy"
SERVER_ORDER = "Server-Defined-Cipher-Order"


@dataclass(frozen=True, slots=True)
class AttributeType:
    name: str
    type: str  # String | Boolean | Long | PolicyName
    cardinality: str  # ONE | ZERO_OR_ONE | ZERO_OR_MORE | ONE_OR_MORE
    description: str = ""
    default: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyType:
    name: str
    description: str
    attributes: tuple[AttributeType, ...]

    def attribute(self, name: str) -> AttributeType | None:
        return next((each for each in self.attributes if each.name == name), None)


_SWITCH = ("Boolean", "ZERO_OR_ONE")

_POLICY_TYPES = (
    PolicyType(
        APP_COOKIE,
        "Stickiness policy with session lifetimes controlled by the lifetime of the application-generated cookie. This policy can be "
        "associated only with HTTP/HTTPS listeners.",
        (AttributeType(COOKIE_NAME, "String", "ONE"),),
    ),
    PolicyType(
        BACKEND_AUTHENTICATION,
        "Policy that controls authentication to back-end server(s) and contains one or more policies, such as an instance of a "
        "PublicKeyPolicyType. This policy can be associated only with back-end servers that are using HTTPS/SSL.",
        (AttributeType("PublicKeyPolicyName", "PolicyName", "ONE_OR_MORE"),),
    ),
    PolicyType(
        LB_COOKIE,
        "Stickiness policy with session lifetimes controlled by the browser (user-agent) or a specified expiration period. This policy "
        "can be associated only with HTTP/HTTPS listeners.",
        (AttributeType(COOKIE_EXPIRATION, "Long", "ZERO_OR_ONE"),),
    ),
    PolicyType(
        PROXY_PROTOCOL,
        "Policy that controls whether to include the IP address and port of the originating request for TCP messages. This policy "
        "operates on TCP listeners only.",
        (AttributeType("ProxyProtocol", "Boolean", "ONE"),),
    ),
    PolicyType(
        PUBLIC_KEY,
        "Policy containing a list of public keys to accept when authenticating the back-end server(s). This policy cannot be applied "
        "directly to back-end servers or listeners but must be part of a BackendServerAuthenticationPolicyType.",
        (AttributeType("PublicKey", "String", "ONE"),),
    ),
    PolicyType(
        SSL_NEGOTIATION,
        "Listener policy that defines the ciphers and protocols that will be accepted by the load balancer. This policy can be associated "
        "only with HTTPS/SSL listeners.",
        (
            AttributeType(
                REFERENCE,
                "String",
                "ZERO_OR_ONE",
                "The value of this attribute is the name of our sample policy (see our documentation for details on the policies we "
                "provide). We use this reference policy to set your SSL negotiation policy.",
            ),
            *(AttributeType(name, *_SWITCH, "A description for this policy") for name in PROTOCOLS),
            AttributeType(
                SERVER_ORDER,
                *_SWITCH,
                "Whether the load balancer's own order of ciphers decides, and not the client's",
            ),
            *(AttributeType(name, *_SWITCH, "A description for this policy") for name in CIPHERS),
        ),
    ),
)

POLICY_TYPES: Mapping[str, PolicyType] = {each.name: each for each in _POLICY_TYPES}

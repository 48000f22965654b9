"""Targets that read one language each: policies, cluster queries, requests' bodies and heads, paths. Nothing behind them.

What a target takes for an answer is the error that its language has for bad input, and no other.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from longshore.aws.errors import AwsError
from longshore.aws.image_names import registry_host, registry_in_path
from longshore.aws.protocol import ec2, form, query
from longshore.aws.protocol import json as json_protocol
from longshore.gateway.catalogue import SERVED, served
from longshore.gateway.heads import NotPlain
from longshore.gateway.lane import read_request
from longshore.gateway.reads import Peer, read_look
from longshore.kit.jose import BadKeySet, BadToken, encoded, is_signed_by, keys_in
from longshore.kit.jose import read as read_jwt
from longshore.registry.errors import RegistryError
from longshore.registry.routes import route
from longshore.services.call import Principal
from longshore.services.ecr.lifecycle.policy import PolicyInvalid, parse_policy
from longshore.services.ecr.names import is_digest, is_tag
from longshore.services.ecs.cluster_query import Facts, QueryError, matches, parse
from longshore.services.iam.checks import check_trust
from longshore.services.iam.evaluator import decide
from longshore.services.iam.federation import OpenIdProvider
from longshore.services.iam.policy import MalformedPolicy, compile_policy
from longshore.services.sts.web_identity.tokens import checked
from tests.fuzz.engine import Target
from tests.sweeps.installation import POLICY_DOCUMENT, REPOSITORY_POLICY, TRUST_DOCUMENT

_CODECS = {"json": json_protocol, "query": query, "ec2": ec2}


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────

_ANN = Principal("123456789012", "arn:aws:iam::123456789012:user/ann", "AIDAANN", "AKIAANN", tags=(("team", "a"),))
_CONTEXT = {
    "aws:sourceip": ["10.0.0.1"],
    "aws:username": ["ann"],
    "aws:currenttime": ["2026-01-01T00:00:00Z"],
    "aws:tagkeys": ["a", "b"],
    "aws:multifactorauthpresent": ["false"],
    "ecs:cluster": ["arn:aws:ecs:us-east-1:123456789012:cluster/main"],
}
_POLICIES = (
    POLICY_DOCUMENT,
    TRUST_DOCUMENT,
    REPOSITORY_POLICY,
    json.dumps(
        {
            "Version": "2012-10-17",
            "Id": "all-of-it",
            "Statement": [
                {
                    "Sid": "One",
                    "Effect": "Allow",
                    "NotAction": ["iam:*", "sts:Get*"],
                    "Resource": ["arn:aws:ecs:*:123456789012:task/${aws:username}/*", "arn:aws:ecr:us-?ast-1:*:repository/${aws:x, 'y'}"],
                    "Condition": {
                        "ForAllValues:StringLike": {"aws:TagKeys": ["a*", "b?"]},
                        "StringNotEqualsIfExists": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"},
                        "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1/128"]},
                        "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
                        "NumericLessThanEquals": {"aws:MultiFactorAuthAge": 3600},
                        "ArnLike": {"ecs:cluster": "arn:aws:ecs:*:*:cluster/m*"},
                        "Bool": {"aws:MultiFactorAuthPresent": False},
                        "Null": {"aws:TokenIssueTime": "true"},
                        "BinaryEquals": {"aws:Binary": "QQ=="},
                    },
                },
                {"Effect": "Deny", "Action": "*", "NotResource": "*"},
            ],
        }
    ),
    json.dumps({"Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": ["123456789012", "AIDAANN"]}, "Action": "ecr:*"}}),
)


def read_policy(data: bytes) -> None:
    document = data.decode("utf-8", "surrogateescape")
    for resource_based in (False, True):
        with contextlib.suppress(MalformedPolicy):
            policy = compile_policy(document, resource_based=resource_based)
            own, its = ((), (policy,)) if resource_based else ((policy,), ())
            for action, resource in (("ecs:RunTask", "arn:aws:ecs:us-east-1:123456789012:task/ann/1"), ("ecr:PutImage", "*")):
                decide(own, its, action, resource, _CONTEXT, _ANN)
    with contextlib.suppress(MalformedPolicy):
        check_trust(document)


# ── cluster queries ─────────────────────────────────────────────────────────────────────────────────────────────────

_QUERIES = (
    "attribute:ecs.instance-type == t2.small",
    "attribute:a in [x, y, z] and not (agentConnected == true or runningTasksCount >= 3)",
    "attribute:ecs.availability-zone =~ us-east-1[ab] && task:group == service:web",
    "registeredAt > 2020-01-01T00:00:00Z and agentVersion >= 1.14 and ec2InstanceId !~ i-0.*",
    'attribute:"quoted name" not_exists or attribute:b exists',
)
_FACTS = Facts(
    True,
    "1.80.0",
    "i-0123456789abcdef0",
    1_700_000_000.0,
    2,
    {"ecs.instance-type": "t2.small", "a": "x", "ecs.availability-zone": "us-east-1a"},
    lambda: frozenset({"service:web"}),
)


def read_query(data: bytes) -> None:
    with contextlib.suppress(QueryError):
        matches(parse(data.decode("utf-8", "surrogateescape")), _FACTS)


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAMED = [(api, name) for api in SERVED for name in served(api).operations]


def read_body(data: bytes, protocol: str) -> None:
    """The first two bytes choose the operation."""
    among = [(api, name) for api, name in _NAMED if served(api).model.protocol == protocol]
    api, name = among[int.from_bytes(data[:2], "big") % len(among)]
    with contextlib.suppress(AwsError):
        _CODECS[protocol].parse(served(api).model, served(api).shapes[name], data[2:])


def read_form(data: bytes) -> None:
    with contextlib.suppress(AwsError):
        form.parse_form(data)


def _numbered(*bodies: bytes) -> list[bytes]:
    return [number.to_bytes(2, "big") + body for body in bodies for number in range(0, 60, 3)]


_JSON = (
    b'{"cluster":"main","containerDefinitions":[{"name":"a","image":"b","memory":64,"environment":[{"name":"a","value":"b"}]}],"count":1}',
    b'{"repositoryName":"app/web","imageIds":[{"imageTag":"a"},{"imageDigest":"sha256:00"}],"maxResults":10,"nextToken":"x","filter":{}}',
    b'{"tags":[{"key":"a","value":"b"}],"resourceArn":"arn:aws:ecs:us-east-1:1:cluster/a","force":true,"names":["a"],"filters":[{"key":"a","values":[]}]}',
)
_FORMS = (
    b"Action=CreateUser&Version=2010-05-08&UserName=ann&Path=%2F&Tags.member.1.Key=a&Tags.member.1.Value=b&MaxItems=3",
    b"Action=CreateListener&LoadBalancerArn=arn%3Aaws&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.Order=1",
    b"Action=DescribeInstances&Filter.1.Name=a&Filter.1.Value.1=b&InstanceId.1=i-0&MaxResults=5&DryRun=true",
    b"Action=ModifyRule&Conditions.member.1.HostHeaderConfig.Values.member.1=a&Attributes.entry.1.key=a&Attributes.entry.1.value=b",
)


# ── heads and paths ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Transport:
    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else None


_PEER = Peer(_Transport())
_HEADS = (
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nContent-Length: 2\r\nX-Amz-Target: A.B\r\nAuthorization: AWS4-HMAC-SHA256 a\r\n\r\n{}",
    b"GET /v2/app/web/manifests/latest HTTP/1.1\r\nHost: a\r\nAccept: x/y\r\nAccept: z\r\nAuthorization: Basic QVdTOng=\r\n\r\n",
    b"HEAD /v2/a/blobs/sha256:00 HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n",
)


def read_head(data: bytes) -> None:
    with contextlib.suppress(NotPlain):
        read_request(data, "127.0.0.1")
    with contextlib.suppress(NotPlain):
        read_look(data, _PEER)


_PATHS = (
    *(b"/v2/", b"/v2/_catalog", b"/v2/app/web/tags/list", b"/v2/app/blobs/uploads/", b"/v2/app/blobs/uploads/0123-4567"),
    *(b"/v2/app/blobs/sha256:" + b"0" * 64, b"/v2/app/web/manifests/v1.0", b"/v2/a/referrers/sha256:" + b"1" * 64),
    b"/v2/210987654321.dkr.ecr.eu-west-1/app/web/manifests/latest",
    b"210987654321.dkr.ecr.eu-west-1.localhost:4566",
)


def read_path(data: bytes) -> None:
    path = data.decode("utf-8", "surrogateescape")
    registry_host(path)
    registry_in_path(path)
    is_tag(path), is_digest(path)
    with contextlib.suppress(RegistryError):
        found = route(path)
        assert ".." not in found.name.split("/") and "\x00" not in found.name, found.name


_LIFECYCLE = (
    b'{"rules":[{"rulePriority":1,"description":"a","selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":'
    b'"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}',
    b'{"rules":[{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPatternList":["*a*b"],"countType":"imageCountMoreThan",'
    b'"countNumber":5},"action":{"type":"expire"}},{"rulePriority":9,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
    b'"countNumber":1},"action":{"type":"expire"}}]}',
)


def read_lifecycle(data: bytes) -> None:
    with contextlib.suppress(PolicyInvalid):
        parse_policy(data.decode("utf-8", "surrogateescape"))


def read_pattern(data: bytes) -> None:
    """What clients' regular expressions are matched with: no input may take long, whatever the expression is."""
    with contextlib.suppress(QueryError):
        text = data.decode("utf-8", "replace")[:256]
        matches(parse(f"attribute:a =~ {text}"), _FACTS)


# ── tokens of identity providers ────────────────────────────────────────────────────────────────────────────────────

_PROVIDER = OpenIdProvider("123456789012", "https://issuer.example/a", 0.0, client_ids=("app",))
_SIGNER = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
_HEADER = encoded(b'{"alg":"EdDSA","kid":"a"}')
_SET = b'{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"%s"}]}' % encoded(_SIGNER.public_key().public_bytes_raw()).encode()
_KEYS = keys_in(_SET)
_CLAIMS = (
    b'{"iss":"https://issuer.example/a","sub":"ann","aud":"app","exp":1700000600,"nbf":1700000000,"iat":1700000000,"amr":["pwd"],"azp":"app"}',
    b'{"iss":"https://issuer.example/a","sub":"ann","aud":["app","b"],"azp":"app","exp":1700000600.5,"iat":1700000000,"https://aws.amazon.com/tags":'
    b'{"principal_tags":{"team":["a"]},"transitive_tag_keys":["team"]},"https://aws.amazon.com/source_identity":"ann"}',
)


def read_token(data: bytes) -> None:
    """As it is, as a set of keys, and as the claims of a token that the provider has signed."""
    with contextlib.suppress(BadKeySet):
        keys_in(data)
    with contextlib.suppress(BadToken):
        is_signed_by(read_jwt(data.decode("latin-1")), _KEYS)
    signed = f"{_HEADER}.{encoded(data)}"
    with contextlib.suppress(BadToken, AwsError):
        checked(_PROVIDER, read_jwt(f"{signed}.{encoded(_SIGNER.sign(signed.encode()))}"), _KEYS, 1_700_000_100.0)


_POLICY_WORDS = tuple(
    word.encode()
    for word in (
        *(
            '"Statement":',
            '"Effect":"Allow",',
            '"Action":"*",',
            '"Resource":"*",',
            '"NotAction":',
            '"Principal":{"AWS":"*"},',
            '"Condition":{',
        ),
        *(
            "StringEquals",
            "ForAnyValue:",
            "ForAllValues:",
            "IfExists",
            "ArnLike",
            "Null",
            "DateEquals",
            "${aws:PrincipalTag/a, 'b'}",
            "2008-10-17",
        ),
    )
)
_QUERY_WORDS = tuple(
    word.encode() for word in (" and ", " or ", " not ", "==", "!=", "=~", " in [", "attribute:", "exists", "task:group", "((((")
)
_JSON_WORDS = tuple(word.encode() for word in ('"cluster":', '"tags":[{', '"count":', "1e400", '"\\u0000"', "[[[[", '{"a":{"a":{"a":'))
_FORM_WORDS = tuple(
    word.encode() for word in (".member.", ".entry.1.key=", ".1.", "&Tags.member.", "%C3%28", "=true", "&Version=", ".member.999999999")
)
_HEAD_WORDS = tuple(
    word.encode()
    for word in (
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n\r\n",
        "Expect: 100-continue\r\n",
        "\nHost: b",
        " HTTP/1.0\r\n",
        "X_Amz_Date: 1\r\n",
    )
)
_PATH_WORDS = tuple(
    word.encode() for word in ("/blobs/", "/manifests/", "/uploads/", "/tags/list", "/../", "//", ".dkr.ecr.", "sha256:", "_", "__", ".")
)

LANGUAGES: tuple[Target, ...] = (
    Target("policy", read_policy, [text.encode() for text in _POLICIES], _POLICY_WORDS),
    Target("query", read_query, [text.encode() for text in _QUERIES], _QUERY_WORDS),
    Target(
        "pattern",
        read_pattern,
        [b"us-east-1[ab]", b"(a|b)*c+?", b"^x{2,5}$", rb"\d+\w\p{L}"],
        (b"(a*)*", b"{1000}", b"(?i)", b"|", b"[^"),
        share=0.25,
    ),
    Target("json", partial(read_body, protocol="json"), _numbered(*_JSON), _JSON_WORDS),
    Target("query-form", partial(read_body, protocol="query"), _numbered(*_FORMS), _FORM_WORDS),
    Target("ec2-form", partial(read_body, protocol="ec2"), _numbered(*_FORMS), _FORM_WORDS),
    Target("form", read_form, _FORMS, _FORM_WORDS, share=0.5),
    Target("head", read_head, _HEADS, _HEAD_WORDS),
    Target("path", read_path, _PATHS, _PATH_WORDS),
    Target("token", read_token, [*_CLAIMS, _SET], (b'"exp":', b'"aud":[', b"1e400", b'"kty":"RSA","n":"AQAB","e":"AQAB"'), share=0.25),
    Target("lifecycle", read_lifecycle, _LIFECYCLE, (b'"rulePriority":', b'"tagPatternList":["', b"99999999999"), share=0.25),
)

"""Actions that ask who it is, as HAProxy's request rules: they stand between the choice of a rule and what it does.

A session is a cookie that only we can have made (AES-256-GCM, a key per load balancer): HAProxy opens it, looks at the clock and
sets the headers with what is inside, and nobody else is asked. So is a token: its signature, issuer, times and claims are seen
through here. What HAProxy cannot do (talk to an identity provider) the backend `authentication` does, a server beside us on a
unix socket: logins, sessions whose access token is over, keys nobody has fetched yet. The last two it ends by sending the request
once more through the listener's own door (`….again`), with what was missing. Pure.

`txn.ask` is `WHY|ARN|FRONT` for requests that go there: why, of which rule (or listener), and which listener's door to come back by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.pages import error
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable, argument, quoted

#: the backend that talks to identity providers
AUTHENTICATION = "authentication"
#: where providers send people back to
CALLBACK = "/oauth2/idpresponse"
#: a session is spread over as many cookies, `NAME-0` and so on
SHARDS = 4
#: how what is sealed begins: a whole nonce (12 bytes) and a whole tag (16)
_SEAL = quoted("^[A-Za-z0-9+/]{16}[.][A-Za-z0-9+/]{22}==[.]")
#: elements of an array that are looked at
_MOST_ELEMENTS = 10
#: what tells our own sockets apart
_AGAIN = "{ so_name -m str again }"
#: of headers between HAProxy and the backend
_PREFIX = "X-Longshore-"

Actions = tuple[shapes.Action, ...]


def asks(front: Front) -> bool:
    """Whether any rule asks who it is."""
    return any(len(actions) > 1 for actions in (front.listener.default_actions, *(rule.actions for rule in front.rules)))


def realm(config: shapes.AuthenticateOidcActionConfig) -> str:
    """What a session is good for: the same client of the same provider."""
    text = "\n".join((config.issuer, config.client_id, config.user_info_endpoint))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def again_bind(front: Front, places: Places) -> list[str]:
    return [f"bind {quoted('unix@' + places.again_socket(front))} mode 600 name again"] if asks(front) else []


def entry_lines(front: Front) -> list[str]:
    """Before rules are chosen: nobody but us says who somebody is, and people who come back from a provider."""
    if not asks(front):
        return []
    return [
        f"http-request set-src req.hdr({_PREFIX}Client) if {_AGAIN}",
        f"http-request set-src-port req.hdr({_PREFIX}Client-Port) if {_AGAIN}",
        f"http-request del-header {_PREFIX} -m beg",
        "http-request set-var(txn.given) req.fhdr(x-forwarded-for)",
        f"http-request set-var(txn.r) {quoted(f'str(0|{AUTHENTICATION})')} if {{ path -m str {CALLBACK} }}",
        f"http-request set-var(txn.ask) {_ask('callback', front.listener.arn, front)} if {{ path -m str {CALLBACK} }}",
    ]


def _ask(why: str, arn: str, front: Front) -> str:
    return quoted(f"str({why}|{arn}|{front.port}-{front.load_balancer.slot})")


def backend_lines(places: Places) -> list[str]:
    return [
        f"backend {AUTHENTICATION}",
        # It waits for providers, for as long as they may take.
        "timeout server 60s",
        f"http-request set-header {_PREFIX}Why %[var(txn.ask),field(1,|)]",
        f"http-request set-header {_PREFIX}Rule %[var(txn.ask),field(2,|)]",
        f"http-request set-header {_PREFIX}Front %[var(txn.ask),field(3,|)]",
        f"http-request set-header {_PREFIX}Client %[src]",
        f"http-request set-header {_PREFIX}Client-Port %[src_port]",
        f"http-request set-header {_PREFIX}Forwarded %[var(txn.given)] if {{ var(txn.given) -m found }}",
        f"http-response set-var(txn.reason) res.hdr({_PREFIX}Reason)",
        f"http-response del-header {_PREFIX} -m beg",
        # An answer that ends what HAProxy sends must not be taken for the server's end.
        "http-reuse never",
        "option http-server-close",
        f"server app {quoted('unix@' + places.auth_socket)} check inter 1s fall 1 rise 1",
    ]


def authentication_lines(decision: str, actions: Actions, arn: str, front: Front, places_of_keys: KeyFiles) -> list[str]:
    """What comes before the last of `actions`, for requests that the rule with this `decision` (`txn.r`) was chosen for.

    Whoever has to go to the backend gets another `txn.r`, with the same priority: nothing else of the rule is done then.
    """
    lines: list[str] = []
    for action in actions[:-1]:
        when = f"{{ var(txn.r) -m str {quoted(decision)} }}"
        elsewhere = quoted(f"str({decision.partition('|')[0]}|{AUTHENTICATION})")
        if action.authenticate_oidc_config is not None:
            lines += _oidc(action.authenticate_oidc_config, when, arn, front, places_of_keys)
        elif action.jwt_validation_config is not None:
            lines += _jwt(action.jwt_validation_config, when, arn, front, places_of_keys)
        else:
            raise Unrenderable(f"an action of type {action.type!r} before the last one")
        lines.append(f"http-request set-var(txn.r) {elsewhere} if {when} {{ var(txn.ask) -m found }}")
    return lines


def _oidc(config: shapes.AuthenticateOidcActionConfig, when: str, arn: str, front: Front, files: KeyFiles) -> list[str]:
    if not front.session_key:
        raise Unrenderable("sessions cannot be sealed here")
    name = config.session_cookie_name or ""
    shards = [quoted(f"req.cook({argument(f'{name}-{number}')})") for number in range(SHARDS)]
    whole = "".join(f",concat(,txn.c{number},)" for number in range(1, SHARDS))
    keys = (front.session_key, *front.older_session_keys)
    # Configurations lie on a disk, and are shown to whoever looks into a problem: the keys stand in a file of their own.
    table = files.table({str(number): key for number, key in enumerate(keys)})
    opened = quoted("var(txn.sealed),field(3,.),b64dec,aes_gcm_dec(256,txn.nonce,txn.key,txn.tag)")
    is_in = "{ var(txn.session) -m found }"
    known = f"{{ var(txn.session),field(2,|) -m str {realm(config)} }}"
    lines = [
        f"http-request set-var(txn.sealed) {shards[0]} if {when}",
        *(f"http-request set-var(txn.c{number}) {shards[number]} if {when}" for number in range(1, SHARDS)),
        f"http-request set-var(txn.sealed) var(txn.sealed){whole} if {when}",
        # HAProxy compares as many bytes of a tag as it is given: of one byte, every 256th guess would be right.
        f"http-request unset-var(txn.sealed) if {when} !{{ var(txn.sealed) -m reg {_SEAL} }}",
        f"http-request set-var(txn.nonce) var(txn.sealed),field(1,.) if {when}",
        f"http-request set-var(txn.tag) var(txn.sealed),field(2,.) if {when}",
        *(
            line
            for number in range(len(keys))
            for line in (
                f"http-request set-var(txn.key) {quoted(f'str({number}),map({argument(table)})')} if {when} !{is_in}",
                f"http-request set-var(txn.session) {opened} if {when} !{is_in}",
            )
        ),
        f"http-request unset-var(txn.key) if {when}",
        f"http-request set-var(txn.now) date if {when}",
        f"http-request set-var(txn.left) var(txn.session),field(3,|),sub(txn.now) if {when} {known}",
        f"http-request unset-var(txn.session) if {when} !{{ var(txn.left) -m int gt 0 }}",
        f"http-request set-var(txn.due) var(txn.session),field(4,|),sub(txn.now) if {when} {is_in}",
        f"http-request set-var(txn.ask) {_ask('refresh', arn, front)} if {when} {is_in} {{ var(txn.due) -m int le 0 }} "
        # A session goes on as it is where nobody can renew it, and for what a login's answer cannot stand in for.
        f"{{ nbsrv({AUTHENTICATION}) gt 0 }} !{_AGAIN} !{{ req.hdr(upgrade) -m found }}",
        *(
            f"http-request set-header {header} %[var(txn.session),field({number},|),url_dec] if {when} {is_in}"
            for number, header in ((5, "X-Amzn-Oidc-Identity"), (6, "X-Amzn-Oidc-Accesstoken"), (7, "X-Amzn-Oidc-Data"))
        ),
    ]
    match config.on_unauthenticated_request:
        case "deny":
            lines.append(error(401, "Authorization Required", f" if {when} !{is_in}"))
        case "allow":
            pass
        case _:
            lines.append(f"http-request set-var(txn.ask) {_ask('authenticate', arn, front)} if {when} !{is_in}")
    return lines


class KeyFiles:
    """Where the public keys of token issuers lie, each in a file of its own named by what is in it; and tables of secret ones."""

    def __init__(self, directory: str, files: dict[str, bytes]) -> None:
        self._directory = directory
        self._files = files

    def path(self, pem: bytes) -> str:
        path = f"{self._directory}/{hashlib.sha256(pem).hexdigest()[:32]}.pem"
        self._files[path] = pem
        return path

    def table(self, keys: Mapping[str, str]) -> str:
        """A map of HAProxy's."""
        content = "".join(f"{name} {key}\n" for name, key in keys.items()).encode()
        path = f"{self._directory}/{hashlib.sha256(content).hexdigest()[:32]}.keys"
        self._files[path] = content
        return path


def _jwt(config: shapes.JwtValidationActionConfig, when: str, arn: str, front: Front, files: KeyFiles) -> list[str]:
    keys = front.token_keys.get(config.jwks_endpoint, ())
    named = [quoted(key.kid) for key in keys if key.kid]
    is_known = f"{{ var(txn.kid) -m str -- {' '.join(named)} }}" if named else ""
    # A key that has come up since: whoever names it is kept waiting until it is here.
    elsewhere = f"http-request set-var(txn.ask) {_ask('keys', arn, front)} if {when} {{ nbsrv({AUTHENTICATION}) gt 0 }} !{_AGAIN}"
    if keys:
        elsewhere += f" {{ var(txn.kid) -m found }}{f' !{is_known}' if is_known else ''}"
    lines = [
        f"http-request set-var(txn.jwt) http_auth_bearer if {when}",
        _refused(when, "!{ var(txn.jwt) -m len gt 0 }"),
        f"http-request set-var(txn.alg) {_header('alg')} if {when}",
        f"http-request set-var(txn.kid) {_header('kid')} if {when}",
        _refused(when, "!{ var(txn.alg) -m str RS256 }"),
        elsewhere,
    ]
    if not keys:
        return [*lines, error(500, "Internal Server Error", f" if {when} !{{ var(txn.ask) -m found }}")]
    for key in keys:
        proof = f"{{ {quoted(f'var(txn.jwt),jwt_verify(RS256,{argument(files.path(key.pem))})')} -m int 1 }}"
        if key.kid:
            lines.append(f"http-request set-var(txn.proved) int(1) if {when} {{ var(txn.kid) -m str -- {quoted(key.kid)} }} {proof}")
        # Who names no key, and a key without a name: each is tried.
        unnamed = "!{ var(txn.kid) -m found }" if key.kid else ""
        lines.append(
            f"http-request set-var(txn.proved) int(1) if {when} !{{ var(txn.proved) -m found }} {unnamed} {proof}".replace("  ", " ")
        )
    here = f"{when} !{{ var(txn.ask) -m found }}"
    lines += [
        _refused(here, "!{ var(txn.proved) -m found }"),
        f"http-request set-var(txn.iss) {_claim('iss')} if {here}",
        _refused(here, f"!{{ var(txn.iss) -m str -- {quoted(config.issuer)} }}"),
        f"http-request set-var(txn.now) date if {here}",
    ]
    for name in ("exp", "nbf", "iat"):
        lines.append(f"http-request set-var(txn.{name}) {_claim(name, 'int')} if {here}")
        lines.append(f"http-request set-var(txn.{name}) var(txn.{name}),sub(txn.now) if {here} {{ var(txn.{name}) -m found }}")
    lines += [
        _refused(here, "!{ var(txn.exp) -m int gt 0 }"),
        _refused(here, "{ var(txn.nbf) -m int gt 0 }"),
        _refused(here, "{ var(txn.iat) -m int gt 0 }"),
    ]
    for claim in config.additional_claims or ():
        lines += _claim_lines(claim, here)
    return lines


def _refused(when: str, unless: str) -> str:
    return error(401, "Authorization Required", f" if {when} {unless}")


def _header(name: str) -> str:
    return quoted(f"var(txn.jwt),jwt_header_query({argument('$.' + name)})")


def _claim(name: str, as_: str = "") -> str:
    return quoted(f"var(txn.jwt),jwt_payload_query({argument('$.' + name)}{',' + argument(as_) if as_ else ''})")


def _claim_lines(claim: shapes.JwtValidationActionAdditionalClaim, when: str) -> list[str]:
    """Every value that is asked for must be there."""
    lines: list[str] = []
    if claim.format == "string-array":
        for number in range(_MOST_ELEMENTS):
            lines.append(f"http-request set-var(txn.e{number}) {_claim(f'{claim.name}[{number}]')} if {when}")
        for value in claim.values:
            # An access list of several lines holds when any does.
            name = f"e_{hashlib.sha256(value.encode()).hexdigest()[:24]}"
            lines += [f"acl {name} var(txn.e{number}) -m str -- {quoted(value)}" for number in range(_MOST_ELEMENTS)]
            lines.append(_refused(when, f"!{name}"))
        return lines
    lines.append(f"http-request set-var(txn.claim) {_claim(claim.name)} if {when}")
    if claim.format == "space-separated-values":
        lines.append(f"http-request set-var(txn.claim) {quoted('str( ),concat(,txn.claim, )')} if {when} {{ var(txn.claim) -m found }}")
        lines += [_refused(when, f"!{{ var(txn.claim) -m sub -- {quoted(f' {value} ')} }}") for value in claim.values]
    else:
        lines += [_refused(when, f"!{{ var(txn.claim) -m str -- {quoted(value)} }}") for value in claim.values]
    return lines

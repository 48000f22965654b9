"""Who is at the door, which repository is meant, and whether the one may do that with the other.

Nothing here needs an HTTP library's request: a header's value, a host and an `Origin` are enough, whoever read them. A token
that was looked at once is known again by its header, but whose it is *now* is asked anew whenever anything was written, and
once a second: it is worth nothing from the moment its access key or its user is gone, or soon after the key itself has expired.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aiohttp import web

from longshore.aws.image_names import registry_host, registry_in_path
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys, era_of
from longshore.registry.errors import Denied, NameInvalid, Unauthorized
from longshore.services.call import Principal, Site
from longshore.services.ecr.names import RepositoryId, is_repository_name, repository_arn
from longshore.services.ecr.tokens import USER_NAME, Token, TokenInvalid, read_token
from longshore.services.sts.model import Began
from longshore.store.base import Store


class Authorise(Protocol):
    """Why `principal` may not do `action` to `resource`, or None."""

    def __call__(
        self, principal: Principal, action: str, resource: str, *, region: str, source_ip: str, secure: bool, user_agent: str
    ) -> str | None: ...


#: access key id, or session token -> whose it is now; None for what is unknown, inactive or ended
Owner = Callable[[str], Principal | None]
#: whether what was begun so has been ended before its time
Ended = Callable[[tuple[Began, ...]], bool]

#: tokens known again by their header, and how long such a header may be: what is made here has some 400 characters, 1,400 for sessions
_MOST_KNOWN, _LONGEST_KNOWN = 4096, 2048
_ASKED_EVERY_S = 1.0


class Origin(NamedTuple):
    """How a request came here, as far as policies may ask about it (aws:SourceIp, aws:SecureTransport, aws:UserAgent)."""

    source_ip: str
    secure: bool
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: by whom, and about which repository."""

    request: web.BaseRequest
    principal: Principal
    repository: RepositoryId
    #: the repository as the path has it; paths that are handed out begin with it
    name: str
    #: digest, tag or upload, as the path has it
    reference: str

    @property
    def base(self) -> str:
        return f"/v2/{self.name}"

    @property
    def origin(self) -> Origin:
        return origin_of(self.request)


def origin_of(request: web.BaseRequest) -> Origin:
    return Origin(request.remote or "", request.secure, request.headers.get("User-Agent", ""))


class _Known:
    """A good token, and whose it was at `asked_at`, when `revision` was the store's."""

    __slots__ = ("asked_at", "era", "owner", "revision", "token")

    def __init__(self, token: Token, era: int) -> None:
        self.token = token
        #: of the secrets it was checked with
        self.era = era
        self.owner: Principal | None = None
        self.revision = -1
        self.asked_at = 0.0


class Access:
    def __init__(
        self,
        *,
        store: Store,
        site: Site,
        clock: Clock,
        secret: Keys,
        authorise: Authorise,
        owner: Owner,
        ended: Ended = lambda links: False,
    ) -> None:
        self._store = store
        self._site = site
        self._clock = clock
        self._secret = secret
        self._authorise = authorise
        self._owner = owner
        self._ended = ended
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def identify(self, authorization: str, scheme: str, host: str) -> Principal:
        """Whose token stands in the Authorization header: who that is now, under the name it has now.

        Raises Unauthorized with ECR's challenge, which names `scheme` and `host` as the client knows them, and Denied for a
        token that has expired.
        """
        known, era = self._known.get(authorization), era_of(self._secret)
        if known is None or known.era != era:
            known = self._read(authorization, scheme, host)
        token, now = known.token, self._clock.now()
        if now >= token.expires_at:
            self._known.pop(authorization, None)
            raise Denied("Your authorization token has expired. Reauthenticate and try again.")
        revision = self._store.revision
        if known.revision != revision or not 0 <= now - known.asked_at < _ASKED_EVERY_S:
            owner = self._owner(token.credential) if not self._ended(token.made_with) else None
            # The id, not the name: who was renamed is the same, who was deleted and made again is somebody else.
            known.owner = owner if owner is not None and (owner.account_id, owner.user_id) == (token.account_id, token.user_id) else None
            known.revision, known.asked_at = revision, now
        if known.owner is None:
            raise Unauthorized(
                "the access key that this authorization token was made with is no longer active: log in again",
                headers=_challenge(scheme, host),
            )
        return known.owner

    def _read(self, authorization: str, scheme: str, host: str) -> _Known:
        """Basic authentication with a token of GetAuthorizationToken. Raises Unauthorized."""
        method, _, encoded = authorization.partition(" ")
        if method.lower() != "basic":
            raise Unauthorized(headers=_challenge(scheme, host))
        try:
            user, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError:  # what is not base 64, not ASCII before, or not UTF-8 after
            raise Unauthorized("the Authorization header cannot be read", headers=_challenge(scheme, host)) from None
        if user != USER_NAME:
            raise Unauthorized(
                f"the user name must be {USER_NAME}, the password one of `aws ecr get-login-password`", headers=_challenge(scheme, host)
            )
        try:
            known = _Known(read_token(self._secret, password), era_of(self._secret))
        except TokenInvalid:
            raise Unauthorized(
                "the authorization token is not one of this registry: log in again", headers=_challenge(scheme, host)
            ) from None
        if len(authorization) <= _LONGEST_KNOWN:
            self._known[authorization] = known
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return known

    @property
    def remembered(self) -> int:
        """How many tokens are known again without being read."""
        return len(self._known)

    def registry(self, host: str) -> tuple[str, str]:
        """(account, region) that the host name says; this installation's own for a bare address."""
        found = registry_host(host)
        return (found.account_id, found.region) if found else (self._site.account_id, self._site.region)

    def repository(self, host: str, name: str) -> RepositoryId:
        """`name` as in a path or in `from`: it may begin with account and region. Raises NameInvalid."""
        account_id, region = self.registry(host)
        prefixed = registry_in_path(name)
        if prefixed is not None:
            account_id, region, name = prefixed
        if not is_repository_name(name):
            raise NameInvalid(f"invalid repository name: {name[:100]!r}")
        return RepositoryId(region, account_id, name)

    def require(self, visit: Visit, *actions: str) -> None:
        """One of `actions` (IAM's, without the prefix) must be allowed. Raises Denied in the words about the first."""
        origin = visit.origin
        first = None
        for action in actions:
            refusal = self.refusal(visit.principal, visit.repository, action, origin)
            if refusal is None:
                return
            first = first or refusal
        raise Denied(first)

    def require_catalog(self, principal: Principal, account_id: str, region: str, origin: Origin) -> None:
        refusal = self._authorise(
            principal, "ecr:DescribeRepositories", repository_arn(region, account_id, "*"), region=region, **origin._asdict()
        )
        if refusal is not None:
            raise Denied(refusal)

    def refusal(self, principal: Principal, repository: RepositoryId, action: str, origin: Origin) -> str | None:
        """Why `principal` may not; None when it may."""
        return self._authorise(
            principal,
            f"ecr:{action}",
            repository.arn,
            region=repository.region,
            source_ip=origin.source_ip,
            secure=origin.secure,
            user_agent=origin.user_agent,
        )


def _challenge(scheme: str, host: str) -> dict[str, str]:
    """The form ECR's own registry uses: clients answer it with Basic at once, without asking for a token elsewhere."""
    return {"WWW-Authenticate": f'Basic realm="{scheme}://{_printable(host)}/",service="ecr.amazonaws.com"'}


def _printable(host: str) -> str:
    """A Host header as it may stand in a header of ours."""
    return re.sub(r"[^A-Za-z0-9.:\[\]_-]", "", host)[:255]

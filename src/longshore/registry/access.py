"""Who is at the door, which repository is meant, and whether the one may do that with the other."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from longshore.kit.clock import Clock
from longshore.registry.errors import Denied, NameInvalid, Unauthorized
from longshore.services.call import Principal, Site
from longshore.services.ecr.names import RepositoryId, is_repository_name, repository_arn
from longshore.services.ecr.tokens import USER_NAME, TokenExpired, TokenInvalid, principal_of

#: (principal, action, resource ARN) -> why not, or None
Authorise = Callable[[Principal, str, str], str | None]

_REGISTRY = r"([0-9]{12})\.dkr[.-]ecr\.([a-z]{2,}(?:-[a-z]+)+-[0-9]+)"
_HOST = re.compile(rf"{_REGISTRY}\..+")
_PREFIXED = re.compile(rf"{_REGISTRY}/(.+)")


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


class Access:
    def __init__(self, *, site: Site, clock: Clock, secret: bytes, authorise: Authorise) -> None:
        self._site = site
        self._clock = clock
        self._secret = secret
        self._authorise = authorise

    def identify(self, request: web.BaseRequest) -> Principal:
        """Basic authentication with a token of GetAuthorizationToken. Raises Unauthorized, and Denied for one that has expired."""
        # The form ECR's own registry uses: clients answer it with Basic at once, without asking for a token elsewhere.
        challenge = {"WWW-Authenticate": f'Basic realm="{request.scheme}://{_printable(request.host)}/",service="ecr.amazonaws.com"'}
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise Unauthorized(headers=challenge)
        try:
            user, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError:  # what is not base 64, not ASCII before, or not UTF-8 after
            raise Unauthorized("the Authorization header cannot be read", headers=challenge) from None
        if user != USER_NAME:
            raise Unauthorized(f"the user name must be {USER_NAME}, the password one of `aws ecr get-login-password`", headers=challenge)
        try:
            return principal_of(self._secret, password, self._clock.now())
        except TokenInvalid:
            raise Unauthorized("the authorization token is not one of this registry: log in again", headers=challenge) from None
        except TokenExpired:
            raise Denied("Your authorization token has expired. Reauthenticate and try again.") from None

    def registry(self, request: web.BaseRequest) -> tuple[str, str]:
        """(account, region) that the host name says; this installation's own for a bare address."""
        found = _HOST.fullmatch(request.host.lower())
        return (found[1], found[2]) if found else (self._site.account_id, self._site.region)

    def repository(self, request: web.BaseRequest, name: str) -> RepositoryId:
        """`name` as in a path or in `from`: it may begin with account and region. Raises NameInvalid."""
        account_id, region = self.registry(request)
        prefixed = _PREFIXED.fullmatch(name)
        if prefixed is not None:
            account_id, region, name = prefixed[1], prefixed[2], prefixed[3]
        if not is_repository_name(name):
            raise NameInvalid(f"invalid repository name: {name[:100]!r}")
        return RepositoryId(region, account_id, name)

    def require(self, visit: Visit, *actions: str) -> None:
        """One of `actions` (IAM's, without the prefix) must be allowed. Raises Denied in the words about the first."""
        refusals = [self.refusal(visit.principal, visit.repository, action) for action in actions]
        if None not in refusals:
            raise Denied(refusals[0])

    def require_catalog(self, principal: Principal, account_id: str, region: str) -> None:
        refusal = self._refusal(principal, account_id, "ecr:DescribeRepositories", repository_arn(region, account_id, "*"))
        if refusal is not None:
            raise Denied(refusal)

    def refusal(self, principal: Principal, repository: RepositoryId, action: str) -> str | None:
        """Why `principal` may not; None when it may."""
        return self._refusal(principal, repository.account_id, f"ecr:{action}", repository.arn)

    def _refusal(self, principal: Principal, account_id: str, action: str, resource: str) -> str | None:
        if principal.account_id != account_id:
            # Only a repository policy could open another account's registry, and none is kept yet.
            return (
                f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} "
                f"because no resource-based policy allows the {action} action"
            )
        return self._authorise(principal, action, resource)


def _printable(host: str) -> str:
    """A Host header as it may stand in a header of ours."""
    return re.sub(r"[^A-Za-z0-9.:\[\]_-]", "", host)[:255]

"""Whose request it is: the signature checked against the key it names, or against the session whose token comes with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from longshore.aws.canonical import canonical_pairs
from longshore.aws.sigv4 import ExpiredToken, Secret, SignedRequest, verify
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.services.call import Principal, Site
from longshore.services.ecs.bound_sessions import lives
from longshore.services.iam.identities import Credentials, find_credentials, root_principal
from longshore.services.sts.model import Began
from longshore.services.sts.revocations import has_ended
from longshore.services.sts.sessions import TOKEN_PREFIX, Claims, Sessions
from longshore.store.base import Store

#: the keys that --dev mode accepts as the root of the default account, secret the same as the id
DEV_KEY = "test"


@dataclass(frozen=True, slots=True)
class Identified:
    principal: Principal
    #: region and service of the signature's credential scope
    region: str
    service: str


class Identities:
    """Looks keys and sessions up, the well-known key of --dev mode among them.

    `secret` is the installation's, which session tokens are sealed with; without it there are no sessions.
    """

    def __init__(self, store: Store, clock: Clock, site: Site, secret: Keys | None = None) -> None:
        self._store = store
        self._clock = clock
        self._dev = Credentials(Secret(DEV_KEY), root_principal(site.account_id, DEV_KEY)) if site.dev else None
        self._sessions = Sessions(store, secret, self.credentials, lives) if secret is not None else None

    def credentials(self, access_key_id: str) -> Credentials | None:
        """Of a long-lived key."""
        if self._dev is not None and access_key_id == DEV_KEY:
            return self._dev
        return find_credentials(self._store, access_key_id)

    def _of_session(self, token: str) -> Credentials | None:
        return self._sessions.credentials(token) if self._sessions is not None else None

    def has_ended(self, links: Iterable[Began]) -> bool:
        """Whether what was begun so has been ended before its time."""
        return has_ended(self._store, links)

    def owner(self, credential: str) -> Principal | None:
        """Whose access key id, or session token, it is; None for what is unknown, inactive or expired."""
        if not credential.startswith(TOKEN_PREFIX):
            found = self.credentials(credential)
            return found.principal if found else None
        found = self._of_session(credential)
        expires_at = found.secret.expires_at if found else None
        return found.principal if found and expires_at is not None and self._clock.now() < expires_at else None

    def claims_of(self, request: ApiRequest) -> Claims:
        """Of a request signed with a session, which may have ended: for renewing it alone. Raises what sigv4.verify raises."""
        token = _session_token(request)
        claims = self._sessions.claims(token) if token is not None and self._sessions is not None else None

        def look_up(access_key_id: str) -> Secret | None:
            if claims is None or claims.access_key_id != access_key_id:
                return None
            return Secret(claims.secret_access_key, token)

        verify(SignedRequest(request.method, request.path, request.query, request.pairs, request.body), look_up, self._clock.now())
        assert claims is not None  # verify refuses keys that are not found
        if has_ended(self._store, claims.links):
            raise ExpiredToken
        return claims

    def identify(self, request: ApiRequest) -> Identified:
        """Raises what sigv4.verify raises: a request without a good signature gets no further."""
        found: Credentials | None = None
        token = _session_token(request)

        def look_up(access_key_id: str) -> Secret | None:
            nonlocal found
            found = self.credentials(access_key_id) if token is None else self._of_session(token)
            if found is None or found.principal.access_key_id != access_key_id:
                return None
            return found.secret

        signed = SignedRequest(request.method, request.path, request.query, request.pairs, request.body)
        identity = verify(signed, look_up, self._clock.now())
        assert found is not None  # verify refuses keys that are not found
        return Identified(found.principal, identity.region, identity.service)


def _session_token(request: ApiRequest) -> str | None:
    """The token that comes with a request: where its signature stands, or in the header. What is read here and what verify reads
    cannot differ: it compares its own with the one of the credentials that are found by this."""
    if "authorization" not in request.headers and "X-Amz-Security-Token=" in request.query:
        for name, _, value in canonical_pairs(request.query):
            if name == "X-Amz-Security-Token":
                return unquote(value)
    return request.headers.get("x-amz-security-token")

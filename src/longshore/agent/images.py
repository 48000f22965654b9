"""Getting images here: as seldom as is correct, once for all who want the same one, with the registry's credentials.

An image named by digest that is here is the right one. A tag may have moved, so its registry is asked for the digest it has
now, which is one cheap request, and only a different one is pulled; when the registry cannot be asked, what is here serves
(the stock agent's default behaviour: pull, and fall back on the image that is there). An image that was built here and never
came from a registry is used as it is.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from longshore.agent import messages
from longshore.agent.api import CallRefused, PlatformUnreachable, RegistryToken
from longshore.agent.journal import Journal, PulledImage
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.runtime.base import LocalImage, NoSuchImage, NotAllowed, RegistryAuth, Runtime, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger("longshore.agent")

#: how long a registry has to say which digest it has, when there is an image here to fall back on
ASK_S = 5.0
#: an answer of a registry holds for so long, so that tasks started together ask once
FRESH_S = 2.0
#: and one that did not answer is left alone for so long
UNREACHABLE_S = 60.0
PULL_ATTEMPTS = 4
#: how exactly it is written down when an image was last used
USE_NOTED_S = 60.0
#: a token is replaced when it has less than this left
TOKEN_MARGIN_S = 1800.0
#: tokens kept at once
MOST_TOKENS = 256
#: what the engine takes for an image: [HOST[:PORT]/]PATH[:TAG][@DIGEST]. Names end up in paths of its API, so anything else stays out.
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-f]{32,128})?"
)


class CannotPull(Exception):
    """An image cannot be had; `reason` begins with the name the stock agent gives the failure."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.reason = f"{name}: {text}"


class Tokens(Protocol):
    async def registry_token(self, registry_id: str, region: str, acting_as: messages.RoleCredentials | None = None) -> RegistryToken: ...


class Ready(msgspec.Struct, frozen=True):
    """An image that can be run."""

    #: the name to create containers with
    reference: str
    id: str
    #: the registry's digest; "" when it came from none
    digest: str


class Login(NamedTuple):
    """How a registry of ours is logged in to."""

    registry_id: str
    region: str
    as_execution_role: bool
    #: what to ask with; None: as the agent itself
    role: messages.RoleCredentials | None
    #: of another registry: told by the task's owner in a secret
    private: RegistryAuth | None = None


class Images:
    def __init__(self, runtime: Runtime, tokens: Tokens, journal: Journal, clock: Clock, ids: Ids) -> None:
        self._runtime = runtime
        self._tokens = tokens
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._under_way: dict[tuple[str, Login | None], asyncio.Task[Ready]] = {}
        self._kept_tokens: dict[tuple[str, str, str], RegistryToken] = {}
        self._asked: dict[str, tuple[float, str]] = {}
        self._unreachable: dict[str, float] = {}

    async def get(
        self,
        image: str,
        authentication: messages.RegistryAuthentication | None,
        execution_role: messages.RoleCredentials | None = None,
        private: RegistryAuth | None = None,
    ) -> Ready:
        """Raises CannotPull, or RuntimeUnavailable. Whoever wants the same image meanwhile, with the same rights, gets the same answer.

        With its execution role, where the task has one, an agent asks for what is pulled on the task's behalf.
        """
        reference = engine_reference(image)
        login = Login("", "", False, None, private) if private is not None else _login(authentication, execution_role)
        key = (reference, login)
        job = self._under_way.get(key)
        if job is None:
            job = asyncio.create_task(self._get(reference, login), name=f"image:{reference}")
            self._under_way[key] = job
            job.add_done_callback(self._done(key))
        return await asyncio.shield(job)

    async def close(self) -> None:
        jobs = list(self._under_way.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _done(self, key: tuple[str, Login | None]) -> Callable[[asyncio.Task[Ready]], None]:
        def forget(job: asyncio.Task[Ready]) -> None:
            self._under_way.pop(key, None)
            if not job.cancelled():
                job.exception()  # those who wait for it have it

        return forget

    async def _get(self, reference: str, login: Login | None) -> Ready:
        if not _REFERENCE.fullmatch(reference):
            raise CannotPull("CannotPullContainerError", f"{reference}: invalid reference format")
        here = await self._runtime.image(reference)
        if here is not None and await self._is_current(reference, here, login):
            return self._ready(reference, here)
        try:
            await self._pull(reference, login)
        except CannotPull as error:
            if here is None:
                raise
            log.warning("%s: %s; the image that is here is used", reference, error)
            return self._ready(reference, here)
        found = await self._runtime.image(reference)
        if found is None:
            raise CannotPull("CannotPullContainerError", f"{reference} was pulled and is not there")
        self._journal.keep_image(PulledImage(found.id, reference, self._clock.now()))
        return self._ready(reference, found)

    def _ready(self, reference: str, image: LocalImage) -> Ready:
        pulled, now = self._journal.images.get(image.id), self._clock.now()
        if pulled is not None and now - pulled.used_at > USE_NOTED_S:
            self._journal.keep_image(PulledImage(image.id, reference, now))
        return Ready(reference, image.id, digest_of(reference, image))

    async def _is_current(self, reference: str, here: LocalImage, login: Login | None) -> bool:
        """Whether the registry, if it can be asked, has just what is here."""
        if "@" in reference or not digest_of(reference, here):
            return True
        registry = registry_of(reference)
        if self._clock.now() < self._unreachable.get(registry, 0.0):
            return True
        try:
            return await self._registry_digest(reference, login) in {digest.partition("@")[2] for digest in here.digests}
        except (RuntimeFailure, CannotPull, TimeoutError) as error:
            if isinstance(error, RuntimeUnavailable):
                raise
            if not isinstance(error, NoSuchImage | NotAllowed):
                self._unreachable[registry] = self._clock.now() + UNREACHABLE_S
            log.warning("%s: its registry does not tell the digest, the image that is here is used: %s", reference, error or "no answer")
            return True

    async def _registry_digest(self, reference: str, login: Login | None) -> str:
        asked_at, digest = self._asked.get(reference, (0.0, ""))
        if self._clock.now() - asked_at >= FRESH_S:
            auth = await self._auth(login)
            async with asyncio.timeout(ASK_S):
                digest = await self._runtime.registry_digest(reference, auth)
            self._asked[reference] = (self._clock.now(), digest)
        return digest

    async def _pull(self, reference: str, login: Login | None) -> None:
        """Tries again what may pass; what the registry refuses, it refuses."""
        for attempt in range(PULL_ATTEMPTS):
            auth = await self._auth(login)
            try:
                return await self._runtime.pull(reference, auth)
            except RuntimeUnavailable:
                raise
            except NotAllowed as error:
                self._kept_tokens.clear()
                raise CannotPull("CannotPullContainerError", f"Error response from daemon: {error}") from error
            except RuntimeFailure as error:
                if isinstance(error, NoSuchImage) or attempt + 1 == PULL_ATTEMPTS:
                    raise CannotPull("CannotPullContainerError", f"Error response from daemon: {error}") from error
                log.warning("%s: pull failed, another try follows: %s", reference, error)
                await self._clock.sleep(backoff_s(attempt, self._ids.fraction(), first_s=0.5))

    async def _auth(self, login: Login | None) -> RegistryAuth | None:
        if login is None or login.private is not None:
            return login.private if login is not None else None
        if login.as_execution_role and login.role is None:
            raise RuntimeUnavailable("the credentials of its execution role have not come yet")
        # a token is good for as long as who asked for it: the session of a role ends with its task
        key = (login.registry_id, login.region, login.role.access_key_id if login.role else "")
        token = self._kept_tokens.get(key)
        if token is None or token.expires_at - self._clock.now() < TOKEN_MARGIN_S:
            try:
                token = await self._tokens.registry_token(login.registry_id, login.region, login.role)
            except (CallRefused, PlatformUnreachable) as error:
                raise CannotPull("CannotPullECRContainerError", str(error)) from error
            if len(self._kept_tokens) >= MOST_TOKENS:
                self._kept_tokens.clear()
            self._kept_tokens[key] = token
        return token.auth


def _login(authentication: messages.RegistryAuthentication | None, execution_role: messages.RoleCredentials | None) -> Login | None:
    if authentication is None or authentication.type != "ecr":
        return None
    given = authentication.ecr_auth_data or messages.EcrAuth()
    return Login(given.registry_id, given.region, given.use_execution_role, execution_role if given.use_execution_role else None)


def engine_reference(image: str) -> str:
    """The name the engine knows the image by.

    `ACCOUNT.dkr.ecr.REGION.localhost:PORT/…` is the platform's registry on this machine. Docker looks names up by DNS, where
    `*.localhost` need not be, so it is given the address that the name stands for, with which it also speaks plain HTTP.
    """
    host, slash, rest = image.partition("/")
    name, colon, port = host.partition(":")
    if slash and name.endswith(".localhost"):
        return f"127.0.0.1{colon}{port}/{rest}"
    return image


def registry_of(reference: str) -> str:
    host, slash, _ = reference.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"


def digest_of(reference: str, image: LocalImage) -> str:
    """The digest by which the image's own repository knows it; "" when it has none, as of an image that was built here."""
    name = reference.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    repository = f"{head}{slash}{tail.partition(':')[0]}"
    familiar = {repository, repository.removeprefix("docker.io/").removeprefix("library/")}
    return next((digest.partition("@")[2] for digest in image.digests if digest.partition("@")[0] in familiar), "")

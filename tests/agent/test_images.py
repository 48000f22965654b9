"""When an image is pulled, when its registry is asked, and with which credentials."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.agent import messages
from longshore.agent.api import CallRefused, RegistryToken
from longshore.agent.images import UNREACHABLE_S, CannotPull, Images, digest_of, engine_reference, registry_of
from longshore.agent.journal import Journal
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.runtime.base import LocalImage, NoSuchImage, NotAllowed, RegistryAuth, RuntimeFailure, RuntimeUnavailable
from longshore.runtime.fake import Behaviour, FakeRuntime

IMAGE = "127.0.0.1:4566/web:1"
OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
ECR = messages.RegistryAuthentication(type="ecr", ecr_auth_data=messages.EcrAuth(registry_id="000000000000", region="us-east-1"))


class Tokens:
    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str]] = []
        self.acted_as: list[str] = []
        self.refusal: CallRefused | None = None

    async def registry_token(self, registry_id: str, region: str, acting_as: messages.RoleCredentials | None = None) -> RegistryToken:
        self.asked.append((registry_id, region))
        self.acted_as.append(acting_as.role_arn if acting_as else "")
        if self.refusal is not None:
            raise self.refusal
        return RegistryToken(RegistryAuth("AWS", "secret", "http://e"), self.clock.now() + 43200)


class Registry(FakeRuntime):
    """Counts what it is asked."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__(clock, has_every_image=False)
        self.asked = 0
        self.auths: list[RegistryAuth | None] = []

    async def registry_digest(self, image: str, auth: RegistryAuth | None) -> str:
        self.asked += 1
        self.auths.append(auth)
        return await super().registry_digest(image, auth)

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        self.auths.append(auth)
        await super().pull(image, auth)

    @property
    def pulls(self) -> int:
        return [call for call, _ in self.calls].count("pull")


class Bench:
    def __init__(self, path: Path) -> None:
        self.clock = SteppedClock()
        self.registry = Registry(self.clock)
        self.tokens = Tokens(self.clock)
        self.journal = Journal.open(path)
        self.images = Images(self.registry, self.tokens, self.journal, self.clock, SeededIds())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    await made.images.close()
    made.journal.close()


@pytest.mark.parametrize(
    "name",
    ["http://x/y", "a/../../containers/json", "x/..", "x//y", "A/B", "x:tag:tag", f"x:{'t' * 200}", "x@sha256:zz", "x/", "x#y", "x:", "x@"],
)
async def test_what_is_no_reference_never_gets_to_the_engine(bench: Bench, name: str) -> None:
    with pytest.raises(CannotPull, match=r"^CannotPullContainerError: .*invalid reference format"):
        await bench.images.get(name, None)
    assert bench.registry.asked == bench.registry.pulls == 0


@pytest.mark.parametrize(
    "name",
    [
        "busybox",
        "longshore-test/busybox:1",
        IMAGE,
        f"127.0.0.1:4566/a__b/c.d-e---f@{OLD}",
        f"x:1@{OLD}",
        "Registry.example.com/x",
        "489c36cce433",
        OLD,
        "localhost/x:latest",
        "x:1-A_b.c",
    ],
)
async def test_every_form_of_a_reference_does(bench: Bench, name: str) -> None:
    bench.registry.publish(name, OLD)
    assert (await bench.images.get(name, None)).reference == name


async def test_what_is_not_here_is_pulled_once_for_all_who_want_it(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    ready = await asyncio.gather(*(bench.images.get(IMAGE, None) for _ in range(5)))
    assert {one.digest for one in ready} == {OLD}
    assert bench.registry.pulls == 1 and bench.registry.asked == 0
    assert [image.reference for image in bench.journal.images.values()] == [IMAGE]


async def test_a_tag_that_has_not_moved_is_not_pulled_again(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    await bench.images.get(IMAGE, None)
    await bench.images.get(IMAGE, None)
    await bench.images.get(IMAGE, None)
    assert bench.registry.pulls == 1
    assert bench.registry.asked == 1  # the answer holds for a moment
    await bench.clock.step(10)
    await bench.images.get(IMAGE, None)
    assert bench.registry.asked == 2


async def test_a_tag_that_has_moved_is_pulled(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    await bench.images.get(IMAGE, None)
    bench.registry.publish(IMAGE, NEW)
    assert (await bench.images.get(IMAGE, None)).digest == NEW
    assert bench.registry.pulls == 2


async def test_a_digest_that_is_here_is_the_right_one(bench: Bench) -> None:
    named = f"127.0.0.1:4566/web@{OLD}"
    bench.registry.publish(named, OLD)
    await bench.images.get(named, None)
    await bench.images.get(named, None)
    assert (bench.registry.pulls, bench.registry.asked) == (1, 0)


async def test_a_registry_that_does_not_answer_is_left_alone_while_the_image_serves(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    await bench.images.get(IMAGE, None)
    bench.registry.behave(IMAGE, Behaviour(pull_failure=RuntimeFailure("connection refused")))
    await bench.clock.step(10)
    for _ in range(3):
        assert (await bench.images.get(IMAGE, None)).digest == OLD
    assert bench.registry.asked == 1
    bench.registry.behave(IMAGE, Behaviour())
    bench.registry.publish(IMAGE, NEW)
    await bench.clock.step(UNREACHABLE_S)
    assert (await bench.images.get(IMAGE, None)).digest == NEW


async def test_what_may_pass_is_tried_again_and_then_named(bench: Bench) -> None:
    bench.registry.behave(IMAGE, Behaviour(pull_failure=RuntimeFailure("dial tcp 127.0.0.1:4566: connection refused")))
    waiting = asyncio.create_task(bench.images.get(IMAGE, None))
    while not waiting.done():
        await bench.clock.step(1)
        await asyncio.sleep(0)
    with pytest.raises(CannotPull, match="CannotPullContainerError: Error response from daemon: dial tcp"):
        await waiting
    assert bench.registry.pulls == 4


@pytest.mark.parametrize("failure", [NoSuchImage("manifest unknown"), NotAllowed("no basic auth credentials")])
async def test_what_the_registry_refuses_is_not_tried_again(bench: Bench, failure: RuntimeFailure) -> None:
    bench.registry.behave(IMAGE, Behaviour(pull_failure=failure))
    with pytest.raises(CannotPull, match=str(failure)):
        await bench.images.get(IMAGE, None)
    assert bench.registry.pulls == 1


async def test_the_registrys_token_is_asked_for_once_until_it_nears_its_end(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    await bench.images.get(IMAGE, ECR)
    await bench.images.get(IMAGE, ECR)
    assert bench.tokens.asked == [("000000000000", "us-east-1")]
    assert {auth.username for auth in bench.registry.auths if auth} == {"AWS"} and None not in bench.registry.auths
    await bench.clock.step(43200 - 1000)
    await bench.images.get(IMAGE, ECR)
    assert len(bench.tokens.asked) == 2


def role(name: str, key: str) -> messages.RoleCredentials:
    return messages.RoleCredentials(credentials_id=f"id-{key}", role_arn=name, access_key_id=key, secret_access_key="s")


AS_ROLE = messages.RegistryAuthentication(type="ecr", ecr_auth_data=messages.EcrAuth(registry_id="000000000000", use_execution_role=True))


async def test_a_task_with_an_execution_role_pulls_with_it_and_each_session_with_a_token_of_its_own(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    for key in ("ASIA1", "ASIA1", "ASIA2"):
        await bench.images.get(IMAGE, AS_ROLE, role("pulls", key))
        await bench.clock.step(3.0)
    await bench.images.get(IMAGE, ECR, role("pulls", "ASIA3"))
    assert bench.tokens.acted_as == ["pulls", "pulls", ""], "what one session got must not serve another, nor a task without the role"


async def test_a_pull_waits_for_the_credentials_of_its_execution_role_and_never_falls_back_on_the_agents_own(bench: Bench) -> None:
    bench.registry.publish(IMAGE, OLD)
    with pytest.raises(RuntimeUnavailable, match="execution role have not come yet"):
        await bench.images.get(IMAGE, AS_ROLE, None)
    assert bench.tokens.asked == []


async def test_without_a_token_it_cannot_be_pulled(bench: Bench) -> None:
    bench.tokens.refusal = CallRefused("GetAuthorizationToken", "AccessDeniedException", "no", 400)
    with pytest.raises(CannotPull, match="CannotPullECRContainerError: GetAuthorizationToken: AccessDeniedException"):
        await bench.images.get(IMAGE, ECR)


def test_names_ending_in_localhost_become_the_address_they_stand_for() -> None:
    assert engine_reference("000000000000.dkr.ecr.us-east-1.localhost:4566/web:1") == "127.0.0.1:4566/web:1"
    assert engine_reference("web:1") == "web:1"
    assert engine_reference("library.example/web") == "library.example/web"


def test_registries_and_digests_are_told_from_names() -> None:
    assert [registry_of(name) for name in ("web", "a/web", "a.b/web", "localhost/web", "h:1/web")] == [
        "docker.io",
        "docker.io",
        "a.b",
        "localhost",
        "h:1",
    ]
    image = LocalImage("sha256:x", (f"h:1/web@{OLD}", f"nginx@{NEW}"))
    assert digest_of("h:1/web:1", image) == OLD
    assert digest_of("docker.io/library/nginx:1", image) == NEW
    assert digest_of("h:1/other:1", image) == ""


async def test_a_private_registry_is_given_the_credentials_of_whoever_asks_and_nobody_else_s(bench: Bench) -> None:
    image, mine, others = "registry.example/team/app:1", RegistryAuth("bob", "hush", "r"), RegistryAuth("eve", "guess", "r")
    bench.registry.publish(image, OLD)
    await asyncio.gather(bench.images.get(image, None, None, mine), bench.images.get(image, None, None, others))
    assert set(bench.registry.auths) == {mine, others} and bench.tokens.asked == []

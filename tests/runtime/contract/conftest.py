"""The same promises, kept by Docker Engine and by the fake: each runtime with an image that stays and one that ends."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.runtime.base import Runtime
from longshore.runtime.docker import DockerRuntime
from longshore.runtime.fake import Behaviour, FakeRuntime


class Engine:
    """A runtime and how to ask it for containers of a kind. Everything made with it carries `labels`."""

    def __init__(self, runtime: Runtime, image: str) -> None:
        self.runtime = runtime
        self.image = image
        self.mark = f"contract-{uuid.uuid4().hex[:12]}"
        self.labels = {"longshore.test": self.mark}

    def name(self, what: str = "one") -> str:
        return f"{self.mark}-{what}"

    def body(self, *, lives: bool = True, stubborn: bool = False, code: int = 0, **host: Any) -> dict[str, Any]:
        """A container that runs until it is stopped (with 0, or not listening), or one that ends with `code`."""
        if not lives:
            script = f"exit {code}"
        elif stubborn:
            script = "trap '' TERM; while true; do sleep 0.1; done"
        else:
            script = "trap 'exit 0' TERM; while true; do sleep 0.05; done"
        image = self.image
        if isinstance(self.runtime, FakeRuntime):
            image = f"fake:{lives}-{stubborn}-{code}"
            self.runtime.behave(image, Behaviour(exits_with=None if lives else code, stops_with=None if stubborn else 0))
        return {"Image": image, "Cmd": ["sh", "-c", script], "Labels": self.labels, "HostConfig": {"NetworkMode": "none", **host}}

    async def create(self, what: str = "one", **options: Any) -> str:
        return await self.runtime.create(self.name(what), self.body(**options))


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine("docker"))])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "fake":
        runtime = FakeRuntime()
        await runtime.pull("fake:image", None)
        yield Engine(runtime, "fake:image")
        return
    real = DockerRuntime(request.getfixturevalue("docker_url"))
    made = Engine(real, request.getfixturevalue("base_image"))
    try:
        yield made
    finally:
        for state in await real.containers(made.labels):
            await real.remove(state.id)
        await real.close()

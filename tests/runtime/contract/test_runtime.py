"""What every runtime promises."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from longshore.runtime.base import NameTaken, NoSuchContainer, RuntimeEvent, RuntimeFailure
from longshore.runtime.pause_image import archive
from tests.runtime.contract.conftest import Engine


async def test_a_container_goes_from_created_over_running_to_exited(engine: Engine) -> None:
    container_id = await engine.create()
    created = await engine.runtime.inspect(container_id)
    assert (created.status, created.exit_code, created.started_at) == ("created", None, None)
    assert created.name == engine.name() and created.labels.items() >= engine.labels.items()
    await engine.runtime.start(container_id)
    running = await engine.runtime.inspect(container_id)
    assert running.is_running and running.started_at is not None and abs(running.started_at - time.time()) < 60
    await engine.runtime.stop(container_id, 10)
    ended = await engine.runtime.inspect(container_id)
    assert ended.has_ended and ended.exit_code == 0
    assert ended.finished_at is not None and ended.finished_at >= running.started_at


async def test_inspect_knows_names_as_well(engine: Engine) -> None:
    container_id = await engine.create()
    assert (await engine.runtime.inspect(engine.name())).id == container_id


async def test_a_name_is_given_once(engine: Engine) -> None:
    await engine.create()
    with pytest.raises(NameTaken):
        await engine.create()


async def test_starting_what_runs_changes_nothing(engine: Engine) -> None:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    before = await engine.runtime.inspect(container_id)
    await engine.runtime.start(container_id)
    assert (await engine.runtime.inspect(container_id)).started_at == before.started_at


async def test_what_has_ended_can_be_started_again(engine: Engine) -> None:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    await engine.runtime.stop(container_id, 10)
    await engine.runtime.start(container_id)
    assert (await engine.runtime.inspect(container_id)).is_running


async def test_stopping_what_has_ended_changes_nothing(engine: Engine) -> None:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    await engine.runtime.stop(container_id, 10)
    await engine.runtime.stop(container_id, 10)
    assert (await engine.runtime.inspect(container_id)).exit_code == 0


async def test_what_does_not_listen_is_killed(engine: Engine) -> None:
    container_id = await engine.create(stubborn=True)
    await engine.runtime.start(container_id)
    await engine.runtime.stop(container_id, 0)
    assert (await engine.runtime.inspect(container_id)).exit_code == 137


async def test_the_exit_code_is_the_containers(engine: Engine) -> None:
    container_id = await engine.create(lives=False, code=42)
    events = engine.runtime.events(engine.labels)
    assert (await anext(events)).action == "connected"
    await engine.runtime.start(container_id)
    async with asyncio.timeout(20):
        while (await anext(events)).action != "die":
            pass
    assert (await engine.runtime.inspect(container_id)).exit_code == 42


async def test_removing_kills_and_may_be_repeated(engine: Engine) -> None:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    await engine.runtime.remove(container_id)
    await engine.runtime.remove(container_id)
    with pytest.raises(NoSuchContainer):
        await engine.runtime.inspect(container_id)


async def test_nothing_can_be_done_with_what_is_not_there(engine: Engine) -> None:
    for call in (engine.runtime.start("no-such"), engine.runtime.inspect("no-such"), engine.runtime.stop("no-such", 1)):
        with pytest.raises(NoSuchContainer):
            await call


async def test_containers_are_found_by_their_labels(engine: Engine) -> None:
    first, second = await engine.create("one"), await engine.create("two")
    await engine.runtime.start(second)
    found = await engine.runtime.containers(engine.labels)
    assert {state.id for state in found} == {first, second}
    assert await engine.runtime.containers({**engine.labels, "other": "label"}) == []


async def test_events_tell_of_the_labelled_containers_only(engine: Engine) -> None:
    events = engine.runtime.events(engine.labels)
    assert (await anext(events)).action == "connected"
    other = await engine.runtime.create(engine.name("other"), {**engine.body(), "Labels": {"longshore.test": "another"}})
    container_id = await engine.create()
    await engine.runtime.start(other)
    await engine.runtime.start(container_id)
    await engine.runtime.stop(container_id, 10)
    await engine.runtime.remove(other)
    await engine.runtime.remove(container_id)
    seen: list[RuntimeEvent] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1].action != "destroy":
            seen.append(await anext(events))
    assert {event.container_id for event in seen} == {container_id}
    told = [event.action for event in seen if event.action in ("start", "die", "destroy")]
    assert told == ["start", "die", "destroy"]
    assert seen[-1].labels.items() >= engine.labels.items()


async def test_ports_are_published_where_they_are_wanted(engine: Engine, free_port: Callable[..., int]) -> None:
    chosen = free_port("127.0.1.200")
    bindings = {
        "80/tcp": [{"HostIp": "127.0.1.200", "HostPort": ""}],
        "81/tcp": [{"HostIp": "127.0.1.200", "HostPort": str(chosen)}],
    }
    body = engine.body(NetworkMode="bridge", PortBindings=bindings)
    container_id = await engine.runtime.create(engine.name(), {**body, "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}})
    await engine.runtime.start(container_id)
    ports = {port.container_port: port for port in (await engine.runtime.inspect(container_id)).ports}
    assert ports[80].host_ip == "127.0.1.200" and ports[80].host_port > 1024
    assert (ports[81].host_port, ports[81].protocol) == (chosen, "tcp")


async def test_an_image_is_known_by_name_and_id(engine: Engine) -> None:
    found = await engine.runtime.image(engine.image)
    assert found is not None and found.id.startswith("sha256:")
    assert await engine.runtime.image(found.id) == found
    assert await engine.runtime.image("no-such-image:1") is None


async def test_removing_an_image_that_is_not_there_is_fine(engine: Engine) -> None:
    await engine.runtime.remove_image("no-such-image:1")


async def test_volumes_can_be_made_twice_and_removed_twice(engine: Engine) -> None:
    name = engine.name("volume")
    assert not await engine.runtime.has_volume(name)
    await engine.runtime.create_volume(name, "local", {}, engine.labels)
    await engine.runtime.create_volume(name, "local", {}, engine.labels)
    assert await engine.runtime.has_volume(name)
    await engine.runtime.remove_volume(name)
    await engine.runtime.remove_volume(name)


async def test_what_a_container_uses_only_grows(engine: Engine) -> None:
    container_id = await engine.create()
    await engine.runtime.start(container_id)
    first = await engine.runtime.usage(container_id)
    later = await engine.runtime.usage(container_id)
    assert later.at >= first.at and later.cpu_ns >= first.cpu_ns and later.cpus >= 1


async def test_what_does_not_run_uses_nothing(engine: Engine) -> None:
    container_id = await engine.create()
    with pytest.raises(NoSuchContainer):
        await engine.runtime.usage(container_id)
    await engine.runtime.start(container_id)
    await engine.runtime.stop(container_id, 10)
    with pytest.raises(NoSuchContainer):
        await engine.runtime.usage(container_id)


async def test_a_wrong_body_is_a_failure_in_words(engine: Engine) -> None:
    if engine.image.startswith("fake"):
        pytest.skip("the fake takes any body")
    with pytest.raises(RuntimeFailure, match=r"(?i)memory"):
        await engine.runtime.create(engine.name(), engine.body(Memory=1024))


async def test_the_engine_has_a_version(engine: Engine) -> None:
    assert await engine.runtime.version()


async def test_the_engine_says_what_it_can_do(engine: Engine) -> None:
    facts = await engine.runtime.facts()
    assert facts.api_minor >= 25 and "json-file" in facts.log_drivers and "local" in facts.volume_drivers


async def test_an_image_can_be_made_of_files(engine: Engine) -> None:
    name, content = f"longshore-test/{engine.mark}:1", archive(os.uname().machine)
    assert content is not None
    await engine.runtime.load_image(name, content)
    try:
        assert await engine.runtime.image(name) is not None
    finally:
        await engine.runtime.remove_image(name)


async def test_networks_can_be_made_twice_and_removed_twice(engine: Engine) -> None:
    name = engine.name("network")
    await engine.runtime.create_network(name, "10.213.7.0/28", engine.labels)
    try:
        await engine.runtime.create_network(name, "10.213.7.0/28", engine.labels)
        assert (await engine.runtime.subnets())[name] == ("10.213.7.0/28",)
    finally:
        await engine.runtime.remove_network(name)
        await engine.runtime.remove_network(name)
    assert name not in await engine.runtime.subnets()


async def test_containers_can_have_one_limit_together(engine: Engine) -> None:
    if not (await engine.runtime.facts()).limits_groups:
        assert await engine.runtime.create_group(engine.mark, 0.5, 64) == ""
        pytest.skip("no control groups can be made here")
    parent = await engine.runtime.create_group(engine.mark, 0.5, 64)
    try:
        assert await engine.runtime.create_group(engine.mark, 0.5, 64) == parent
        container_id = await engine.create(CgroupParent=parent)
        await engine.runtime.start(container_id)
        await engine.runtime.remove(container_id)
    finally:
        await engine.runtime.remove_group(engine.mark)
        await engine.runtime.remove_group(engine.mark)

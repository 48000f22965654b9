"""The agents' sockets: what an agent is told, how often, and what ends a session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.aws.shapes import ecs as shapes
from longshore.gateway.agents.control import HEARTBEAT_S, MOST_TASKS, REPEAT_S, SILENCE_S, forget_sessions
from longshore.gateway.agents.frames import read_frame
from longshore.gateway.agents.telemetry import health_reports
from longshore.kit.clock import SteppedClock
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.store.memory import memory_store
from tests.gateway.platform import INSTANCE, KINDS, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, open_socket, telemetry_url


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        await made.instance()
        await made.definition()
        yield made


# ── tasks go down ──


async def test_a_connecting_agent_hears_of_every_task_it_is_to_run_then_gets_the_manifest(platform: Platform) -> None:
    placed = [await platform.task(digit) for digit in (1, 2, 3)]
    await platform.advance(placed[2], "STOPPED")
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("TaskManifestMessage"))
        assert agent.told == [(placed[0], "RUNNING"), (placed[1], "RUNNING")]
        manifest = agent.of_type("TaskManifestMessage")[0]
        assert [(task["taskArn"], task["desiredStatus"]) for task in manifest["tasks"]] == agent.told
        assert agent.latest_sequence == manifest["timeline"], "the manifest would have been dropped as an old one"
        assert agent.misread == []


async def test_a_task_placed_later_is_told_at_once(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("TaskManifestMessage"))
        arn = await platform.task(1)
        await agent.until_told(arn, "RUNNING")


async def test_a_task_is_told_until_it_is_acknowledged(platform: Platform) -> None:
    arn = await platform.task(1)
    async with StockAgent(platform, acknowledges=False) as agent:
        await agent.until_told(arn, "RUNNING")
        await platform.clock.step(REPEAT_S)
        await agent.until_told(arn, "RUNNING", times=2)
        agent.acknowledges = True
        await platform.clock.step(REPEAT_S)
        await agent.until_told(arn, "RUNNING", times=3)
        await agent.settled()
        for _ in range(3):
            await platform.clock.step(REPEAT_S)
        await agent.settled()
        assert agent.told == [(arn, "RUNNING")] * 3


async def test_what_was_acknowledged_is_not_told_again_whatever_else_changes(platform: Platform) -> None:
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await platform.advance(arn, "RUNNING")
        await platform.clock.step(2 * REPEAT_S)
        await agent.settled()
        assert agent.told == [(arn, "RUNNING")]


async def test_a_task_is_not_told_to_stop_while_it_still_gets_traffic(platform: Platform) -> None:
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await platform.ask_to_stop(arn, "DEACTIVATING")
        await agent.settled()
        assert agent.told == [(arn, "RUNNING")]
        await platform.advance(arn, "STOPPING")
        await agent.until_told(arn, "STOPPED")
        assert agent.tasks == {arn: "STOPPED"}


async def test_a_task_that_drains_is_told_to_an_agent_that_comes_back_and_is_in_its_manifest(platform: Platform) -> None:
    arn = await platform.task(1)
    await platform.ask_to_stop(arn, "DEACTIVATING")
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await until(lambda: agent.of_type("TaskManifestMessage"))
        assert [task["taskArn"] for task in agent.of_type("TaskManifestMessage")[0]["tasks"]] == [arn]


async def test_a_stop_is_repeated_until_it_is_acknowledged_and_names_every_container(platform: Platform) -> None:
    arn = await platform.task(1, "web", "sidecar")
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await agent.settled()
        agent.acknowledges = False
        await platform.ask_to_stop(arn)
        await agent.until_told(arn, "STOPPED")
        await platform.clock.step(2 * REPEAT_S)
        await agent.until_told(arn, "STOPPED", times=2)
        stop = agent.of_type("PayloadMessage")[-1]["tasks"][0]
        assert [container["name"] for container in stop["containers"]] == ["web", "sidecar"]
        await platform.advance(arn, "STOPPED")
        await platform.clock.step(2 * REPEAT_S)
        await agent.settled()
        assert agent.told.count((arn, "STOPPED")) == 2, "the agent itself has reported it as stopped"
        assert agent.misread == []


async def test_an_agent_with_many_tasks_hears_of_all_in_payloads_of_bounded_size(platform: Platform) -> None:
    arns = [await platform.task(10**31 + number) for number in range(2 * MOST_TASKS + 1)]
    async with StockAgent(platform) as agent:
        await until(lambda: len(agent.told) == len(arns))
        assert sorted(arn for arn, _ in agent.told) == sorted(arns)
        assert [len(payload["tasks"]) for payload in agent.of_type("PayloadMessage")] == [MOST_TASKS, MOST_TASKS, 1]


async def test_an_agent_is_told_to_sign_in_to_our_registry_where_it_reached_us(platform: Platform) -> None:
    await platform.definition(shapes.ContainerDefinition(name="main", image="127.0.0.1:4566/web:1", memory=32, essential=True))
    await platform.task(1)
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("PayloadMessage"))
        (container,) = agent.of_type("PayloadMessage")[0]["tasks"][0]["containers"]
        assert container["registryAuthentication"]["ecrAuthData"]["endpointOverride"] == platform.url


async def test_tasks_of_other_instances_are_nobody_elses_business(platform: Platform) -> None:
    other = INSTANCE[:-1] + "0"
    await platform.instance(other)
    theirs = await platform.task(1, instance=other)
    async with StockAgent(platform) as agent, StockAgent(platform, other) as neighbour:
        await neighbour.until_told(theirs, "RUNNING")
        await agent.settled()
        assert agent.told == []


async def test_a_payload_has_the_types_the_agent_parses(platform: Platform) -> None:
    full = shapes.ContainerDefinition(
        name="web",
        image="000000000000.dkr.ecr.us-test-1.localhost:4566/web:1",
        cpu=10,
        memory=64,
        memory_reservation=32,
        essential=True,
        command=("httpd", "-f"),
        entry_point=("sh", "-c"),
        environment=(shapes.KeyValuePair(name="FOO", value="bar"),),
        environment_files=(shapes.EnvironmentFile(value="arn:aws:s3:::b/e.env", type="s3"),),
        port_mappings=(shapes.PortMapping(container_port=80, host_port=0), shapes.PortMapping(container_port_range="8000-8010")),
        mount_points=(shapes.MountPoint(source_volume="v", container_path="/v"),),
        volumes_from=(shapes.VolumeFrom(source_container="init", read_only=True),),
        links=("init",),
        depends_on=(shapes.ContainerDependency(container_name="init", condition="SUCCESS"),),
        start_timeout=5,
        stop_timeout=7,
        health_check=shapes.HealthCheck(command=("CMD-SHELL", "true"), interval=5, timeout=2, retries=1, start_period=1),
        restart_policy=shapes.ContainerRestartPolicy(enabled=True, ignored_exit_codes=(0,), restart_attempt_period=60),
        secrets=(shapes.Secret(name="S", value_from="arn:aws:secretsmanager:us-test-1:123456789012:secret:s"),),
        log_configuration=shapes.LogConfiguration(log_driver="json-file", options={"max-size": "1m"}),
        ulimits=(shapes.Ulimit(name="nofile", soft_limit=10, hard_limit=20),),
        linux_parameters=shapes.LinuxParameters(init_process_enabled=True, shared_memory_size=64),
        docker_labels={"my": "label"},
        system_controls=(shapes.SystemControl(namespace="net.core.somaxconn", value="1"),),
        privileged=True,
    )
    init = shapes.ContainerDefinition(name="init", image="bb:1", memory=32, essential=False)
    volumes = (
        shapes.Volume(name="v"),
        shapes.Volume(name="h", host=shapes.HostVolumeProperties(source_path="/srv")),
        shapes.Volume(name="d", docker_volume_configuration=shapes.DockerVolumeConfiguration(scope="shared", autoprovision=True)),
        shapes.Volume(name="e", efs_volume_configuration=shapes.EFSVolumeConfiguration(file_system_id="fs-1", transit_encryption_port=7)),
    )
    await platform.definition(full, init, revision=9, volumes=volumes, cpu="1024", memory="128", network_mode="bridge")
    arn = await platform.task(1, "web", "init", revision=9)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        assert agent.misread == []
        task = agent.of_type("PayloadMessage")[0]["tasks"][0]
        assert (task["cpu"], type(task["cpu"]), task["memory"], task["version"]) == (1.0, float, 128, "9")
        web = task["containers"][0]
        assert json.loads(web["dockerConfig"]["config"])["Healthcheck"]["Interval"] == 5_000_000_000
        assert json.loads(web["dockerConfig"]["hostConfig"])["MemoryReservation"] == 32 * 1024 * 1024
        assert web["environment"] == {"FOO": "bar"}


# ── the manifest ──


async def test_a_task_the_store_does_not_want_is_stopped_after_the_agent_has_asked(platform: Platform) -> None:
    wanted = await platform.task(1)
    stray = wanted.replace("1" * 32, "9" * 32)
    agent = StockAgent(platform)
    agent.tasks[stray] = "RUNNING"
    async with agent:
        await until(lambda: agent.tasks == {wanted: "RUNNING", stray: "STOPPED"})
        assert agent.misread == []


async def test_a_task_placed_after_the_manifest_is_not_stopped_because_the_agent_asks(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("TaskManifestMessage"))
        arn = await platform.task(1)
        await agent.until_told(arn, "RUNNING")
        manifest = agent.of_type("TaskManifestMessage")[0]["messageId"]
        candidates = [{"taskArn": arn, "desiredStatus": "STOPPED"}, "junk", {"taskArn": ["x"]}]
        await agent.say("TaskStopVerificationMessage", {"messageId": manifest, "stopCandidates": candidates})
        await until(lambda: agent.of_type("TaskStopVerificationAck"))
        stopped = [task["taskArn"] for task in agent.of_type("TaskStopVerificationAck")[0]["stopTasks"]]
        assert arn not in stopped
        assert agent.tasks[arn] == "RUNNING"


async def test_a_question_about_another_manifest_gets_no_answer(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("TaskManifestMessage"))
        await agent.say("TaskStopVerificationMessage", {"messageId": "another", "stopCandidates": [{"taskArn": "x"}]})
        await agent.settled()
        assert all(answer["stopTasks"] == [] for answer in agent.of_type("TaskStopVerificationAck"))


# ── sessions ──


async def test_an_instance_counts_as_connected_while_its_control_socket_is_open(platform: Platform) -> None:
    assert not platform.seen().agent_connected
    async with StockAgent(platform):
        await until(lambda: platform.seen().agent_connected)
        row = platform.seen()
        assert (row.agent_version, row.agent_hash, row.docker_version) == ("1.105.1", "a8b3e7d3", "DockerVersion: 20.10.24+dfsg1")
        assert list(platform.sessions.connected_instances) == [INSTANCE]
    await until(lambda: not platform.seen().agent_connected)
    assert list(platform.sessions.connected_instances) == []


async def test_a_newer_session_takes_the_older_ones_place(platform: Platform) -> None:
    async with StockAgent(platform) as older:
        await until(lambda: older.of_type("TaskManifestMessage"))
        async with StockAgent(platform) as newer:
            assert await older.until_closed() == 1000
            arn = await platform.task(1)
            await newer.until_told(arn, "RUNNING")
            assert older.told == []
            await until(lambda: platform.seen().agent_connected)
            assert platform.sessions.connected_instances == (INSTANCE,)
    await until(lambda: not platform.seen().agent_connected)


async def test_a_server_that_starts_knows_of_no_connected_agent() -> None:
    store = memory_store(KINDS)
    async with platform_on(SteppedClock(), store=store) as before:
        await before.cluster()
        await before.instance(agent_connected=True)
        await before.instance(INSTANCE[:-1] + "0")
        await store.transact(lambda tx: forget_sessions(tx, 7.0))
        assert not before.seen().agent_connected
        assert before.seen().agent_connection_changed_at == 7.0
        assert before.seen(INSTANCE[:-1] + "0").agent_connection_changed_at == 0.0
    await store.close()


async def test_an_agent_that_comes_back_to_a_restarted_server_hears_of_everything_again() -> None:
    store, clock = memory_store(KINDS), SteppedClock()
    async with platform_on(clock, store=store) as before:
        await before.cluster()
        await before.instance()
        await before.definition()
        arn = await before.task(1)
        async with StockAgent(before) as agent:
            await agent.until_told(arn, "RUNNING")
            await until(lambda: agent.of_type("TaskManifestMessage"))
            latest = agent.latest_sequence
            await before.sessions.close()
            assert await agent.until_closed() == 1001
    async with platform_on(clock, store=store) as after:
        agent = StockAgent(after)
        agent.latest_sequence = latest
        async with agent:
            await agent.until_told(arn, "RUNNING")
            await until(lambda: agent.of_type("TaskManifestMessage"))
            assert agent.latest_sequence > latest, "a sequence number went back"
    await store.close()


async def test_the_session_of_an_instance_that_is_deregistered_is_closed(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        telemetry = await open_socket(platform, telemetry_url(platform))
        await until(lambda: platform.seen().agent_connected)
        await platform.deregister()
        assert await agent.until_closed() == 1000
        while not telemetry.closed:
            await asyncio.wait_for(telemetry.receive(), 5.0)
        assert telemetry.close_code == 1000
    await until(lambda: not platform.seen().agent_connected)
    assert platform.seen().status == "INACTIVE"


async def test_forgetting_everything_closes_no_session_and_what_comes_after_is_told(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        before = await platform.task(1)
        await agent.until_told(before, "RUNNING")
        row = platform.seen()
        await platform.sessions.stop_tasks()
        await agent.until_told(before, "STOPPED")
        await platform.store.reset()
        await platform.store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, row))
        await platform.definition()
        after = await platform.task(2)
        await agent.until_told(after, "RUNNING")
        assert not agent.socket.closed


async def test_heartbeats_come_often_enough_that_no_agent_hangs_up(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        for number in range(1, 5):
            await until(lambda number=number: len(agent.of_type("HeartbeatMessage")) == number)  # type: ignore[misc]
            await platform.clock.step(HEARTBEAT_S)
        assert HEARTBEAT_S <= 45, "agents hang up after 60 to 120 s without a message"
        assert all(beat["healthy"] for beat in agent.of_type("HeartbeatMessage"))


async def test_an_agent_that_answers_nothing_at_all_counts_as_gone(platform: Platform) -> None:
    async with StockAgent(platform, answers=False) as agent:
        await until(lambda: agent.of_type("TaskManifestMessage"))
        assert platform.seen().agent_connected
        await platform.clock.step(SILENCE_S)
        assert await agent.until_closed() == 1000
        await until(lambda: not platform.seen().agent_connected)


async def test_an_agent_that_answers_its_heartbeats_stays(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await agent.settled()
        for number in range(1, 12):
            await platform.clock.step(HEARTBEAT_S)
            await until(lambda number=number: len(agent.of_type("HeartbeatMessage")) > number)  # type: ignore[misc]
            await agent.settled()
        assert platform.seen().agent_connected


# ── what agents say ──

NOT_MESSAGES = [
    "",
    "null",
    "[]",
    "7",
    '"text"',
    "{",
    "{}",
    '{"type":"AckRequest"}',
    '{"type":"AckRequest","message":null}',
    '{"type":"AckRequest","message":[]}',
    '{"type":["AckRequest"],"message":{}}',
    '{"type":{},"message":{}}',
    '{"type":"NoSuchRequest","message":{}}',
    '{"type":"AckRequest","message":{"messageId":["x"]}}',
    '{"type":"NackRequest","message":{}}',
    '{"type":"TaskStopVerificationMessage","message":{"messageId":{},"stopCandidates":7}}',
    "[" * 100_000,
    '{"type":"PublishHealthRequest","message":{"tasks":7}}',
    '{"type":"PublishHealthRequest","message":{"tasks":[7,{"containers":[{"healthStatus":["HEALTHY"]}]}]}}',
    '{"type":["PublishMetricsRequest"],"message":{}}',
    "Authorization: x\r\n\r\n",
    "Authorization: x\r\n\r\n\r\n\r\n{}",
]


async def test_no_frame_ends_a_control_session(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        for frame in NOT_MESSAGES:
            await agent.socket.send_str(frame)
        await agent.socket.send_bytes(b"\xff\xfe\x00")
        arn = await platform.task(1)
        await agent.until_told(arn, "RUNNING")
        await agent.settled()


async def test_no_frame_ends_a_telemetry_session(platform: Platform) -> None:
    socket = await open_socket(platform, telemetry_url(platform))
    for frame in NOT_MESSAGES:
        await socket.send_str(frame)
    await socket.send_bytes(b"\xff\xfe\x00")
    await socket.send_str('Host: x\r\n\r\n{"type":"PublishMetricsRequest","message":{}}')
    kinds = []
    while "AckPublishMetric" not in kinds:
        kinds.append(json.loads((await asyncio.wait_for(socket.receive(), 5.0)).data)["type"])
    await socket.close()


_word = st.text(max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _word,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_word, inner, max_size=3),
    max_leaves=8,
)
_nearly = st.fixed_dictionaries({}, optional={"type": _json, "message": _json})


@given(st.binary() | _json.map(lambda value: json.dumps(value).encode()) | _nearly.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_a_message_or_none(frame: bytes) -> None:
    read = read_frame(frame, "agent")
    assert read is None or (isinstance(read.kind, str) and isinstance(read.content, dict))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={"tasks": _json | st.lists(st.fixed_dictionaries({"taskArn": _json, "containers": _json}))}))
def test_any_health_report_is_read_as_far_as_it_is_well_formed(message: dict[str, object]) -> None:
    for arn, containers in health_reports(message).items():
        assert isinstance(arn, str)
        assert set(containers.values()) <= {"HEALTHY", "UNHEALTHY", "UNKNOWN"}


async def test_health_of_containers_reaches_the_tasks_of_that_instance_only(platform: Platform) -> None:
    await platform.definition(*(shapes.ContainerDefinition(name=name, essential=name != "extra") for name in ("web", "sidecar", "extra")))
    await platform.instance(INSTANCE[:-1] + "0")
    own = await platform.task(1, "web", "sidecar", "extra")
    theirs = await platform.task(2, "web", instance=INSTANCE[:-1] + "0")
    socket = await open_socket(platform, telemetry_url(platform))

    async def report(**health: str) -> None:
        containers = [{"containerName": name, "healthStatus": word, "statusSince": 1.5} for name, word in health.items()]
        message = {"metadata": {}, "tasks": [{"taskArn": arn, "containers": containers} for arn in (own, theirs, "arn:nobody")]}
        frame = json.dumps({"type": "PublishHealthRequest", "message": message})
        await socket.send_str(f"Authorization: x\r\nHost: y\r\n\r\n{frame}")
        while json.loads((await asyncio.wait_for(socket.receive(), 5.0)).data)["type"] != "AckPublishHealth":
            pass

    await report(web="HEALTHY", sidecar="UNKNOWN")
    assert platform.seen_task(own).status.health_status == "UNKNOWN"
    await report(web="HEALTHY", sidecar="HEALTHY")
    assert platform.seen_task(own).status.health_status == "HEALTHY"
    revision = platform.store.revision
    await report(web="HEALTHY", sidecar="HEALTHY")
    assert platform.store.revision == revision, "nothing changed, and something was written"
    await report(web="HEALTHY", sidecar="HEALTHY", extra="UNHEALTHY")
    assert [container.health_status for container in platform.seen_task(own).status.containers] == ["HEALTHY", "HEALTHY", "UNHEALTHY"]
    assert platform.seen_task(own).status.health_status == "HEALTHY", "one that is not essential says nothing of the task"
    await report(web="UNHEALTHY")
    assert platform.seen_task(own).status.health_status == "UNHEALTHY"
    assert platform.seen_task(theirs).status.health_status == "UNKNOWN"
    await socket.close()

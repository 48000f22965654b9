"""Whole agents against a platform that speaks the protocol, with containers that exist in memory only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from longshore.agent.registration import WrongAttributes
from longshore.agent.run import AlreadyRunning, run_agent
from longshore.config import AgentConfig
from longshore.kit.clock import SteppedClock
from longshore.runtime.base import NoSuchImage
from longshore.runtime.fake import Behaviour, FakeRuntime
from tests.agent.conftest import AgentUnderTest
from tests.agent.platform import CLUSTER_ARN, Platform, container, task, task_arn, until


async def test_registers_with_its_machine_and_capabilities(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    sent = platform.registrations[0]
    document = json.loads(sent["instanceIdentityDocument"])
    assert document["instanceId"] == "i-0123456789abcdef0"
    assert document["privateIp"] == "127.0.1.1"
    assert document["availabilityZone"] == "us-east-1a"
    assert sent["instanceIdentityDocumentSignature"] == ""
    assert {"name": "stack", "value": "blue"} in sent["attributes"]
    assert {"name": "ecs.capability.container-ordering"} in sent["attributes"]
    assert {"name": "CPU", "type": "INTEGER", "integerValue": 2048} in sent["totalResources"]
    assert {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]} in sent["totalResources"]


async def test_opens_the_control_socket_as_the_protocol_wants_it(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    assert socket.query["protocolVersion"] == "2"
    assert socket.query["sendCredentials"] == "true"
    assert socket.query["seqNum"] == "1"
    assert socket.query["containerInstanceArn"] == platform.instance_arn
    assert socket.query["dockerVersion"] == "DockerVersion: fake"


async def test_answers_heartbeats(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    await socket.say("HeartbeatMessage", {"messageId": "beat-1", "healthy": True})
    assert await until(lambda: socket.heard_of("HeartbeatAckRequest")) == [{"messageId": "beat-1"}]


async def test_runs_a_task_and_reports_it(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    socket = await platform.connected()
    message_id = await platform.send_tasks(task(1, container(portMappings=[{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}])))
    report = await platform.reported(task_arn(1), "RUNNING")
    assert report["cluster"] == "default"
    assert report["reason"] == ""
    assert report["pullStartedAt"] <= report["pullStoppedAt"]
    [main] = report["containers"]
    assert main["status"] == "RUNNING" and main["runtimeId"] == engine.all()[0].id
    assert main["imageDigest"].startswith("sha256:")
    assert main["networkBindings"] == [{"bindIP": "127.0.1.1", "containerPort": 80, "hostPort": 49153, "protocol": "tcp"}]
    await until(lambda: socket.heard_of("AckRequest"))
    assert socket.heard_of("AckRequest") == [{"cluster": CLUSTER_ARN, "containerInstance": platform.instance_arn, "messageId": message_id}]


async def test_a_repeated_payload_starts_nothing_twice(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    await platform.send_tasks(task(1))
    await until(lambda: len(platform.acknowledged()) == 3)
    assert [call for call, _ in engine.calls].count("create") == 1


async def test_stops_a_task_when_told_to(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    await platform.send_tasks(task(1, {"name": "main", "image": "", "essential": True}, desired="STOPPED"))
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"][0]["exitCode"] == 0
    assert report["executionStoppedAt"] > 0
    assert platform.statuses(task_arn(1)) == ["RUNNING", "STOPPED"]


async def test_a_stop_for_a_task_it_never_had_is_reported_at_once(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    await platform.send_tasks(task(9, {"name": "main", "image": "", "essential": True}, desired="STOPPED"))
    report = await platform.reported(task_arn(9), "STOPPED")
    assert report["containers"] == [{"containerName": "main", "status": "STOPPED"}]


async def test_a_container_that_exits_at_once_ran_and_stopped(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    engine.behave("bb:1", Behaviour(exits_with=3))
    await platform.connected()
    await platform.send_tasks(task(1))
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"][0]["exitCode"] == 3
    assert platform.statuses(task_arn(1)) == ["RUNNING", "STOPPED"]


async def test_a_killed_container_is_reported_without_delay(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    engine.exit(engine.all()[0].id, 137, oom_killed=True)
    report = await platform.reported(task_arn(1), "STOPPED", 1.0)
    assert report["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


async def test_containers_start_in_order_and_stop_in_reverse(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    waits = [{"containerName": "db", "condition": "START"}]
    engine.behave("init", Behaviour(exits_with=0))
    await platform.connected()
    await platform.send_tasks(
        task(
            1,
            container("web", dependsOn=[*waits, {"containerName": "init", "condition": "SUCCESS"}]),
            container("db"),
            container("init", "init", essential=False),
        )
    )
    report = await platform.reported(task_arn(1), "RUNNING")
    assert {entry["containerName"]: entry["status"] for entry in report["containers"]} == {
        "web": "RUNNING",
        "db": "RUNNING",
        "init": "STOPPED",
    }
    await platform.send_tasks(task(1, desired="STOPPED"))
    await platform.reported(task_arn(1), "STOPPED")
    order = [(call, name.split("-")[3]) for call, name in engine.calls if call in ("start", "stop")]
    assert order.index(("start", "web")) > order.index(("start", "db"))
    assert order.index(("start", "web")) > order.index(("start", "init"))
    assert order.index(("stop", "web")) < order.index(("stop", "db"))


async def test_an_image_that_cannot_be_had_is_the_reason(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    engine.behave("gone:1", Behaviour(pull_failure=NoSuchImage("manifest for gone:1 not found")))
    await platform.connected()
    await platform.send_tasks(task(1, container(image="gone:1")))
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"] == [
        {
            "containerName": "main",
            "status": "STOPPED",
            "reason": "CannotPullContainerError: Error response from daemon: manifest for gone:1 not found",
        }
    ]


async def test_an_unreadable_task_is_refused_and_the_others_run(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    message_id = await platform.send_tasks(task(1), task(4, volumes=[{"name": "q", "type": "weird"}]))
    report = await platform.reported(task_arn(4), "STOPPED")
    assert report["reason"] == 'UnrecogniedTaskError: Error loading task - unrecognized volume type: "weird"'
    assert "containers" not in report
    await platform.reported(task_arn(1), "RUNNING")
    later = await platform.send_tasks(task(2))
    await until(lambda: later in platform.acknowledged())
    assert message_id not in platform.acknowledged()


async def test_messages_nobody_knows_and_broken_ones_leave_the_socket_open(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    await socket.say("NoSuchMessage", {"messageId": "x"})
    await socket.say("ErrorMessage", {"message": "some error"})
    await socket.say("PayloadMessage", {"messageId": "p", "clusterArn": CLUSTER_ARN, "tasks": [task(1)]})
    await socket.say("PayloadMessage", {"messageId": 7})
    await socket.ws.send_str("{nonsense")
    await socket.say("HeartbeatMessage", {"messageId": "beat", "healthy": True})
    await until(lambda: socket.heard_of("HeartbeatAckRequest"))
    assert socket.heard_of("AckRequest") == []


async def test_updates_are_refused_and_attachments_acknowledged(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    named = {"clusterArn": CLUSTER_ARN, "containerInstanceArn": platform.instance_arn}
    await socket.say("StageUpdateMessage", {"messageId": "u-1", **named})
    await socket.say("AttachTaskNetworkInterfacesMessage", {"messageId": "eni-1", **named})
    assert (await until(lambda: socket.heard_of("NackRequest")))[0]["reason"] == "Updates are disabled"
    assert (await until(lambda: socket.heard_of("AckRequest")))[0]["messageId"] == "eni-1"


async def test_credentials_are_acknowledged_wherever_they_come_from(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    given = {
        "credentialsId": "cred-1",
        "roleArn": "r",
        "accessKeyId": "a",
        "secretAccessKey": "s",
        "sessionToken": "t",
        "expiration": "soon",
    }
    message_id = await platform.send_tasks(task(1, roleCredentials=given))
    await until(lambda: socket.heard_of("IAMRoleCredentialsAckRequest"))
    await socket.say(
        "IAMRoleCredentialsMessage", {"messageId": "m-cred", "taskArn": task_arn(1), "roleCredentials": {**given, "expiration": "later"}}
    )
    await until(lambda: len(socket.heard_of("IAMRoleCredentialsAckRequest")) == 2)
    assert socket.heard_of("IAMRoleCredentialsAckRequest") == [
        {"messageId": message_id, "credentialsId": "cred-1", "expiration": "soon"},
        {"messageId": "m-cred", "credentialsId": "cred-1", "expiration": "later"},
    ]


async def test_tasks_beyond_the_manifest_stop_only_after_verification(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    await platform.send_tasks(task(1), task(2), task(3))
    for number in (1, 2, 3):
        await platform.reported(task_arn(number), "RUNNING")
    stale = await platform.send_manifest(timeline=0)
    message_id = await platform.send_manifest(task_arn(1))
    [asked] = await until(lambda: socket.heard_of("TaskStopVerificationMessage"))
    assert asked["messageId"] == message_id
    assert [candidate["taskArn"] for candidate in asked["stopCandidates"]] == [task_arn(2), task_arn(3)]
    assert stale not in platform.acknowledged() and message_id in platform.acknowledged()
    verdict = {"generatedAt": 1, "stopTasks": [{"taskArn": task_arn(2), "taskClusterArn": CLUSTER_ARN, "desiredStatus": "STOPPED"}]}
    await socket.say("TaskStopVerificationAck", {"messageId": "another", **verdict})
    await socket.say("TaskStopVerificationAck", {"messageId": message_id, **verdict})
    await platform.reported(task_arn(2), "STOPPED")
    assert platform.report(task_arn(3), "STOPPED") is None
    assert platform.report(task_arn(1), "STOPPED") is None


async def test_health_is_published_as_soon_as_it_changes(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    check = {"version": "1.32", "config": json.dumps({"Healthcheck": {"Test": ["CMD-SHELL", "true"]}}), "hostConfig": "{}"}
    await platform.send_tasks(task(1, container(healthCheckType="docker", dockerConfig=check)))
    await platform.reported(task_arn(1), "RUNNING")
    engine.set_health(engine.all()[0].id, "healthy")
    health = await until(lambda: [told for told in platform.health() if told["containers"][0]["healthStatus"] == "HEALTHY"], 2.0)
    assert health[0]["taskArn"] == task_arn(1)
    assert health[0]["containers"][0]["statusSince"] > 0
    engine.set_health(engine.all()[0].id, "unhealthy")
    await until(lambda: platform.health()[-1]["containers"][0]["healthStatus"] == "UNHEALTHY", 2.0)


async def test_an_idle_agent_says_so_on_the_telemetry_socket(platform: Platform, agent: AgentUnderTest) -> None:
    await until(lambda: platform.telemetry and platform.telemetry[0].heard_of("PublishMetricsRequest"))
    [message] = platform.telemetry[0].heard_of("PublishMetricsRequest")
    assert message["metadata"]["idle"] is True and message["metadata"]["fin"] is True
    assert message["metadata"]["containerInstance"] == platform.instance_arn
    [status] = platform.telemetry[0].heard_of("PublishInstanceStatusRequest")
    assert status["statuses"][0]["status"] == "OK"


# ── outages ──


async def test_a_clean_close_is_followed_by_a_new_connection_at_once(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    await socket.ws.close()
    again = await asyncio.wait_for(platform.connected(2), 1.0)
    assert again.query["sendCredentials"] == "false"


async def test_a_platform_that_was_killed_hears_afterwards_what_it_missed(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    await platform.connected()
    await platform.send_tasks(task(1), task(2))
    await platform.reported(task_arn(1), "RUNNING")
    await platform.reported(task_arn(2), "RUNNING")
    await platform.stop()
    first = next(state for state in engine.all() if state.labels["com.amazonaws.ecs.task-arn"] == task_arn(1))
    engine.exit(first.id, 1)
    await platform.start()
    await platform.connected(2)
    await platform.reported(task_arn(1), "STOPPED")
    assert platform.report(task_arn(2), "STOPPED") is None
    assert len(platform.registrations) == 1


async def test_a_refused_report_is_repeated_and_an_invalid_one_dropped(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    platform.refusals["SubmitTaskStateChange"] = [
        (500, {"__type": "ServerException", "message": "busy"}),
        (400, {"__type": "InvalidParameterException", "message": "The task is not known."}),
    ]
    await platform.connected()
    await platform.send_tasks(task(1))
    await until(lambda: platform.calls.count("SubmitTaskStateChange") == 2)
    engine.exit(engine.all()[0].id, 0)
    await platform.reported(task_arn(1), "STOPPED")
    assert platform.statuses(task_arn(1)) == ["STOPPED"]


async def test_a_restarted_agent_carries_on(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1), task(2), task(3))
    for number in (1, 2, 3):
        await platform.reported(task_arn(number), "RUNNING")
    by_task = {state.labels["com.amazonaws.ecs.task-arn"]: state.id for state in engine.all()}
    await agent.stop()
    engine.exit(by_task[task_arn(2)], 7)
    engine.vanish(by_task[task_arn(3)])
    await agent.start()
    ended, gone = await platform.reported(task_arn(2), "STOPPED"), await platform.reported(task_arn(3), "STOPPED")
    assert ended["containers"][0]["exitCode"] == 7
    assert gone["containers"][0]["reason"].startswith("ContainerVanishedError")
    again = platform.registrations[-1]
    assert again["containerInstanceArn"] == platform.instance_arn and len(platform.instances) == 1
    assert {"name": "stack", "value": "blue"} not in again["attributes"]
    assert len([state for state in engine.all() if state.is_running]) == 1
    await platform.connected(2)
    await platform.send_tasks(task(1, desired="STOPPED"))
    await platform.reported(task_arn(1), "STOPPED")


async def test_a_crash_between_creating_and_writing_it_down_makes_no_second_container(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    engine.behave("bb:1", Behaviour(start_takes_s=0.05))
    await platform.connected()
    await platform.send_tasks(task(1))
    await until(lambda: engine.all())
    await agent.crash()
    await agent.start()
    await platform.reported(task_arn(1), "RUNNING")
    assert len(engine.all()) == 1


async def test_containers_that_no_task_explains_are_removed(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    await agent.stop()
    (agent.config.data_dir / "journal").unlink()
    stranger = await engine.create("stranger", {"Image": "bb:1", "Labels": {"longshore.instance": "i-another"}})
    await agent.start()
    await until(lambda: [state.id for state in engine.all()] == [stranger])


async def test_a_platform_that_forgot_the_instance_gets_a_new_one(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    socket = await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    platform.handshake_refusals.append((400, {"InvalidInstanceException": "The container instance is not known."}))
    await socket.ws.close()
    await platform.connected(2)
    assert len(platform.instances) == 2
    assert engine.all() == []
    await platform.send_tasks(task(2))
    await platform.reported(task_arn(2), "RUNNING")


async def test_a_deregistered_instance_keeps_its_tasks_and_waits(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    socket = await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    platform.handshake_refusals.append((400, {"InactiveInstanceException": "deregistered"}))
    await socket.ws.close()
    await until(lambda: not platform.handshake_refusals)
    await asyncio.wait_for(agent.stop(), 2.0)
    assert len(platform.control) == 1 and engine.all()[0].is_running


async def test_an_engine_outage_is_survived_and_its_dead_reported(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    engine.go_down(killing=True)
    await platform.send_tasks(task(2))
    engine.come_back()
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"][0]["exitCode"] == 137
    await platform.reported(task_arn(2), "RUNNING")


async def test_the_default_cluster_is_created_when_it_is_missing(
    platform: Platform, agent_config: AgentConfig, engine: FakeRuntime
) -> None:
    platform.refusals["RegisterContainerInstance"] = [(400, {"__type": "ClusterNotFoundException", "message": "Cluster not found."})]
    stop = asyncio.Event()
    job = asyncio.create_task(run_agent(agent_config, stop=stop, runtime=engine))
    await platform.connected()
    assert platform.calls[:3] == ["RegisterContainerInstance", "CreateCluster", "RegisterContainerInstance"]
    stop.set()
    await job


async def test_attributes_that_come_back_changed_end_the_agent(platform: Platform, agent_config: AgentConfig, engine: FakeRuntime) -> None:
    answer = {"containerInstance": {"containerInstanceArn": "arn:x", "attributes": []}}
    platform.refusals["RegisterContainerInstance"] = [(200, answer)]
    with pytest.raises(WrongAttributes, match="stack"):
        await run_agent(agent_config, stop=asyncio.Event(), runtime=engine)


async def test_two_agents_never_share_a_data_directory(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    with pytest.raises(AlreadyRunning):
        await run_agent(agent.config, stop=asyncio.Event(), runtime=FakeRuntime())


async def test_stopped_tasks_are_cleared_away_after_a_while(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await agent.stop()
    agent.keeping = replace(agent.keeping, stopped_tasks_s=0.0, tasks_every_s=0.02)
    await agent.start()
    await platform.connected()
    volume = {"name": "v", "type": "host", "host": {}}
    mounts = [{"sourceVolume": "v", "containerPath": "/v", "readOnly": False}]
    await platform.send_tasks(task(1, container(mountPoints=mounts), volumes=[volume]))
    await platform.reported(task_arn(1), "RUNNING")
    assert len(engine.volumes()) == 1
    await platform.send_tasks(task(1, desired="STOPPED"))
    await platform.reported(task_arn(1), "STOPPED")
    await until(lambda: not engine.all() and not engine.volumes())
    await agent.crash()
    await agent.start()
    await platform.connected(len(platform.control) + 1)
    assert [call for call, _ in engine.calls].count("create") == 1


async def test_a_container_of_somebody_else_is_never_taken_over(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    name = engine.all()[0].name
    await agent.stop()
    engine.vanish(engine.all()[0].id)
    await engine.create(name, {"Image": "bb:1", "Labels": {"com.amazonaws.ecs.task-arn": task_arn(1), "longshore.instance": "i-another"}})
    (agent.config.data_dir / "journal").unlink()
    await agent.start()
    await platform.connected(2)
    await platform.send_tasks(task(1))
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"][0]["reason"].startswith("CannotCreateContainerError: ")
    assert [state.labels["longshore.instance"] for state in engine.all()] == ["i-another"]


async def test_an_engine_that_is_back_is_used_at_once(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    await platform.connected()
    engine.go_down()
    await platform.send_tasks(task(1))
    await until(lambda: platform.acknowledged())
    engine.come_back()
    await platform.reported(task_arn(1), "RUNNING", 3.0)


async def test_a_restart_policy_brings_a_sidecar_back(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 0}
    await platform.connected()
    await platform.send_tasks(task(1, container("web"), container("log", essential=False, restartPolicy=policy)))
    await platform.reported(task_arn(1), "RUNNING")
    sidecar = next(state.id for state in engine.all() if "-log-" in state.name)
    engine.exit(sidecar, 1)
    await until(lambda: [call for call in engine.calls if call[0] == "start" and "-log-" in call[1]][1:])
    await platform.send_tasks(task(2))
    await platform.reported(task_arn(2), "RUNNING")
    statuses = {entry["status"] for report in platform.reports for entry in report["containers"]}
    assert statuses == {"RUNNING"}


async def test_the_same_instance_with_another_cluster_is_another_instance(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    await agent.stop()
    agent.config = replace(agent.config, cluster="other")
    await agent.start()
    await platform.connected(2)
    assert "containerInstanceArn" not in platform.registrations[-1] and platform.registrations[-1]["cluster"] == "other"
    assert engine.all() == []


async def test_a_task_that_has_stopped_is_reported_again_to_whoever_asks(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    await platform.send_tasks(task(1, desired="STOPPED"))
    await platform.reported(task_arn(1), "STOPPED")
    platform.reports.clear()
    await platform.send_tasks(task(1))
    report = await platform.reported(task_arn(1), "STOPPED")
    assert report["containers"][0]["exitCode"] == 0


# ── by the clock ──


@pytest.fixture
async def timed(agent_config: AgentConfig, engine: FakeRuntime) -> AsyncIterator[SteppedClock]:
    """The clock of an agent that runs by it."""
    clock = SteppedClock(time.time())
    stop = asyncio.Event()
    job = asyncio.create_task(run_agent(agent_config, stop=stop, runtime=engine, clock=clock))
    yield clock
    stop.set()
    await job


async def test_what_containers_use_is_published_every_twenty_seconds(platform: Platform, timed: SteppedClock) -> None:
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    socket = await until(lambda: platform.telemetry and platform.telemetry[0])
    for count in (1, 2, 3):
        await until(lambda expected=count: len(socket.heard_of("PublishMetricsRequest")) == expected)
        await timed.step(20)
    message = socket.heard_of("PublishMetricsRequest")[2]
    assert message["metadata"]["idle"] is False and message["metadata"]["fin"] is True
    [told] = message["taskMetrics"]
    assert told["taskArn"] == task_arn(1) and told["taskDefinitionFamily"] == "web"
    [main] = told["containerMetrics"]
    assert main["containerName"] == "main"
    assert main["cpuStatsSet"]["sum"] == pytest.approx(0.5, rel=0.1) and main["cpuStatsSet"]["sampleCount"] == 1
    assert main["memoryStatsSet"]["max"] == 8.0


async def test_a_platform_that_falls_silent_is_connected_to_anew(platform: Platform, timed: SteppedClock) -> None:
    await platform.connected()
    await until(lambda: platform.telemetry)
    for _ in range(130):
        await timed.step(1)
        await asyncio.sleep(0)
    await platform.connected(2)

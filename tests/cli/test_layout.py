"""What a start is made of, decided from options alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli import layout
from longshore.cli.join import Joining, agent_config
from longshore.cli.layout import LastTime, last_time, wanted_history, wanted_lost_after
from longshore.cli.machine import Size
from longshore.cli.outcome import Failure
from longshore.config import (
    UNPRIVILEGED_PORT_OFFSET,
    Credentials,
    DataDirectory,
    History,
    PlatformConfig,
    ServerConfig,
    Storage,
    write_platform,
)
from longshore.environment import BadSetting, default_data_dir, environment
from tests.cli.conftest import Home

MACHINE = Size(4, 8192)
KEY = Credentials("AKIAEXAMPLE", "secret")


def _platform(home: Home, size: Size = MACHINE, low_ports: bool = True, **wishes: object) -> PlatformConfig:
    return layout.platform(home.wishes(**wishes), size, KEY, lambda name: f"i-of-{name}", "/usr/sbin/haproxy", low_ports)


def test_instances_have_addresses_of_their_own_and_take_the_zones_in_turn(home: Home) -> None:
    agents = _platform(home, instances=3).agents
    assert [agent.address for agent in agents] == ["127.0.1.1", "127.0.1.2", "127.0.1.3"]
    assert [agent.zone for agent in agents] == ["us-east-1a", "us-east-1b", "us-east-1a"]
    assert [agent.instance_id for agent in agents] == ["i-of-agent-1", "i-of-agent-2", "i-of-agent-3"]
    assert {agent.endpoint for agent in agents} == {f"http://127.0.0.1:{home.port}"}


@given(instances=st.integers(1, 16), cpus=st.integers(2, 256), memory=st.integers(2048, 1 << 20))
def test_instances_never_offer_more_than_the_machine_has(instances: int, cpus: int, memory: int) -> None:
    agents = _platform(Home(Path("/nowhere"), 4566), Size(cpus, memory), instances=instances).agents
    assert sum(agent.cpu_units for agent in agents) <= cpus * 1024
    assert sum(agent.memory_mib for agent in agents) <= memory


def test_what_is_encrypted_is_as_last_time_unless_somebody_says(home: Home) -> None:
    for said, expected in ((True, True), (None, True), (False, False), (None, False)):
        storage = layout.wanted_storage(last_time(home.data, None).storage, said)
        home.data.prepare()
        write_platform(home.data.platform_file, _platform(home, storage=storage))
        assert last_time(home.data, None).storage == storage == Storage(encrypt=expected)


def test_sizes_given_win_over_even_shares(home: Home) -> None:
    agents = _platform(home, instances=2, instance_cpu_units=512, instance_memory_mib=900).agents
    assert {(agent.cpu_units, agent.memory_mib) for agent in agents} == {(512, 900)}


def test_low_ports_move_where_they_may_not_be_bound(home: Home) -> None:
    allowed, moved = _platform(home).server, _platform(home, low_ports=False).server
    assert allowed and moved
    assert (allowed.privileged_port_offset, moved.privileged_port_offset) == (0, UNPRIVILEGED_PORT_OFFSET)


def test_agents_reach_a_gateway_that_listens_everywhere_by_loopback(home: Home) -> None:
    server = _platform(home, host="0.0.0.0", insecure=True).server
    assert server and server.endpoint == f"http://127.0.0.1:{home.port}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ("us-east-1a", "us-east-1b")),
        (" us-east-1c , a ", ("us-east-1c", "us-east-1a")),
    ],
)
def test_zones_are_named_by_letter_or_in_full(text: str, names: tuple[str, ...]) -> None:
    assert layout.zone_names(text, "us-east-1") == names


@pytest.mark.parametrize("text", ["", "a,,b", "a,a", "A", "us-west-2a", "1", "a;b"])
def test_anything_else_is_no_zone(text: str) -> None:
    with pytest.raises(Failure):
        layout.zone_names(text, "us-east-1")


def test_an_instance_keeps_its_id_for_as_long_as_the_directory_lives(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path).instance_id("agent-1")
    assert DataDirectory(tmp_path).instance_id("agent-1") == first
    assert DataDirectory(tmp_path).instance_id("agent-2") != first
    assert len(first) == 19 and first.startswith("i-")


def test_a_machine_that_joins_answers_for_itself(tmp_path: Path) -> None:
    joining = Joining(
        endpoint="http://127.0.0.1:4566/",
        credentials=KEY,
        cluster="prod",
        region="eu-west-1",
        zone=None,
        address=None,
        name="agent",
        cpu_units=None,
        memory_mib=None,
        attributes=("rack=7", "ssd"),
        reserved_ports=(22,),
        docker_url="unix:///run/docker.sock",
        log_level="info",
    )
    config = agent_config(replace(joining, task_network="10.9.1.0/24"), DataDirectory(tmp_path), Size(8, 4096))
    assert config.task_network == "10.9.1.0/24"
    for wrong in ("10.9.1.1/24", "10.0.0.0/8", "10.9.1.0/30", "nowhere"):
        with pytest.raises(Failure, match="is no range for tasks"):
            agent_config(replace(joining, task_network=wrong), DataDirectory(tmp_path), Size(8, 4096))
    assert (config.address, config.zone, config.cpu_units, config.memory_mib) == ("127.0.0.1", "eu-west-1a", 8192, 4096)
    assert (config.endpoint, config.attributes) == ("http://127.0.0.1:4566", {"rack": "7", "ssd": ""})


def test_root_keeps_the_machines_platform_and_others_their_own() -> None:
    assert environment({"HOME": "/home/ann", "LONGSHORE_DATA_DIR": "/srv/x"}).data_dir == Path("/srv/x")
    assert str(environment({"HOME": "/home/ann"}).aws_config_file) == "/home/ann/.aws/config"
    assert default_data_dir(Path("/root"), 0) == Path("/var/lib/longshore")
    assert default_data_dir(Path("/home/ann"), 1000) == Path("/home/ann/.local/share/longshore")


def test_what_is_not_asked_for_is_as_it_was_last_time(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.prepare()
    assert last_time(data, None) == LastTime()
    server = ServerConfig(
        data_dir=tmp_path, credentials=Credentials("a", "b"), port=4700, region="eu-west-1", zones=("eu-west-1a", "eu-west-1b")
    )
    write_platform(data.platform_file, PlatformConfig(server=server, agents=()))
    assert last_time(data, None) == LastTime(4700, "000000000000", "eu-west-1", "eu-west-1a,eu-west-1b", 0)
    assert last_time(data, "us-east-1").zones == "a,b,c"
    data.platform_file.write_bytes(b"{")
    assert last_time(data, None) == LastTime()


def test_how_long_stopped_tasks_are_remembered_is_as_asked_as_the_environment_says_or_as_last_time() -> None:
    last, silent = History(stopped_tasks_kept_s=7200.0, task_history_kept_s=60.0), environment({"HOME": "/x"})
    assert wanted_history(last, silent, None, None) == last
    assert wanted_history(last, silent, "24h", "0") == History(stopped_tasks_kept_s=86_400.0, task_history_kept_s=0.0)
    said = environment({"HOME": "/x", "LONGSHORE_STOPPED_TASKS_KEPT": "3h", "LONGSHORE_TASK_HISTORY_KEPT": "0"})
    assert wanted_history(last, said, None, None) == History(stopped_tasks_kept_s=10_800.0, task_history_kept_s=0.0)
    assert wanted_history(last, said, None, "2w").task_history_kept_s == 14 * 86_400.0


@pytest.mark.parametrize(("kept", "history"), [("10m", None), ("soon", None), (None, "-1h"), (None, "1y")])
def test_an_hour_is_the_least_and_durations_are_durations(kept: str | None, history: str | None) -> None:
    with pytest.raises(Failure):
        wanted_history(History(), environment({"HOME": "/x"}), kept, history)


def test_a_duration_in_the_environment_that_is_none_is_named() -> None:
    with pytest.raises(BadSetting, match="LONGSHORE_STOPPED_TASKS_KEPT"):
        environment({"HOME": "/x", "LONGSHORE_STOPPED_TASKS_KEPT": "long"})


def test_when_an_instance_counts_as_lost_is_as_asked_or_as_last_time_and_may_be_never() -> None:
    assert [wanted_lost_after(600.0, asked) for asked in (None, "0", "90s", "2h", 30.0)] == [600.0, 0.0, 90.0, 7200.0, 30.0]
    assert environment({"HOME": "/x", "LONGSHORE_LOST_AFTER": "5m"}).lost_after_s == 300.0
    with pytest.raises(Failure, match="--lost-after"):
        wanted_lost_after(600.0, "soon")


def test_the_server_is_told_when_instances_are_lost(home: Home) -> None:
    server = _platform(home, lost_after_s=42.0).server
    assert server is not None
    assert server.lost_after_s == 42.0


@pytest.mark.parametrize("address", ["", "10.0.0.5", "fd00::5"])
def test_load_balancers_are_reached_at_an_address_or_nowhere(address: str, home: Home) -> None:
    layout.check_names(home.wishes(load_balancer_address=address))


@pytest.mark.parametrize("address", ["edge.example", "10.0.0", "10.0.0.5:80", "fe80::1%eth0", "10.0.0.5\nbind :1"])
def test_what_is_no_address_reaches_no_configuration(address: str, home: Home) -> None:
    with pytest.raises(Failure, match="is no address"):
        layout.check_names(home.wishes(load_balancer_address=address))

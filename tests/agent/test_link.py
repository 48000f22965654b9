"""What containers are told of their agent, how much each may ask, and who they are found to be."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.agent import messages
from longshore.agent.metadata.callers import Callers, Peer, _inode, container_of, owners_of
from longshore.agent.metadata.doors import is_passed_on
from longshore.agent.metadata.entrance import Entrance, NoEntrance
from longshore.agent.metadata.limits import AT_ONCE, PER_SECOND, Limits
from longshore.agent.metadata.link import OTHER_PORT, USUAL_PORT, Link, endpoint_id, laid_under, told
from longshore.kit.clock import SteppedClock
from longshore.runtime.fake import FakeRuntime

LOCAL = "http://127.0.0.1:4566"
CONTAINER = messages.Container(name="main", image="web:1")
TASK = messages.Task(arn="arn:task/1", desired_status="RUNNING", role_credentials=messages.RoleCredentials(credentials_id="cred-1"))
ID = endpoint_id(b"k", TASK.arn, "main")


def variables(link: Link, task: messages.Task = TASK, mode: str = "bridge") -> dict[str, str]:
    return told(task, CONTAINER, link, network_mode=mode)


def test_sdks_find_everything_where_they_look_for_it() -> None:
    assert variables(Link(port=USUAL_PORT, endpoint=LOCAL, key=b"k")) == {
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "AWS_ENDPOINT_URL": "http://169.254.170.2:51680",
        "ECS_CONTAINER_METADATA_URI": f"http://169.254.170.2/v3/{ID}",
        "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{ID}",
        "ECS_AGENT_URI": f"http://169.254.170.2/api/{ID}",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/cred-1",
    }


def test_an_agent_on_another_port_says_so_in_a_form_that_sdks_take() -> None:
    given = variables(Link(port=OTHER_PORT, endpoint=LOCAL, key=b"k"))
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in given
    full = given["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert full == "http://169.254.170.2:51679/v2/credentials/cred-1"
    from botocore.utils import ContainerMetadataFetcher

    ContainerMetadataFetcher()._validate_allowed_url(full)
    with pytest.raises(ValueError, match="Unsupported host"):
        ContainerMetadataFetcher()._validate_allowed_url("http://172.17.0.1:51679/v2/credentials/cred-1")


def test_a_task_without_a_role_is_told_of_no_credentials_and_an_agent_without_an_entrance_of_none_at_all() -> None:
    bare = messages.Task(arn="arn:task/1", desired_status="RUNNING")
    assert not [name for name in variables(Link(port=80, endpoint=LOCAL), bare) if "CREDENTIALS" in name]
    assert variables(Link(port=0, endpoint=LOCAL)) == {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}


@pytest.mark.parametrize(
    ("endpoint", "private", "mode", "expected"),
    [
        (LOCAL, False, "bridge", "http://169.254.170.2:51680"),
        (LOCAL, False, "awsvpc", "http://169.254.170.2:51680"),
        (LOCAL, False, "host", LOCAL),
        ("https://127.0.0.1:4566", True, "host", "http://169.254.170.2:51680"),
        ("http://10.0.0.5:4566", False, "bridge", "http://10.0.0.5:4566"),
        ("https://ecs.example", False, "bridge", "https://ecs.example"),
        ("https://ecs.example", True, "bridge", "http://169.254.170.2:51680"),
    ],
)
def test_the_platform_is_named_as_it_is_reached_from_there(endpoint: str, private: bool, mode: str, expected: str) -> None:
    link = Link(port=80, endpoint=endpoint, passes_on=is_passed_on(endpoint, private_authority=private))
    assert variables(link, mode=mode)["AWS_ENDPOINT_URL"] == expected


@given(st.dictionaries(st.sampled_from(sorted(variables(Link(port=80, endpoint=LOCAL)))), st.text(max_size=5)))
def test_what_a_task_definition_sets_wins(own: dict[str, str]) -> None:
    laid = laid_under(own, variables(Link(port=80, endpoint=LOCAL)))
    assert own.items() <= laid.items()


def test_own_credentials_are_not_joined_by_others() -> None:
    laid = laid_under({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/mine"}, variables(Link(port=80, endpoint=LOCAL)))
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in laid


def test_ids_of_containers_differ_by_task_container_and_agent() -> None:
    ids = {endpoint_id(key, arn, name) for key in (b"a", b"b") for arn in ("t1", "t2") for name in ("c1", "c2")}
    assert len(ids) == 8 and endpoint_id(b"a", "t1", "c1") in ids


async def test_a_caller_has_forty_requests_a_second_and_sixty_at_once() -> None:
    clock = SteppedClock()
    limits = Limits(clock)
    assert [limits.allow("one") for _ in range(int(AT_ONCE) + 1)].count(True) == AT_ONCE
    assert limits.allow("two"), "another caller has its own"
    await clock.step(0.5)
    assert [limits.allow("one") for _ in range(100)].count(True) == PER_SECOND / 2


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"9:name=systemd:/docker/{'a' * 64}\n8:pids:/docker/{'a' * 64}\n", "a" * 64),
        (f"0::/system.slice/docker-{'b' * 64}.scope\n", "b" * 64),
        (f"4:memory:/ecs/{'1' * 32}/{'c' * 64}\n", "c" * 64),
        (f"4:memory:/docker/{'d' * 64}/docker/{'e' * 64}\n", "d" * 64),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("1:cpu:/\n0::/\n", ""),
        ("", ""),
    ],
)
def test_the_container_of_a_process_is_read_off_its_control_groups(cgroup: str, expected: str) -> None:
    assert container_of(cgroup) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="other processes' sockets are for the superuser to see")
def test_the_process_behind_a_connection_is_found_by_the_kernels_table() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, address = server.accept()
        door = server.getsockname()
        owners = owners_of(Peer(address[0], address[1], door))
        assert [owner.user_id for owner in owners] == [os.geteuid()]
        accepted.close()
    assert client.fileno() == -1 and owners_of(Peer("127.0.0.1", 1, door)) == []


#: socket option of IP: the ports from which the kernel may choose one for a socket
_IP_LOCAL_PORT_RANGE = 51


def test_a_socket_that_shares_its_port_with_anothers_is_not_taken_for_it() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(door.getsockname()) as victim,
        socket.socket() as intruder,
    ):
        port = victim.getsockname()[1]
        try:
            intruder.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, struct.pack("=I", (port << 16) | port))
            intruder.connect(other.getsockname())
        except OSError as problem:
            pytest.skip(f"this kernel shares no ports: {problem}")
        assert intruder.getsockname() == victim.getsockname()
        for client, server in ((victim, door), (intruder, other)):
            found = _inode(Peer("127.0.0.1", port, server.getsockname()), Path("/proc"))
            assert found == os.fstat(client.fileno()).st_ino


def test_of_two_sockets_that_both_fit_neither_is_taken(tmp_path: Path) -> None:
    rows = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        "   0: 0100007F:9000 0100007F:C83F 01 00000000:00000000 00:00000000 00000000     0        0 71 1",
        "   1: 0100007F:9000 02AAFEA9:0050 01 00000000:00000000 00:00000000 00000000     0        0 72 1",
    ]
    (tmp_path / "net").mkdir()
    peer = Peer("127.0.0.1", 0x9000, ("127.0.0.1", 0xC83F))
    for those, expected in ((rows[:2], 71), ([rows[0], rows[2]], 72), (rows, None)):
        (tmp_path / "net" / "tcp").write_text("\n".join(those) + "\n")
        assert _inode(peer, tmp_path) == expected


async def test_an_address_that_another_container_has_now_is_looked_up_anew() -> None:
    runtime = FakeRuntime(SteppedClock())
    first = await runtime.create("first", {"Image": "web:1"})
    await runtime.start(first)
    address = (await runtime.inspect(first)).ip_address
    callers = Callers(runtime)
    assert (await callers.find(Peer(address, 1, ("169.254.170.2", 80)))).key == first
    await runtime.remove(first)
    second = await runtime.create("second", {"Image": "web:1"})
    await runtime.start(second)
    assert (await callers.find(Peer(address, 1, ("169.254.170.2", 80)))).key == second


async def test_an_entrance_whose_directory_others_may_enter_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("open", "link"):
        with pytest.raises(NoEntrance, match="alone"):
            await Entrance.open(FakeRuntime(SteppedClock()), user_id=os.geteuid(), directory=tmp_path / name)

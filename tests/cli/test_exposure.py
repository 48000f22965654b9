"""What a start lets others see: refused unless somebody says that it is meant, and told of wherever one looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.cli import balancer
from longshore.cli.doctor import examine
from longshore.cli.exposure import check_endpoint, check_exposure, open_doors, readable_secrets
from longshore.cli.join import Joining, agent_config
from longshore.cli.machine import Size
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.status import Status, print_status
from longshore.config import Credentials, DataDirectory, PlatformConfig, ServerConfig, Tls, write_platform
from longshore.environment import environment
from longshore.kept import CannotStart
from longshore.kept import check_exposure as check_server

KEYS = Credentials("AKIA", "secret")


def config(path: Path, host: str, **more: object) -> ServerConfig:
    return ServerConfig(data_dir=path, credentials=KEYS, host=host, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.3.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_tls(host: str) -> None:
    check_exposure(host, None, True, False, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "box.example.com", ""])
def test_plain_http_beyond_this_machine_must_be_meant(host: str) -> None:
    with pytest.raises(Failure, match="can be read by others") as refused:
        check_exposure(host, None, False, False, "")
    assert refused.value.code == ExitCode.USAGE and "--insecure" in refused.value.fix and "--tls" in refused.value.fix
    check_exposure(host, None, False, True, "")
    check_exposure(host, Tls(), False, False, "")


def test_the_keys_of_dev_beyond_this_machine_must_be_meant_with_tls_too() -> None:
    with pytest.raises(Failure, match="test/test"):
        check_exposure("0.0.0.0", Tls(), True, False, "")
    check_exposure("0.0.0.0", Tls(), True, True, "")


def test_rate_limits_have_three_names() -> None:
    for name in ("off", "generous", "aws", ""):
        check_exposure("127.0.0.1", None, False, False, name)
    with pytest.raises(Failure, match="'some' is no choice"):
        check_exposure("127.0.0.1", None, False, False, "some")


@pytest.mark.parametrize(
    ("host", "asked", "limits"), [("127.0.0.1", "", "off"), ("0.0.0.0", "", "generous"), ("0.0.0.0", "off", "off"), ("::1", "aws", "aws")]
)
def test_rate_limits_follow_the_address_until_somebody_chooses(tmp_path: Path, host: str, asked: str, limits: str) -> None:
    assert config(tmp_path, host, rate_limits=asked).limits == limits


def test_a_server_started_by_hand_refuses_just_so(tmp_path: Path) -> None:
    for exposed in (config(tmp_path, "0.0.0.0"), config(tmp_path, "0.0.0.0", tls=Tls(), dev=True)):
        with pytest.raises(CannotStart, match="open to others"):
            check_server(exposed)
    for fine in (config(tmp_path, "127.0.0.1"), config(tmp_path, "0.0.0.0", tls=Tls()), config(tmp_path, "0.0.0.0", insecure=True)):
        check_server(fine)


def test_a_platform_elsewhere_is_joined_over_https_unless_it_is_meant() -> None:
    for endpoint in ("http://10.0.0.5:4566", "http://127.0.0.1.example.com:4566"):
        with pytest.raises(Failure, match="plain HTTP to another machine"):
            check_endpoint(endpoint, False)
        check_endpoint(endpoint, True)
    check_endpoint("https://10.0.0.5:4566", False)
    check_endpoint("http://127.0.0.1:4566", False)


def joining(endpoint: str, insecure: bool) -> Joining:
    fields = {"cluster": "c", "region": "us-east-1", "zone": None, "name": "agent", "cpu_units": None, "memory_mib": None}
    rest = {"attributes": (), "reserved_ports": (), "docker_url": "unix:///x", "log_level": "info", "address": "10.0.0.6"}
    return Joining(endpoint=endpoint, credentials=KEYS, insecure=insecure, **fields, **rest)  # type: ignore[arg-type]


def test_an_agent_does_not_tell_its_code_to_the_network(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="plain HTTP to another machine"):
        agent_config(joining("http://10.0.0.5:4566", False), DataDirectory(tmp_path), Size(cpus=1, memory_mib=512))
    made = agent_config(joining("http://10.0.0.5:4566", True), DataDirectory(tmp_path), Size(cpus=1, memory_mib=512))
    assert made.endpoint == "http://10.0.0.5:4566"


def test_a_balancer_host_is_not_given_keys_over_plain_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGSHORE_INSECURE", raising=False)
    with pytest.raises(Failure, match="plain HTTP to another machine"):
        balancer.balancer(server="http://10.0.0.5:4566", data_dir=tmp_path / "b")


def test_what_stands_open_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not list(open_doors(config(tmp_path, "127.0.0.1", dev=True)))
    assert not list(open_doors(config(tmp_path, "0.0.0.0", tls=Tls())))
    told = list(open_doors(config(tmp_path, "0.0.0.0", insecure=True, dev=True, rate_limits="off")))
    assert [words.split(" at ")[0] for words in told] == ["plain HTTP", "--dev", "no rate limits"]
    print_status(Status(status="running", data_dir=str(tmp_path), endpoint="http://x", insecure=tuple(told)))
    assert capsys.readouterr().out.count("INSECURE") == 3


def test_secrets_that_others_may_read_are_found(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    data.credentials()
    assert not list(readable_secrets(data))
    data.credentials_file.chmod(0o640)
    data.root.chmod(0o755)
    assert list(readable_secrets(data)) == [data.root, data.credentials_file]


def test_the_doctor_says_what_stands_open_and_how_to_close_it(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    data.credentials()

    def said(server: ServerConfig) -> list[tuple[str, str]]:
        write_platform(data.platform_file, PlatformConfig(server=server))
        nothing = environment({"HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere", "LONGSHORE_HAPROXY": "/nowhere"})
        return [(finding.verdict, finding.text) for finding in examine(nothing, data, "127.0.0.1", 1) if finding.name == "security"]

    assert said(config(data.root, "127.0.0.1")) == [("ok", "nothing stands open to others (this machine alone; rate limits: off)")]
    [(verdict, text)] = said(config(data.root, "10.0.0.5", insecure=True))
    assert verdict == "note" and text.startswith("plain HTTP at 10.0.0.5")
    data.credentials_file.chmod(0o644)
    assert any("credentials.json" in text for _, text in said(config(data.root, "127.0.0.1")))

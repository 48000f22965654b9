"""Logging in to the registry: which platform is asked as whom, to whom a password is given, and docker's own settings."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from longshore.cli import ecr_login
from longshore.cli.ecr_login import Access, find_access, serves
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import Credentials
from longshore.environment import environment
from tests.cli.conftest import Home

KEYS = Credentials("AKIAFILE", "of-the-file")


class Platform(BaseHTTPRequestHandler):
    """Knows one answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        asked = self.headers["X-Amz-Target"].endswith(".GetAuthorizationToken") and "AKIA" in self.headers["Authorization"]
        token = base64.b64encode(b"AWS:the password").decode()
        data = {"authorizationToken": token, "expiresAt": 1.0, "proxyEndpoint": f"http://{self.headers['Host']}"}
        body = json.dumps({"authorizationData": [data]} if asked else {"__type": "AccessDeniedException", "message": "no"}).encode()
        self.send_response(200 if asked else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def platform(home: Home) -> Iterator[str]:
    """Host and port of a platform, which the AWS profile tells of."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    write_profile(home, f"http://{address}")
    yield address
    server.shutdown()
    server.server_close()


def write_profile(home: Home, endpoint: str, name: str = "longshore") -> None:
    directory = home.path / ".aws"
    directory.mkdir(exist_ok=True)
    (directory / "config").write_text(
        f"[default]\nregion = x\n[profile {name}]\nregion = eu-west-1\nendpoint_url = {endpoint}\nca_bundle = /ca.pem\n"
    )
    (directory / "credentials").write_text(
        f"[{name}]\naws_access_key_id = {KEYS.access_key_id}\naws_secret_access_key = {KEYS.secret_access_key}\n"
    )


def helper(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: str, given: str = ""
) -> tuple[int, str]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "LONGSHORE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    code = ecr_login.helper([request], given)
    return code, capsys.readouterr().out


def test_a_helper_gives_the_password_of_the_platform_to_whoever_asks_for_it(
    home: Home, platform: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in (platform, f"https://{platform}", f"http://{platform}/v2/", platform.replace("127.0.0.1", "localhost")):
        code, said = helper(home, capsys, monkeypatch, "get", server)
        assert (code, json.loads(said)) == (0, {"ServerURL": server, "Username": "AWS", "Secret": "the password"})
    assert json.loads(helper(home, capsys, monkeypatch, "list")[1]) == {platform: "AWS"}
    for request in ("store", "erase"):
        assert helper(home, capsys, monkeypatch, request, "anything") == (0, "")


def test_nobody_else_gets_it(home: Home, platform: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for server in ("https://index.docker.io/v1/", "127.0.0.1:1", "", f"example.com:{platform.partition(':')[2]}", "127.0.0.1:port", "["):
        assert helper(home, capsys, monkeypatch, "get", server) == (1, "credentials not found in native keychain\n"), server
    write_profile(home, "http://127.0.0.1:1")
    code, said = helper(home, capsys, monkeypatch, "get", "127.0.0.1:1")
    assert code == 1 and "nothing answers at http://127.0.0.1:1" in said
    home.variables["AWS_PROFILE"] = "absent"
    code, said = helper(home, capsys, monkeypatch, "get", platform)
    assert code == 1 and "AWS profile 'absent'" in said


@pytest.mark.parametrize(
    ("endpoint", "server", "given"),
    [
        ("https://127.0.0.1:4566", "127.0.0.1:4566", True),
        ("https://127.0.0.1:4566", "https://LOCALHOST:4566", True),
        ("https://127.0.0.1:4566", "123456789012.dkr.ecr.eu-west-1.localhost:4566", True),
        ("https://127.0.0.1:4566", "123456789012.dkr.ecr.eu-west-1.localhost.evil.com:4566", False),
        ("https://127.0.0.1:4566", "evil.com:4566", False),
        ("https://127.0.0.1:4566", "https://127.0.0.1:4566@evil.com/", False),
        ("https://127.0.0.1:4566", "127.0.0.1", False),
        ("https://127.0.0.1:443", "https://127.0.0.1", True),
        ("https://box.example:4566", "box.example:4566", True),
        ("https://box.example:4566", "localhost:4566", False),
    ],
)
def test_a_token_goes_to_the_platform_itself_only(endpoint: str, server: str, given: bool) -> None:
    assert serves(Access(endpoint, "us-east-1", KEYS, None, None), server) is given


def test_endpoint_and_keys_come_from_one_source(home: Home) -> None:
    write_profile(home, "http://127.0.0.1:2")
    real = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "of-aws-itself", "AWS_SESSION_TOKEN": "t"}
    of_profile = Access("http://127.0.0.1:2", "eu-west-1", KEYS, None, "/ca.pem")
    assert find_access(environment(home.variables)) == of_profile
    assert find_access(environment(home.variables | real)) == of_profile
    elsewhere = find_access(environment(home.variables | real | {"AWS_ENDPOINT_URL": "http://127.0.0.1:3/"}))
    assert elsewhere == Access("http://127.0.0.1:3", "eu-west-1", Credentials("AKIAREAL", "of-aws-itself"), "t", "/ca.pem")
    with pytest.raises(Failure, match="neither the environment nor the AWS profile 'other'"):
        find_access(environment(home.variables | real | {"AWS_PROFILE": "other"}))


def test_the_command_hands_the_password_to_the_program_on_its_standard_input(home: Home, platform: str) -> None:
    docker = home.path / "bin" / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" > {home.path}/arguments\ncat > {home.path}/input\n')
    docker.chmod(0o755)
    home.variables["PATH"] = f"{docker.parent}:/usr/bin:/bin"
    done = home.longshore("ecr-login")
    assert (done.returncode, done.stdout) == (0, f"logged in to {platform}\n"), done.stderr
    assert (home.path / "arguments").read_text() == f"login --username AWS --password-stdin {platform}\n"
    assert (home.path / "input").read_text() == "the password"
    docker.write_text("#!/bin/sh\necho 'Error: no such host' >&2\nexit 1\n")
    refused = home.longshore("ecr-login", "--with", "docker")
    assert refused.returncode == ExitCode.FAILED and "no such host" in refused.stderr
    assert "the password" not in done.stdout + done.stderr + refused.stdout + refused.stderr
    assert home.longshore("ecr-login", "--with", "rm").returncode == ExitCode.USAGE


def test_installing_it_leaves_the_rest_of_dockers_settings_as_they_were(home: Home, platform: str) -> None:
    file = home.path / ".docker" / "config.json"
    file.parent.mkdir()
    real = home.path / "dotfiles.json"
    theirs = {"auths": {platform: {"auth": "old"}, "other": {"auth": "x"}}, "credHelpers": {"gcr.io": "gcloud"}, "psFormat": "x"}
    real.write_text(json.dumps(theirs))
    file.symlink_to(real)
    done = home.longshore("ecr-login", "--install")
    assert done.returncode == 0, done.stderr
    wanted = {"auths": {"other": {"auth": "x"}}, "credHelpers": {"gcr.io": "gcloud", platform: "longshore"}, "psFormat": "x"}
    assert file.is_symlink() and json.loads(real.read_text()) == wanted
    assert home.longshore("ecr-login", "--install").returncode == 0 and json.loads(real.read_text()) == wanted
    assert home.longshore("ecr-login", "--install", "--registry", "ghcr.io").returncode == ExitCode.USAGE
    for broken in ("[]", "{", '{"credHelpers": 1}'):
        real.write_text(broken)
        refused = home.longshore("ecr-login", "--install")
        assert refused.returncode == ExitCode.FAILED and "is not what docker writes there" in refused.stderr
        assert real.read_text() == broken


def test_the_helper_is_a_program_that_docker_finds_by_its_name() -> None:
    import sys

    assert (Path(sys.executable).with_name(f"docker-credential-{ecr_login.HELPER}")).exists()

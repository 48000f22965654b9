"""Profiles of the user's AWS files, and where a command reads from that is given one."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.cli.aws_profiles import read_profile
from longshore.cli.client import Platform
from longshore.cli.elb_copy.where import source_platform
from longshore.cli.outcome import Failure
from longshore.config import Credentials
from longshore.environment import environment

HERE = Platform("http://127.0.0.1:4566", "us-east-1", Credentials("AKIAHERE", "here"))


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        "[default]\nregion = eu-north-1\n[profile work]\nregion = eu-west-1\n"
        "[profile lab]\nendpoint_url = http://lab:4566/\naws_access_key_id = AKIALAB\naws_secret_access_key = lab\n"
    )
    credentials.write_text(
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = d\n"
        "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = w\naws_session_token = token\n"
    )
    given = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "LONGSHORE_ENDPOINT", "LONGSHORE_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


def test_a_profile_is_read_from_both_files(variables: dict[str, str]) -> None:
    work = read_profile(environment(variables), "work")
    assert (work.credentials, work.session_token, work.region) == (Credentials("AKIAWORK", "w"), "token", "eu-west-1")
    lab = read_profile(environment(variables), "lab")
    assert lab.credentials == Credentials("AKIALAB", "lab") and lab.endpoint == "http://lab:4566/"
    assert read_profile(environment(variables), None).credentials == Credentials("AKIADEFAULT", "d")
    with pytest.raises(Failure, match="there is no AWS profile 'nobody'"):
        read_profile(environment(variables), "nobody")


def test_keys_of_the_environment_come_before_the_default_profile_and_not_before_a_named_one(variables: dict[str, str]) -> None:
    given = environment(variables | {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "e"})
    assert read_profile(given, None).credentials == Credentials("AKIAENV", "e")
    assert read_profile(given, "work").credentials == Credentials("AKIAWORK", "w")


def test_a_profile_without_an_endpoint_means_aws(variables: dict[str, str]) -> None:
    assert source_platform(HERE, None, "us-west-2", None) is HERE
    assert source_platform(HERE, None, None, "work").endpoint == "https://elasticloadbalancing.eu-west-1.amazonaws.com"
    assert source_platform(HERE, None, "us-west-2", "work").endpoint == "https://elasticloadbalancing.us-west-2.amazonaws.com"
    assert source_platform(HERE, None, None, "lab").endpoint == "http://lab:4566"
    assert source_platform(HERE, "http://other:1/", None, "work").endpoint == "http://other:1"

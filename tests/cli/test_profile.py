"""The AWS profile: ours is written, everyone else's is left alone."""

from __future__ import annotations

import stat
from pathlib import Path

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli import profile
from longshore.config import Credentials
from longshore.environment import environment

KEY = Credentials("AKIAEXAMPLE", "secret/with+signs=")
THEIRS = """\
# mine, do not touch
[default]
region=eu-west-1
[profile longshore]
output = table
region = old
s3 =
    addressing_style = path

[profile work]
sso_start_url = https://example.org
"""


def test_only_our_own_keys_of_our_own_section_change() -> None:
    changed = profile.with_section(THEIRS, "profile longshore", {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:4566"})
    assert changed == THEIRS.replace(
        "[profile longshore]\n", "[profile longshore]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:4566\n"
    ).replace("region = old\n", "")


def test_a_section_that_is_not_there_is_added_at_the_end() -> None:
    assert profile.with_section("[default]\nregion=x", "longshore", {"a": "1"}) == "[default]\nregion=x\n\n[longshore]\na = 1\n"
    assert profile.with_section("", "longshore", {"a": "1"}) == "[longshore]\na = 1\n"


@given(st.lists(st.sampled_from([*THEIRS.splitlines(), "[longshore]", "a = 0", "b=2", ""])).map("\n".join))
def test_writing_twice_is_writing_once_and_nobody_elses_line_is_lost(text: str) -> None:
    once = profile.with_section(text, "longshore", {"a": "1"})
    assert profile.with_section(once, "longshore", {"a": "1"}) == once
    kept = [line for line in text.splitlines() if line != "a = 0"]
    assert [line for line in kept if line.strip()] == [line for line in once.splitlines() if line.strip() and line in kept]


def test_botocore_reads_the_profile_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "deep/keys"),
    }
    (tmp_path / "config").write_text(THEIRS)
    profile.write("http://127.0.0.1:4599", "us-west-2", KEY, environment(variables))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session = botocore.session.Session(profile="longshore")
    client = session.create_client("ecs")
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:4599", "us-west-2")
    found = session.get_credentials()
    assert (found.access_key, found.secret_key) == (KEY.access_key_id, KEY.secret_access_key)
    assert stat.S_IMODE((tmp_path / "deep/keys").stat().st_mode) == 0o600


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text("[default]\n")
    (tmp_path / "config").symlink_to(tmp_path / "dotfiles")
    profile.write("http://127.0.0.1:1", "us-east-1", KEY, environment({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")}))
    assert (tmp_path / "config").is_symlink()
    assert "[profile longshore]" in (tmp_path / "dotfiles").read_text()

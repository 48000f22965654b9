"""Credentials of roles as the agent keeps them."""

from __future__ import annotations

import msgspec

from longshore.agent import messages
from longshore.agent.credentials import RoleCredentialsStore, without_keys


def given(identifier: str, key: str = "ASIA1") -> messages.RoleCredentials:
    return messages.RoleCredentials(
        credentials_id=identifier, role_arn="r", access_key_id=key, secret_access_key="s3cr3t", session_token="t"
    )


def task(arn: str, role: str = "", execution: str = "") -> messages.Task:
    return messages.Task(
        arn=arn,
        desired_status="RUNNING",
        role_credentials=given(role) if role else None,
        execution_role_credentials=given(execution) if execution else None,
    )


def test_a_renewal_takes_the_place_of_what_the_payload_brought() -> None:
    kept = RoleCredentialsStore()
    one = task("t", "app", "exec")
    assert kept.for_task(one) is None and kept.for_execution(one) is None, "a task of the journal brings ids only"
    kept.keep(given("app"))
    kept.keep(given("exec", "ASIA2"))
    kept.keep(given("exec", "ASIA3"))
    assert [found.access_key_id for found in (kept.for_task(one), kept.for_execution(one)) if found] == ["ASIA1", "ASIA3"]
    assert kept.for_execution(task("u", "app")) is None


def test_credentials_of_tasks_that_are_gone_are_forgotten() -> None:
    kept = RoleCredentialsStore()
    for identifier in ("a", "b", "c"):
        kept.keep(given(identifier))
    kept.retain([task("t", "a", "c")])
    assert len(kept) == 2 and kept.get("b") is None


def test_no_key_lies_on_the_disk_and_the_ids_do() -> None:
    payload = msgspec.json.encode({"arn": "t", "desiredStatus": "RUNNING", "roleCredentials": given("app"), "containers": []})
    kept = without_keys(payload)
    assert b"s3cr3t" not in kept and b"ASIA1" not in kept
    read = msgspec.json.decode(kept, type=messages.Task)
    assert read.role_credentials == messages.RoleCredentials(credentials_id="app", role_arn="r")
    plain = b'{"arn":"t","desiredStatus":"RUNNING"}'
    assert without_keys(plain) is plain

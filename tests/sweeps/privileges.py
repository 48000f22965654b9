"""What the swept house has recorded, and requests about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sweeps.installation import Installation, Keys

_RECORDING = "watch"


async def record(there: Installation, names: dict[str, str], keys: Keys) -> None:
    """A recording that runs, and has seen one call. `keys` are anybody's."""
    await there.done("iam", "LongshoreStartRecording", RecordingName=_RECORDING, Principals=[names["role"]])
    names["recording"] = f"arn:aws:iam::{names['role'].split(':')[4]}:longshore-recording/{_RECORDING}"
    given = (await there.done("sts", "AssumeRole", RoleArn=names["role"], RoleSessionName="seen"))["Credentials"]
    session = replace(keys, access_key_id=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given["SessionToken"])
    await there.ask("ecs", "DescribeClusters", {"clusters": ["edge"]}, session)
    await there.done("iam", "LongshoreListRecordings")


def privileges_named() -> dict[str, Any]:
    change = {"Action": "delete", "RoleName": "deploy", "PolicyName": "inline"}
    return {"RecordingName": _RECORDING, "Changes": [change]}


def privileges_more() -> dict[tuple[str, str], dict[str, Any]]:
    explained = {"Principal": "role/deploy", "ActionName": "ecs:RunTask", "Resource": "cluster/edge"}
    return {
        ("iam", "LongshoreExplainDecision"): explained,
        ("iam", "LongshoreStartRecording"): {"RecordingName": "other", "Principals": []},
        ("iam", "LongshoreReplayRecording"): {"RecordingName": _RECORDING},
    }

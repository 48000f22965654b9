"""Account settings: whose they are, what they may be, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AccessDenied
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Principal, Session
from longshore.services.ecs.api import api
from longshore.services.ecs.model import TaskDefinition
from longshore.services.ecs.settings.log_mode import log_mode_for, with_log_mode
from longshore.services.ecs.settings.rules import RULES
from tests.services.ecs.conftest import ACCOUNT, ROOT, Ecs, botocore_model

ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANN", "AKIAANN")
WORKER = f"arn:aws:iam::{ACCOUNT}:role/worker"
AT_WORK = Principal(
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session",
    "AROAWORKER:session",
    "ASIAWORKER",
    session=Session(role_arn=WORKER, role_id="AROAWORKER", issued_at=0.0, expires_at=9e9, token=""),
)


def as_(ecs: Ecs, principal: Principal) -> Ecs:
    return replace(ecs, call=replace(ecs.call, principal=principal))


async def effective(ecs: Ecs, name: str, **members: str) -> str:
    (setting,) = (await ecs("ListAccountSettings", name=name, effectiveSettings=True, **members))["settings"]
    return str(setting["value"])


def test_every_setting_of_the_model_has_a_rule() -> None:
    assert set(RULES) == set(botocore_model().shape_for("SettingName").enum)
    assert all(rule.default in rule.values for rule in RULES.values())


async def test_nothing_is_set_until_somebody_sets_it_but_everything_is_in_effect(ecs: Ecs) -> None:
    assert (await ecs("ListAccountSettings"))["settings"] == []
    first = await ecs("ListAccountSettings", effectiveSettings=True)
    rest = await ecs("ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    assert len(first["settings"]) == 10
    assert {one["name"]: one["value"] for one in first["settings"] + rest["settings"]} == {
        name: rule.default for name, rule in RULES.items()
    }
    assert {one["type"] for one in first["settings"] if one["name"] == "guardDutyActivate"} == {"aws_managed"}


async def test_ones_own_comes_before_the_accounts_and_that_before_the_default(ecs: Ecs) -> None:
    ann = as_(ecs, ANN)
    assert await effective(ann, "containerInsights") == "disabled"
    put = await ecs("PutAccountSettingDefault", name="containerInsights", value="enabled")
    assert put["setting"] == {"name": "containerInsights", "value": "enabled", "principalArn": ROOT.arn, "type": "user"}
    assert await effective(ann, "containerInsights") == "enabled"
    await ann("PutAccountSetting", name="containerInsights", value="enhanced")
    assert await effective(ann, "containerInsights") == "enhanced"
    assert await effective(ecs, "containerInsights") == "enabled"
    gone = await ann("DeleteAccountSetting", name="containerInsights")
    assert gone["setting"]["value"] == "enabled"
    assert (await ann("ListAccountSettings"))["settings"] == []


async def test_a_session_has_its_roles_settings(ecs: Ecs) -> None:
    await ecs("PutAccountSetting", name="awsvpcTrunking", value="enabled", principalArn=WORKER)
    assert await effective(as_(ecs, AT_WORK), "awsvpcTrunking") == "enabled"
    assert (await as_(ecs, AT_WORK)("PutAccountSetting", name="awsvpcTrunking", value="disabled"))["setting"]["principalArn"] == WORKER


async def test_only_the_root_user_sets_for_others(ecs: Ecs) -> None:
    await ecs("PutAccountSetting", name="awsvpcTrunking", value="enabled", principalArn=ANN.arn)
    with pytest.raises(AccessDenied):
        await as_(ecs, ANN)("PutAccountSetting", name="awsvpcTrunking", value="enabled", principalArn=WORKER)
    with pytest.raises(AccessDenied):
        await as_(ecs, ANN)("DeleteAccountSetting", name="awsvpcTrunking", principalArn=ROOT.arn)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("taskLongArnFormat", "disabled"),
        ("containerInsights", "on"),
        ("tagResourceAuthorization", "enabled"),
        ("guardDutyActivate", "on"),
        ("fargateTaskRetirementWaitPeriod", "8"),
        ("defaultLogDriverMode", ""),
    ],
)
async def test_what_a_setting_cannot_be_is_refused(ecs: Ecs, name: str, value: str) -> None:
    assert (await ecs.refused("PutAccountSettingDefault", name=name, value=value))[0] == "InvalidParameterException"


async def test_the_accounts_settings_are_not_a_users_to_set(ecs: Ecs) -> None:
    refused = await as_(ecs, ANN).refused("PutAccountSetting", name="fargateTaskRetirementWaitPeriod", value="14")
    assert refused[0] == "InvalidParameterException"
    await ecs("PutAccountSetting", name="fargateTaskRetirementWaitPeriod", value="14")


@pytest.mark.parametrize("arn", ["ann", "arn:aws:iam::999999999999:user/ann", f"arn:aws:iam::{ACCOUNT}:group/staff", "arn:aws:iam::"])
async def test_principals_are_users_roles_and_the_root_user_of_the_account(ecs: Ecs, arn: str) -> None:
    for operation in ("PutAccountSetting", "DeleteAccountSetting", "ListAccountSettings"):
        members = {"value": "enabled"} if operation == "PutAccountSetting" else {}
        assert (await ecs.refused(operation, name="awsvpcTrunking", principalArn=arn, **members))[0] == "InvalidParameterException"


async def test_a_value_is_looked_for_under_its_name_only(ecs: Ecs) -> None:
    await ecs("PutAccountSetting", name="awsvpcTrunking", value="enabled")
    assert len((await ecs("ListAccountSettings", name="awsvpcTrunking", value="enabled"))["settings"]) == 1
    assert (await ecs("ListAccountSettings", name="awsvpcTrunking", value="disabled"))["settings"] == []
    assert (await ecs.refused("ListAccountSettings", value="enabled"))[0] == "InvalidParameterException"


async def test_new_clusters_have_the_container_insights_of_whoever_makes_them(ecs: Ecs) -> None:
    await ecs("PutAccountSettingDefault", name="containerInsights", value="enhanced")
    made = await ecs("CreateCluster", clusterName="watched")
    assert made["cluster"]["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    made = await ecs("CreateCluster", clusterName="not", settings=[{"name": "containerInsights", "value": "disabled"}])
    assert made["cluster"]["settings"] == [{"name": "containerInsights", "value": "disabled"}]


async def test_whoever_creates_with_tags_must_be_allowed_to_tag_unless_the_account_says_otherwise(ecs: Ecs) -> None:
    also = api.operations["CreateCluster"].also
    assert also is not None
    request = shapes.CreateClusterRequest(cluster_name="c", tags=(shapes.Tag(key="a", value="b"),))
    assert list(also(ecs.call, request)) == [("ecs:TagResource", ecs.call.arn("ecs", "cluster/c"))]
    assert list(also(ecs.call, shapes.CreateClusterRequest(cluster_name="c"))) == []
    await ecs("PutAccountSettingDefault", name="tagResourceAuthorization", value="off")
    assert list(also(ecs.call, request)) == []


def test_logs_are_delivered_as_the_account_says_where_their_definition_does_not() -> None:
    def told(log: dict[str, Any] | None, mode: str) -> Any:
        container = {"name": "app", "logConfiguration": log} if log else {"name": "app"}
        definition = msgspec.convert({"containerDefinitions": [container]}, shapes.TaskDefinition)
        (after,) = with_log_mode(TaskDefinition("arn", "web", 1, definition), mode).definition.container_definitions or ()
        return after.log_configuration.options if after.log_configuration is not None else None

    journal = {"logDriver": "journald", "options": {"tag": "x"}}
    assert told(journal, "non-blocking") == {"tag": "x", "mode": "non-blocking", "max-buffer-size": "10m"}
    assert told(journal, "blocking") == {"tag": "x"}
    own = {"logDriver": "journald", "options": {"mode": "blocking"}}
    assert told(own, "non-blocking") == {"mode": "blocking"}
    assert told({"logDriver": "awsfirelens"}, "non-blocking") is None
    assert told(None, "non-blocking") is None


async def test_the_accounts_log_mode_is_the_root_users(ecs: Ecs) -> None:
    arn = ecs.call.arn("ecs", "task/default/1")
    assert log_mode_for(ecs.call.store, arn) == "blocking"
    await ecs("PutAccountSettingDefault", name="defaultLogDriverMode", value="non-blocking")
    assert log_mode_for(ecs.call.store, arn) == "non-blocking"

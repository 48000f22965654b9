"""`longshore iam explain, record, policy, dry-run`: what is asked, how it is shown, and the whole way from a recording to a policy."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from longshore.cli.iam import app, entries
from longshore.cli.iam_answers import Difference, Explained, Policy, Remedy, Replayed, Statement, Unmet
from longshore.cli.iam_events import read_event, read_message
from longshore.cli.iam_recordings import changes_of, lasting
from longshore.cli.iam_tables import print_explained, print_replayed
from longshore.cli.outcome import Failure
from tests.gateway.place import ROLE, Place, furnished
from tests.sweeps.installation import OWNER, REGION, ROOT

EDGE = f"arn:aws:ecs:{REGION}:{OWNER}:cluster/edge"


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Place]:
    async with furnished() as place, place.there.over_http():
        place.there.clock._now = time.time()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{place.there.port}",
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret,
            "AWS_REGION": REGION,
            "COLUMNS": "120",
            "LONGSHORE_DATA_DIR": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        yield place


async def said(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


# ── over the wire ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_from_a_recording_to_a_policy_that_breaks_nothing(place: Place, tmp_path: Path) -> None:
    wide = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    await place.there.done("iam", "PutRolePolicy", RoleName="deploy", PolicyName="wide", PolicyDocument=json.dumps(wide))
    begun = await said("record", "start", "seen", "--principal", "role/deploy", "--for", "2h")
    assert begun.exit_code == 0 and "seen  of role/deploy, runs until" in begun.output
    session = await place.assume()
    assert (await place.ask("ecs", "DescribeClusters", session, clusters=["edge"])).status == 200
    listed = await said("record", "list")
    assert "role/deploy" in listed.output
    shown = await said("record", "show", "seen")
    assert "ecs:DescribeClusters" in shown.output and "cluster/edge" in shown.output
    written = await asyncio.to_thread(CliRunner().invoke, app, ["policy", "seen"])
    document = json.loads(written.stdout)
    assert document["Statement"] == [{"Effect": "Allow", "Action": "ecs:DescribeClusters", "Resource": EDGE}]
    assert "# allows 1 recorded call of role/deploy" in written.stderr

    (tmp_path / "narrow.json").write_text(written.stdout)
    same = ("--role", "deploy", "--policy-name", "wide", "--recording", "seen")
    fine = await said("dry-run", *same, "--document", str(tmp_path / "narrow.json"))
    assert fine.exit_code == 0 and "nothing would have been denied" in fine.output
    (tmp_path / "none.json").write_text(json.dumps({**wide, "Statement": {**wide["Statement"], "Effect": "Deny"}}))  # type: ignore[dict-item]
    broken = await said("dry-run", *same, "--document", str(tmp_path / "none.json"))
    assert broken.exit_code == 1 and "wide, statement 1, denies it" in broken.output
    assert (await said("record", "stop", "seen")).exit_code == 0
    assert "seen is deleted" in (await said("record", "rm", "seen")).output


async def test_a_change_is_tried_on_what_comes(place: Place, tmp_path: Path) -> None:
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ecs:*", "Resource": "*"}}
    (tmp_path / "no.json").write_text(json.dumps(document))
    done = await said(
        "dry-run", "--live", "try", "--user", "ann", "--policy-name", "no", "--document", str(tmp_path / "no.json"), "--for", "1h"
    )
    assert done.exit_code == 0, done.output
    await place.there.allow({"Effect": "Allow", "Action": "ecs:*", "Resource": "*"})
    assert (await place.ask("ecs", "DescribeClusters", place.ann, clusters=["edge"])).status == 200
    shown = await said("record", "show", "try")
    assert "with the changed policies 1 would have been denied, 0 allowed" in shown.output


async def test_a_decision_is_explained_and_says_so_in_its_exit_code(place: Place) -> None:
    refused = await said("explain", "user/ann", "ecs:DescribeClusters", "cluster/edge")
    assert refused.exit_code == 1
    assert "DENIED  user/ann may not ecs:DescribeClusters on cluster/edge" in refused.output
    assert "To be allowed" in refused.output
    await place.there.allow({"Effect": "Allow", "Action": "ecs:*", "Resource": "*"})
    allowed = await said("explain", "user/ann", "ecs:DescribeClusters", "cluster/edge", "-o", "json")
    assert allowed.exit_code == 0 and json.loads(allowed.stdout)["Decision"] == "allowed"
    assert (await said("explain", "role/deploy", "ecs:RunTask", "-c", "nonsense")).exit_code != 0
    assert "no user or role" in str((await said("explain", ROLE + "x", "ecs:RunTask")).exception)


async def test_a_message_of_a_refusal_is_explained(place: Place) -> None:
    refusal = await place.ask("ec2", "DescribeVpcs", place.ann)
    done = await said("explain", "--message", refusal.message)
    assert "user/ann may not ec2:DescribeVpcs on *" in done.output


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_context_is_keys_with_values() -> None:
    assert entries(["aws:SourceIp=10.0.0.1", "aws:RequestTag/a=b=c", "aws:SourceIp=10.0.0.2"]) == {
        "aws:SourceIp": ["10.0.0.1", "10.0.0.2"],
        "aws:RequestTag/a": ["b=c"],
    }
    with pytest.raises(Failure):
        entries(["SourceIp"])


@pytest.mark.parametrize("text", ["1s", "91d", "soon", ""])
def test_a_recording_lasts_a_minute_to_ninety_days(text: str) -> None:
    assert lasting("1h") == 3600
    with pytest.raises(Failure):
        lasting(text)


def options(**given: Any) -> list[dict[str, Any]]:
    none: dict[str, Any] = dict.fromkeys(("policy_name", "delete", "policy_arn", "attach", "detach", "boundary", "document"))
    return changes_of(**{"holder": {"RoleName": "ci"}, **none, **given})


def test_options_become_changes_in_an_order_that_makes_sense() -> None:
    assert options(policy_name="p", document="{}") == [{"Action": "put", "RoleName": "ci", "PolicyName": "p", "PolicyDocument": "{}"}]
    assert options(holder={}, policy_arn="arn:x", document="{}") == [{"Action": "version", "PolicyArn": "arn:x", "PolicyDocument": "{}"}]
    assert [one["Action"] for one in options(attach=["a"], detach=["b"], boundary="none")] == ["detach", "attach", "boundary"]
    assert options(boundary="none") == [{"Action": "boundary", "RoleName": "ci"}]


@pytest.mark.parametrize(
    "given",
    [{}, {"policy_name": "p"}, {"document": "{}"}, {"attach": ["a"], "document": "{}"}, {"holder": {}, "attach": ["a"]},
     {"holder": {"RoleName": "a", "UserName": "b"}, "delete": "p"}],
)  # fmt: skip
def test_options_that_do_not_add_up_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Failure):
        options(**given)


def test_a_decoded_message_and_an_event_are_questions() -> None:
    items = {"items": [{"key": "aws:SourceIp", "values": {"items": [{"value": "10.0.0.1"}]}}]}
    about = {"principal": {"arn": "arn:p"}, "action": "ec2:X", "resource": "*", "conditions": items}
    assert tuple(read_message(json.dumps({"context": about}))) == ("arn:p", "ec2:X", "*", {"aws:SourceIp": ["10.0.0.1"]}, True)
    event = {"eventSource": "ecs.amazonaws.com", "eventName": "RunTask", "awsRegion": "us-east-1", "userIdentity": {"arn": "arn:p"}}
    assert tuple(read_event(json.dumps(event))) == ("arn:p", "ecs:RunTask", "*", {"aws:RequestedRegion": ["us-east-1"]}, False)
    refused = {**event, "errorMessage": "User: arn:q is not authorized to perform: iam:PassRole on resource: arn:r because no …"}
    assert tuple(read_event(json.dumps(refused)))[:3] == ("arn:q", "iam:PassRole", "arn:r")
    for text in ("", "[]", "{}"):
        with pytest.raises(Failure):
            read_message(text)
        with pytest.raises(Failure):
            read_event(text)


# ── shown ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def explained(**more: Any) -> Explained:
    text = '{"Effect":"Allow","Action":"ecs:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/Team":"web"}}}'
    unmet = Unmet(operator="StringEquals", key="aws:resourcetag/team", wanted=("web",), given=("edge",))
    missed = Statement(number=1, effect="Allow", applied=False, missed="condition", unmet=unmet, begin_line=3, end_line=7, text=text)
    other = Statement(number=2, effect="Allow", applied=False, missed="action", text=text)
    denies = Statement(number=3, sid="Never", effect="Deny", applied=True, decides=True, begin_line=9, end_line=9, text='{"Effect":"Deny"}')
    policy = Policy(
        side="identity", kind="managed", name="edge", holder_arn=f"arn:aws:iam::{OWNER}:group/team", statements=(missed, other, denies)
    )
    known: dict[str, Any] = {"decision": "explicitDeny", "message": "User: x is not …", "policies": (policy,), "resource": EDGE}
    who = {"principal": f"arn:aws:iam::{OWNER}:user/ann", "identity": f"arn:aws:iam::{OWNER}:user/ann", "action_name": "ecs:RunTask"}
    return Explained(**{**known, **who, **more})


def shown(found: Explained, width: int = 120, **how: bool) -> str:
    out = io.StringIO()
    print_explained(Console(file=out, width=width, highlight=False), found, **{"everything": False, **how})
    return out.getvalue()


def test_what_decides_stands_first_and_what_missed_says_by_what() -> None:
    text = shown(explained())
    assert text.startswith("DENIED  user/ann may not ecs:RunTask on cluster/edge: statement 3 (Never) of edge denies it\n")
    assert "edge  managed, of group/team" in text
    assert "1 Allow  lines 3-7: its condition does not hold: StringEquals aws:ResourceTag/Team 'web', the request has 'edge'" in text
    assert "3 Deny (Never)  line 9: applies, and decides" in text
    assert "1 statement about other actions" in text and "2 Allow" not in text
    assert "2 Allow: is about other actions" in shown(explained(), everything=True)


def test_an_allow_of_a_whole_account_leaves_it_to_that() -> None:
    opens = Statement(number=1, effect="Allow", applied=True, reach="account", text="{}")
    policy = Policy(side="resource", kind="resource", name="repository policy", holder_arn="arn:r", statements=(opens,))
    assert "1 Allow: applies, and leaves it to the account's own policies" in shown(explained(policies=(policy,)))


def test_what_was_refused_and_is_not_any_more_is_said() -> None:
    assert "refused at the time" in shown(explained(decision="allowed", message=""), was_refused=True)
    assert "refused at the time" not in shown(explained(), was_refused=True)


def test_nothing_is_lost_where_there_is_little_room() -> None:
    text = "".join(line.strip() for line in shown(explained(), 44).splitlines())
    assert EDGE in text and max(map(len, shown(explained(), 44).splitlines())) <= 44


def test_accounts_are_named_where_they_differ_and_what_is_missing_is_said() -> None:
    remedy = Remedy(
        side="resource", verb="add", holder_arn="arn:r", account_id="222222222222", statement='{"Effect": "Allow"}', words="Allow it."
    )
    theirs = "arn:aws:ecr:us-east-1:222222222222:repository/app"
    text = shown(explained(resource=theirs, remedies=(remedy,), missing_context_keys=("aws:SourceIp",), notes=("A note.",), policies=()))
    assert f"user/ann of {OWNER} may not ecs:RunTask on repository/app of 222222222222" in text
    assert "Policies ask for what the question does not say: aws:SourceIp (--context KEY=VALUE)" in text
    assert "  Allow it.\n  on arn:r\n" in text and text.rstrip().endswith("A note.")


def test_what_others_wrote_is_neither_markup_nor_a_command_to_the_terminal() -> None:
    text = shown(explained(notes=("[red]x\x1b[31m",), resource="arn:aws:ecs:us-east-1:1:cluster/[bold]\x1b"))
    assert "\x1b" not in text and "[red]x" in text and "[bold]" in text


def test_differences_alike_are_one_row() -> None:
    one = Difference(
        principal=ROLE, action="ecs:RunTask", resource=EDGE, requests=2, last_at=0, before="a", after="no policy allows it", side="identity"
    )
    found = Replayed(breaks=(one, one), calls=5, unchanged=3, since_changed=1, requests_denied=4, recordings=("r",), principals=(ROLE,))
    out = io.StringIO()
    print_replayed(Console(file=out, width=100, highlight=False), found, everything=False)
    text = out.getvalue()
    assert "4 requests would have been denied (5 calls of role/deploy, recorded in r)" in text
    assert text.count("ecs:RunTask") == 1 and "  4         no policy allows it" in text
    assert "1 call is decided otherwise today" in text

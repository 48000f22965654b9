"""`longshore ecr`: how previews and events are shown, and what is asked for them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest
from rich.console import Console

from longshore.cli import ecr
from longshore.cli.ecr_answers import Event, Preview
from longshore.cli.ecr_tables import age, console, event_line, print_preview, rule_in_words
from tests.cli.conftest import Home

NOW = 1_700_000_000.0
POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "[red]old\x1b[31m",
                "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
                "action": {"type": "expire"},
            }
        ]
    }
)


def image(digest: str, **members: Any) -> dict[str, Any]:
    base = {"imageDigest": f"sha256:{digest * 64}", "imagePushedAt": NOW - 9 * 86_400, "imageSizeInBytes": 2_097_152}
    return {**base, "storageClass": "STANDARD", "decision": "KEEP", "reason": "NO_RULE", **members}


def answer(*images: dict[str, Any], **members: Any) -> dict[str, Any]:
    counts = ("expiringImageCount", "expiringSizeInBytes", "transitioningImageCount", "transitioningSizeInBytes", "keptImageCount")
    more = ("keptSizeInBytes", "keptInUseImageCount", "freedSizeInBytes", "usedImageCount")
    return {
        "registryId": "000000000000",
        "repositoryName": "app/web",
        "lifecyclePolicyText": POLICY,
        "evaluatedAt": NOW,
        "keepImagesInUse": False,
        "images": images,
        "summary": dict.fromkeys([*counts, *more], 0),
        **members,
    }


def shown(found: dict[str, Any], width: int = 80, *, everything: bool = False) -> str:
    out = io.StringIO()
    print_preview(Console(file=out, width=width, highlight=False), msgspec.convert(found, Preview), everything=everything)
    return out.getvalue()


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TASK = {"type": "task", "arn": "arn:aws:ecs:us-east-1:000000000000:task/main/" + "0123abcd" * 4}
GOING = image("a", imageTags=["v1", "v2", "v3", "v4"], decision="EXPIRE", reason="RULE", rulePriority=1, usedBy=[TASK])
LATER = image("b", reason="KEPT_BY_RULE", rulePriority=1, expected={"inDays": 12, "at": NOW, "action": "TRANSITION", "rulePriority": 2})


def test_every_image_stands_with_its_reason_in_one_of_three_tables() -> None:
    forecast = {"days": 30, "stepDays": 1, "pushRates": [{"pushesPerDay": 1.5, "imageSizeInBytes": 1}], "perDay": []}
    staying = [
        image("c", reason="IN_USE", rulePriority=3),
        image("d", reason="PART_OF_INDEX", heldBy="sha256:" + "e" * 64),
        image("f", storageClass="ARCHIVE"),
    ]
    text = shown(answer(GOING, LATER, *staying, forecast=forecast), 120)
    now, _, rest = text.partition("Goes now: 1 image, 2.0 MiB")[2].partition("Goes within 30 days: 1 image, 2.0 MiB")
    later, _, stays = rest.partition("Stays: 3 images, 6.0 MiB")
    assert "aaaaaaaaaaaa  v1, v2, v3 +1  9 d ago  2.0 MiB  rule 1  task 0123abcd" in now
    assert "bbbbbbbbbbbb  –" in later
    assert "in 12 d, " in later
    assert "rule 2 → archive" in later
    assert "in use; rule 3 would take it" in stays
    assert "part of eeeeeeeeeeee" in stays
    assert "archived; no rule selects it" in stays
    assert "The next 30 days at 1.5 pushes a day" in stays


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    users = [{"type": "task-definition", "arn": f"arn:aws:ecs:us-east-1:0:task-definition/a-family-with-a-name:{n}"} for n in range(5)]
    tags = [f"feature-with-a-long-name-{n}" for n in range(5)]
    text = shown(answer(GOING, image("b", imageTags=tags, usedBy=users, decision="EXPIRE", reason="RULE", rulePriority=1)), width)
    assert max(map(len, text.splitlines())) <= width


def test_long_tables_are_cut_unless_all_is_asked_for() -> None:
    many = answer(*[image("a")] * 100)
    assert "… and 60 more; --all shows them" in shown(many)
    assert shown(many).count("aaaaaaaaaaaa") == 40
    assert shown(many, everything=True).count("aaaaaaaaaaaa") == 100


def test_what_others_wrote_is_neither_markup_nor_a_command_to_the_terminal() -> None:
    text = shown(answer(GOING), 140)
    assert "any image, pushed more than 7 d ago, expire ([red]old�[31m)" in text
    assert "\x1b" not in text


def test_a_repository_with_nothing_to_do_is_told_so() -> None:
    text = shown(answer())
    assert "Goes now: nothing" in text
    assert "0 images would expire (0 B); 0 stay (0 B)" in text


def test_the_forecast_is_told_by_weeks_in_which_something_goes() -> None:
    def day(number: int, expiring: int, future: int) -> dict[str, Any]:
        counts = {"expiring": expiring, "expiringFuture": future, "transitioning": 0, "transitioningFuture": 0}
        return {"day": number, "at": NOW + number * 86_400, "sizeInBytes": expiring * 1024, **counts}

    days = [day(number, int(number in (0, 6, 15)), int(number > 20)) for number in range(31)]
    text = shown(answer(forecast={"days": 30, "stepDays": 1, "pushRates": [], "perDay": days}))
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith("2023-")]
    assert rows == [["2", "2.0", "KiB"], ["1", "1.0", "KiB"]]
    assert "of images to come 10 would go as well" in text


@pytest.mark.parametrize(
    ("selection", "action", "words"),
    [
        ({"tagStatus": "untagged", "countType": "imageCountMoreThan"}, "expire", "untagged images, beyond the newest 5, expire"),
        (
            {"tagStatus": "tagged", "tagPrefixList": ["a", "b"], "countType": "sinceImagePulled"},
            "transition",
            "images tagged a* and b*, not pulled for 5 d, go to the archive",
        ),
        ({"tagStatus": "any", "countType": "sinceImageTransitioned"}, "expire", "any image, archived more than 5 d ago, expire"),
    ],
)
def test_rules_are_told_in_words(selection: dict[str, Any], action: str, words: str) -> None:
    assert rule_in_words({"selection": {**selection, "countNumber": 5}, "action": {"type": action}}) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7_200, "2 h ago"), (172_800, "2 d ago")]
)
def test_ages_are_told_as_people_would(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_an_event_is_one_line() -> None:
    detail = {"action-type": "DELETE", "repository-name": "web", "image-digest": "sha256:" + "a" * 64, "image-tag": "v1"}
    event = Event("id", NOW, "ECR Image Action", (), detail | {"lifecycle-rule-priority": 7})
    assert event_line(event).endswith("  web  image  DELETE  aaaaaaaaaaaa v1  by rule 7")
    assert event_line(Event("id", NOW, "ECR Image Scan", (), {"scan-status": "COMPLETE\n\x1b"})).endswith("  image scan  COMPLETE��")


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


class Platform:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                own.asked.append((self.headers["X-Amz-Target"].rpartition(".")[2], body))
                content = json.dumps(own.answers.pop(0)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def platform(home: Home) -> Iterator[Platform]:
    made = Platform()
    thread = Thread(target=made.server.serve_forever)
    thread.start()
    home.variables |= {"AWS_ENDPOINT_URL": made.url, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret"}
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_all_pages_of_a_preview_are_one(home: Home, platform: Platform) -> None:
    (home.path / "policy.json").write_text(POLICY)
    platform.answers = [answer(GOING, nextToken="more"), answer(LATER)]
    done = home.longshore(
        "ecr", "preview", "app/web", "--policy", str(home.path / "policy.json"), "--days", "9", "--keep-in-use", "-o", "json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["imageDigest"][7] for each in found["images"]] == ["a", "b"]
    assert "nextToken" not in found
    request = {"repositoryName": "app/web", "lifecyclePolicyText": POLICY, "days": 9, "keepImagesInUse": True, "maxResults": 10000}
    assert platform.asked == [
        ("LongshorePreviewLifecyclePolicy", request),
        ("LongshorePreviewLifecyclePolicy", request | {"nextToken": "more"}),
    ]


def test_settings_are_changed_one_by_one(home: Home, platform: Platform) -> None:
    held = {
        "registryId": "000000000000",
        "repositoryName": "web",
        "keepImagesInUse": True,
        "allowExpireSincePulled": False,
        "countActiveRevisions": True,
        "countRecentRevisions": 0,
    }
    platform.answers = [held, held | {"countRecentRevisions": 3}]
    done = home.longshore("ecr", "settings", "web", "--recent-revisions", "3")
    assert done.returncode == 0, done.stderr
    assert "recent revisions        3 of each family" in done.stdout
    assert platform.asked == [
        ("LongshoreGetLifecycleSettings", {"repositoryName": "web"}),
        ("LongshorePutLifecycleSettings", held | {"countRecentRevisions": 3}),
    ]


def test_the_last_events_are_shown(home: Home, platform: Platform) -> None:
    event = {"eventId": "1", "time": NOW, "detailType": "ECR Image Action", "resources": [], "detail": {"action-type": "PUSH"}}
    platform.answers = [{"events": [event]}]
    done = home.longshore("ecr", "events", "web", "-n", "5", "-o", "json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [event]
    assert platform.asked == [("LongshoreListRegistryEvents", {"repositoryName": "web", "newest": 5})]


def test_who_follows_events_sees_each_once_late_ones_too() -> None:
    happened = [ecr.Event(str(number), NOW + number, "ECR Image Action", (), {}) for number in range(3)]
    coming = [[], [ecr.Event("late", NOW - 1, "ECR Image Action", (), {})], [ecr.Event("9", NOW + 60, "ECR Image Action", (), {})], []]
    asked: list[dict[str, object]] = []

    def ask(operation: str, request: dict[str, object], answer: type[ecr.Events]) -> ecr.Events:
        asked.append(request)
        if "newest" in request:
            return ecr.Events(tuple(happened))
        if request.get("nextToken") is None:
            happened.extend(coming.pop(0) if coming else [])
            return ecr.Events(tuple(event for event in happened[:2] if event.time >= float(str(request["startTime"]))), "rest")
        return ecr.Events(tuple(event for event in happened[2:] if event.time >= float(str(request["startTime"]))))

    seen = []
    waits: list[float] = []
    for event in ecr.stream(ask, "web", 2, follow=True, pause=waits.append):
        seen.append(event.event_id)
        if event.event_id == "9":
            break
    assert seen == ["1", "2", "late", "9"]
    assert waits == [1.0, 1.0]
    assert asked[1]["startTime"] == NOW + 2 - 10


def test_a_policy_that_cannot_be_read_is_wrong_usage(home: Home, platform: Platform) -> None:
    done = home.longshore("ecr", "preview", "web", "--policy", "/nowhere")
    assert (done.returncode, "/nowhere cannot be read" in done.stderr) == (2, True)
    assert not platform.asked


def test_nothing_is_folded_in_a_pipe_unless_a_width_is_given(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = "arn:aws:ecr:us-east-1:000000000000:repository/team/app " * 4
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print(said)
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setenv("COLUMNS", "100")
    console().print(said)
    assert capsys.readouterr().out.count("\n") > 1

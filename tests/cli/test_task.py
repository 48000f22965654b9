"""`longshore exec` and `longshore task`: how words on the command line are understood, and how tasks are shown."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from longshore.aws.flight import ContainerFlight
from longshore.cli.exec import Asked, after_task
from longshore.cli.outcome import Failure
from longshore.cli.task_answers import Container, Line, Record, Task
from longshore.cli.task_pages import ago, how_it_ended, print_list, print_record

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "f0" * 16


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["ls"], Asked(("ls",))),
        (["ls", "-l"], Asked(("ls", "-l"))),
        (["--", "-x"], Asked(("-x",))),
        (["-c", "web", "--", "sh", "-c", "a b"], Asked(("sh", "-c", "a b"), container="web")),
        (["--container=web", "--cluster", "blue", "-T", "ls"], Asked(("ls",), container="web", cluster="blue", terminal=False)),
        (["sh", "--", "x"], Asked(("sh", "--", "x"))),
    ],
)
def test_options_may_stand_behind_the_task_and_the_rest_is_the_command(words: list[str], asked: Asked) -> None:
    assert after_task(words, None, None, None) == asked


@pytest.mark.parametrize("words", [[], ["--"], ["-c"], ["-c", "web"], ["--other", "ls"]])
def test_what_names_no_command_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(Failure):
        after_task(words, None, None, None)


def page(record: Record, width: int = 80) -> str:
    told = io.StringIO()
    print_record(Console(file=told, width=width, highlight=False), record, 1_700_000_100.0)
    return told.getvalue()


def test_a_page_tells_where_when_why_and_the_last_words() -> None:
    container = Container("main", last_status="STOPPED", image="repo/app:1", image_digest="sha256:abcdef0123456789", exit_code=137)
    task = Task(
        TASK,
        cluster_arn="arn:aws:ecs:us-east-1:000000000000:cluster/default",
        task_definition_arn="arn:aws:ecs:us-east-1:000000000000:task-definition/web:3",
        group="service:web",
        last_status="STOPPED",
        stop_code="EssentialContainerExited",
        stopped_reason="Essential container in task exited",
        availability_zone="us-east-1a",
        created_at=1_700_000_000.0,
        started_at=1_700_000_001.5,
        stopped_at=1_700_000_004.0,
        containers=(container,),
    )
    flight = ContainerFlight("main", exit_code=137, signal="SIGKILL", oom_killed=True, log_tail="one\n\x1b[31mtwo\tthree", log_is_cut=True)
    told = page(Record(task, archived=True, ec2_instance_id="i-0123", recorded_at=1.0, containers=(flight,)))
    for part in ("f0f0", "STOPPED", "(history)", "web:3", "i-0123", "us-east-1a", "EssentialContainerExited", "+1.5 s", "RUNNING"):
        assert part in told
    assert "container main  STOPPED, exit code 137 (SIGKILL), out of memory" in told
    assert "@abcdef012345" in told and "there was more" in told
    assert "  │ one\n" in told
    assert "\x1b" not in told


def test_a_task_without_a_record_says_so() -> None:
    assert "No flight record" in page(Record(Task(TASK, last_status="STOPPED")))


@pytest.mark.parametrize("width", [80, 140])
def test_lists_fit_their_terminal(width: int) -> None:
    told = io.StringIO()
    lines = [
        Line(TASK, "web:3", "service:web", "RUNNING", 1_700_000_000.0, "us-east-1a"),
        Line(
            TASK, "a-long-family-name:12", "service:web", "STOPPED", 1.0, stopped_at=1_700_000_000.0, failed=True, why="main: " + "x" * 200
        ),
    ]
    print_list(Console(file=told, width=width, highlight=False), lines, 1_700_000_090.0)
    assert max(map(len, told.getvalue().splitlines())) <= width
    assert ("GROUP" in told.getvalue()) is (width >= 120)
    assert "1m" in told.getvalue()


def test_a_container_that_never_ran_is_told_apart() -> None:
    assert how_it_ended(Container("x", last_status="STOPPED"), None) == "STOPPED, never ran"
    assert how_it_ended(Container("x", last_status="RUNNING"), None) == "RUNNING"
    assert (
        how_it_ended(Container("x", last_status="STOPPED", exit_code=0), ContainerFlight("x", restart_count=2))
        == "STOPPED, exit code 0, restarted 2×"
    )


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
def test_ages_are_short(seconds: float, said: str) -> None:
    assert ago(seconds) == said


def test_answers_of_later_platforms_are_read_too() -> None:
    answer = b'{"task": {"taskArn": "a", "somethingNew": 1}, "archived": false, "more": {}}'
    assert msgspec.json.decode(answer, type=Record).task.task_arn == "a"

"""The pages for people: links lead somewhere, commands exist, and the settings named are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from longshore.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
_LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")
_MAKE = re.compile(r"`?make ([a-z]+)\b")
_COMMAND = re.compile(r"\blongshore (up|down|status|env|doctor|agent|reset|logs|[a-z]+)((?: --?[a-z][a-z-]*)*)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    broken = [target for target, _ in _LINK.findall(page.read_text()) if target and not (page.parent / target).exists()]
    assert not broken


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/01-first-service/README.md"], ids=name)
def test_make_targets_named_exist(page: Path) -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = " ".join(re.findall(r"`[^`]+`|^\$ .*$", page.read_text(), re.MULTILINE))
    assert set(_MAKE.findall(code)) <= known


def test_commands_and_options_of_the_readme_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    code = "\n".join(re.findall(r"`[^`]+`|^\$ .*$", (ROOT / "README.md").read_text(), re.MULTILINE))
    for command, options in _COMMAND.findall(code):
        assert command in commands, f"longshore {command}"
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(options.split()) <= known, f"longshore {command}{options}"


def test_every_example_has_a_page_and_is_executable() -> None:
    for example in sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir()):
        assert (example / "README.md").exists(), example
        assert (example / "demo.sh").stat().st_mode & 0o111, example


def test_no_two_decisions_have_one_number() -> None:
    numbers = [page.name.partition("-")[0] for page in (ROOT / "docs/decisions").glob("[0-9]*.md")]
    assert len(numbers) == len(set(numbers))

"""The repository's own promises: walls between packages that catch trespassers, locks that name no place, words that speak of itself."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
HAND_WRITTEN = [path for path in SOURCES if "shapes" not in path.parts]

# contract name -> (module that trespasses, what it then says)
TRESPASSES = {
    "Imports point down only, and siblings never import each other": ("longshore/kit/trespass.py", "import longshore.store.base"),
    "Plans and models touch no clock, store, socket or loop": ("longshore/services/ecr/model.py", "import asyncio"),
    "Nor does anything of ours that plans and models import": ("longshore/services/iam/model.py", "import longshore.aws.trespass"),
    "Models name each other by ARN, never by import": ("longshore/services/elbv2/model.py", "import longshore.services.ecs.model"),
    "One AWS service never calls another's operations": (
        "longshore/services/ecs/operations/trespass.py",
        "import longshore.services.ecr.operations",
    ),
    "Controllers know what is kept, not how it is asked for": ("longshore/control/trespass.py", "import longshore.aws.protocol"),
    "The agent and the CLI reach the platform only over the wire": ("longshore/cli/trespass.py", "import longshore.store.base"),
}


# modules that decide, beside plans and models: each is as pure as they are
DECIDERS = [
    "longshore/control/trespass/plan.py",
    "longshore/agent/lifecycle.py",
    "longshore/agent/container_spec.py",
    "longshore/balancer/render.py",
]


def _lint_imports(directory: Path) -> str:
    """What import-linter says about the tree at `directory`."""
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(directory / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [program, "--no-cache", "--config", str(directory / ".importlinter")],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def _copy_of_the_tree(directory: Path) -> Path:
    shutil.copytree(ROOT / "src", directory / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / ".importlinter", directory)
    return directory


def test_every_import_contract_catches_a_trespasser(tmp_path: Path) -> None:
    tree = _copy_of_the_tree(tmp_path)
    (tree / "src/longshore/aws/trespass.py").write_text("import longshore.kit.clock\n")
    for name, statement in TRESPASSES.values():
        path = tree / "src" / name
        before = path.read_text() if path.exists() else "from __future__ import annotations\n"
        path.write_text(f"{before}\n{statement}\n")
    said = _lint_imports(tree)
    verdicts = dict(re.findall(r"^(.*?) +(KEPT|BROKEN)", said, flags=re.MULTILINE))
    assert verdicts == dict.fromkeys(TRESPASSES, "BROKEN"), said


def test_everything_that_decides_is_held_to_be_pure(tmp_path: Path) -> None:
    tree = _copy_of_the_tree(tmp_path)
    for name in DECIDERS:
        path = tree / "src" / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        with path.open("a") as file:
            file.write("\nimport socket\n")
    said = _lint_imports(tree)
    for name in DECIDERS:
        assert f"{name.removesuffix('.py').replace('/', '.')} -> socket" in said, said


def test_every_import_contract_has_its_trespasser() -> None:
    names = re.findall(r"^name = (.*)$", (ROOT / ".importlinter").read_text(), flags=re.MULTILINE)
    assert sorted(names) == sorted(TRESPASSES)


@pytest.mark.parametrize("lock", ["runtime", "dev", "bench", "audit"])
def test_a_lock_pins_every_package_by_hash_and_names_no_place(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    assert not re.search(r"://|^-|(?<![\w-])/|@ ", text, flags=re.MULTILINE)
    packages = [entry for entry in re.split(r"\n(?=\w)", text.strip()) if entry]
    assert len(packages) > 10
    for package in packages:
        assert re.match(r"[\w.-]+(\[[\w,]+\])?==[\w.]+ ", package), package.splitlines()[0]
        assert "--hash=sha256:" in package, package.splitlines()[0]


def test_the_locks_agree_with_what_pyproject_asks_for() -> None:
    pins = re.findall(r'^    "([\w-]+)(?:\[[\w,]+\])?==([\w.]+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    text = "".join((ROOT / f"requirements/{lock}.lock").read_text() for lock in ("bench", "audit"))
    locked = set(re.findall(r"^([\w-]+)==([\w.]+)", text, flags=re.MULTILINE))
    assert len(pins) > 10
    assert not {(name.lower(), version) for name, version in pins} - {(name.lower(), version) for name, version in locked}


def test_packages_are_installed_by_their_hashes_and_nothing_else_is() -> None:
    installing = [
        line.strip()
        for path in (*sorted((ROOT / "tools").iterdir()), ROOT / "Makefile", *sorted((ROOT / ".ci").iterdir()))
        if path.is_file()
        for line in path.read_text().splitlines()
        if re.search(r'pip"?,? "?install|"\$\{pip\[@\]\}"', line) and not line.strip().startswith("#")
    ]
    # Setup names its pip once and uses it twice: for a lock, and for ourselves, with what is installed already.
    allowed = ("--require-hashes", "--no-deps --no-build-isolation", "pip=(.venv/bin/python -m pip install")
    assert len(installing) >= 4
    assert not [line for line in installing if not any(words in line for words in allowed)]


def test_one_module_reads_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    ]
    assert set(readers) <= {"src/longshore/environment.py"}


def test_functions_stay_short_enough_to_be_read_at_once() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in HAND_WRITTEN
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= 60
    ]
    assert not long


def test_every_module_tells_its_story_first() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in HAND_WRITTEN
        if (tree := ast.parse(path.read_text())).body and ast.get_docstring(tree) is None
    ]
    assert not silent


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 passed, 1 skipped"), ("true", "1 passed, 1 error")])
def test_a_test_without_its_engine_is_skipped_on_a_laptop_and_fails_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    (tmp_path / "test_engines.py").write_text(
        "import pytest\n"
        "@pytest.mark.engine('no-such-engine')\ndef test_lacking(): pass\n"
        "@pytest.mark.engine('bash')\ndef test_having(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider", tmp_path],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout, done.stdout + done.stderr
    assert "the program no-such-engine is not installed" in done.stdout


def test_setup_installs_every_engine_that_a_test_names() -> None:
    named = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for marked in re.findall(r"mark\.engine\((\"[^)]*\")\)", path.read_text()):
            named |= set(re.findall(r'"([^"]+)"', marked))
    installed = set(re.findall(r"have ([\w.-]+) \|\|", (ROOT / "tools/setup.sh").read_text()))
    comes_along = {"docker", "containerd", "aws", "dpkg-query"}  # with dockerd, with the .venv, with Debian
    assert {"haproxy", "ip", "openssl"} <= named and named - comes_along <= installed


def test_shell_scripts_parse() -> None:
    scripts = [ROOT / ".ci/run", *sorted((ROOT / "tools").glob("*.sh")), *sorted((ROOT / "examples").rglob("*.sh"))]
    for script in scripts:
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert os.access(script, os.X_OK), f"{script} is not executable"

"""The program that holds a task's namespaces."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from longshore.runtime.pause_image import archive, program, reference


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_waits_and_ends_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    content = program(os.uname().machine)
    if content is None:
        pytest.skip("no program for this architecture")
    path = tmp_path / "pause"
    path.write_bytes(content)
    path.chmod(0o755)
    with subprocess.Popen([path]) as running:
        while running.poll() is None and "State:\tS" not in Path(f"/proc/{running.pid}/status").read_text():
            pass
        running.send_signal(number)
        assert running.wait(10) == 0


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_image_holds_the_program_alone(machine: str) -> None:
    content = archive(machine)
    assert content is not None
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["pause"] and tar.getmember("pause").mode == 0o755
    assert archive(machine) == content and program(machine) != program({"x86_64": "aarch64"}.get(machine, "x86_64"))
    assert reference("x86_64") != reference("aarch64")


def test_other_architectures_have_none() -> None:
    assert program("riscv64") is None and archive("riscv64") is None

"""How a command ends: exit codes that scripts may rely on, and failures that name their cause and what to do about it."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4
    MISSING_PART = 5
    INTERRUPTED = 130


EXIT_CODES = """\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 the platform is not running · 4 it is running already ·
5 something Longshore needs is missing (see `longshore doctor`) · 130 interrupted"""


class Failure(Exception):
    """Ends a command: `cause` says what is wrong, `fix` what the user can do about it."""

    def __init__(self, cause: str, fix: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix
        self.code = code

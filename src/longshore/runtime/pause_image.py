"""The image of the container that holds a task's namespaces: one program of some two hundred bytes, which does nothing.

What the containers of a task share (its network interface, its process numbers) must outlive each of them, so it belongs to a
container of its own. As the first process there it adopts orphans, whose ends are not to pile up: SIGCHLD is ignored, so that the
kernel clears them away; then it waits for SIGTERM, SIGINT or SIGQUIT and ends with 0. No image can be pulled for this, since there may be
nowhere to pull from; the program is put together here, for the two architectures that ECS knows.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile

#: bits of SIGINT (2), SIGQUIT (3) and SIGTERM (15)
_SIGNALS = struct.pack("<Q", 1 << 1 | 1 << 2 | 1 << 14)
#: struct kernel_sigaction with SIG_IGN
_IGNORE = struct.pack("<QQQQ", 1, 0, 0, 0)
_SIGCHLD = 17
_SET_SIZE = 8
_HEADERS = 64 + 56
_BASE = 0x400000


def program(machine: str) -> bytes | None:
    """A static ELF executable for `x86_64` or `aarch64`; None for anything else."""
    match machine:
        case "x86_64":
            return _elf(62, _x86_64())
        case "aarch64" | "arm64":
            return _elf(183, _aarch64())
        case _:
            return None


def archive(machine: str) -> bytes | None:
    """The image's files, the program alone, as a tar archive."""
    content = program(machine)
    if content is None:
        return None
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def reference(machine: str) -> str:
    """A name that another program under the same name would not have."""
    return f"longshore/pause:{hashlib.sha256(program(machine) or b'').hexdigest()[:12]}"


def _x86_64() -> bytes:
    """rt_sigaction 13, rt_sigprocmask 14, rt_sigtimedwait 128, exit_group 231."""

    def lea(register: bytes, label: int, at: int) -> bytes:
        return register + struct.pack("<i", label - (at + 7))

    code, length = b"", 0
    for _ in range(2):  # the second time the labels are where they are
        ignore, signals = length, length + len(_IGNORE)
        code = b"\xb8\x0d\0\0\0" + b"\xbf" + struct.pack("<I", _SIGCHLD)
        code += lea(b"\x48\x8d\x35", ignore, len(code)) + b"\x31\xd2\x41\xba\x08\0\0\0\x0f\x05"
        code += b"\xb8\x0e\0\0\0\x31\xff"
        code += lea(b"\x48\x8d\x35", signals, len(code)) + b"\x31\xd2\x41\xba\x08\0\0\0\x0f\x05"
        wait = len(code)
        code += b"\xb8\x80\0\0\0"
        code += lea(b"\x48\x8d\x3d", signals, len(code)) + b"\x31\xf6\x31\xd2\x41\xba\x08\0\0\0\x0f\x05"
        code += b"\x85\xc0\x78" + struct.pack("<b", wait - (len(code) + 4))
        code += b"\xb8\xe7\0\0\0\x31\xff\x0f\x05"
        length = len(code)
    return code + _IGNORE + _SIGNALS


def _aarch64() -> bytes:
    """rt_sigaction 134, rt_sigprocmask 135, rt_sigtimedwait 137, exit_group 94."""

    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def adr(register: int, label: int, at: int) -> int:
        offset = label - at
        return 0x10000000 | (offset & 3) << 29 | (offset >> 2 & 0x7FFFF) << 5 | register

    svc = 0xD4000001
    length = 22 * 4
    ignore, signals = length, length + len(_IGNORE)
    words = [movz(8, 134), movz(0, _SIGCHLD), adr(1, ignore, 8), movz(2, 0), movz(3, _SET_SIZE), svc]
    words += [movz(8, 135), movz(0, 0), adr(1, signals, 32), movz(2, 0), movz(3, _SET_SIZE), svc]
    words += [movz(8, 137), adr(0, signals, 52), movz(1, 0), movz(2, 0), movz(3, _SET_SIZE), svc]
    words += [0xB7F80000 | (-6 & 0x3FFF) << 5, movz(8, 94), movz(0, 0), svc]  # tbnz x0, #63: back to the wait after an error
    return struct.pack(f"<{len(words)}I", *words) + _IGNORE + _SIGNALS


def _elf(machine: int, code: bytes) -> bytes:
    """One segment, readable and executable, that begins with these headers."""
    size = _HEADERS + len(code)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code

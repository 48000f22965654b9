"""Servers that are processes and die as such: SIGKILL takes whatever they were doing with them.

They are children of one small process (run as a program by `Nursery`), so that one more costs a fork. Each answers with its
port: `/slow` after a while, everything else at once; a connection is kept until its client closes it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

SLOW_S = 0.25


class Nursery:
    """Children by their port; the caller ends each with `kill`, or all with `close`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, Path(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._pids: dict[int, int] = {}

    def bear(self) -> int:
        """The port of a new server."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("another\n")
        self._process.stdin.flush()
        pid, port = map(int, self._process.stdout.readline().split())
        self._pids[port] = pid
        return port

    def kill(self, port: int) -> None:
        os.kill(self._pids.pop(port), signal.SIGKILL)

    def close(self) -> None:
        for port in list(self._pids):
            self.kill(port)
        self._process.communicate(timeout=10)


def _serve(connection: socket.socket, port: int) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = b""
        while True:
            while b"\r\n\r\n" not in unread:
                try:
                    more = connection.recv(65536)
                except ConnectionResetError:
                    return
                if not more:
                    return
                unread += more
            head, _, unread = unread.partition(b"\r\n\r\n")
            if head.startswith(b"GET /slow"):
                time.sleep(SLOW_S)
            body = str(port).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _live(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, port), daemon=True).start()


def _main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        pid = os.fork()
        if pid == 0:
            _live(listener)
        print(pid, listener.getsockname()[1], flush=True)
        listener.close()


if __name__ == "__main__":
    _main()

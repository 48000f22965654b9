"""Files that a configuration refers to, each named by what is in it: any text is safe there. Pure."""

from __future__ import annotations

import hashlib

from longshore.balancer.render.auth import KeyFiles


class Bodies:
    """Contents of fixed responses, tables of rules, pages and keys."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        #: path -> content
        self.files: dict[str, bytes] = {}
        self.keys = KeyFiles(directory, self.files)

    def path(self, text: str) -> str:
        return self.path_of(text.encode())

    def path_of(self, content: bytes, suffix: str = "") -> str:
        path = f"{self._directory}/{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        self.files[path] = content
        return path

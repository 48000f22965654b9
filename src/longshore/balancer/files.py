"""The files of one HAProxy: its configuration, its bodies, the secret of its cookies, and a short way to them all.

Those with keys in them lie in memory (docs/secrets.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from longshore.balancer.render.places import Places
from longshore.kit.volatile import forget, private_directory

#: names of unix sockets end at about 107 characters, and HAProxy appends to ours while it reloads
_LONGEST_DIRECTORY = 70
#: directories of files with keys, and what they are called together
_HELD_IN_MEMORY = ("certs", "bodies")
_PRIVATE = "haproxy"


def places_in(directory: Path) -> Places:
    """In `directory`, or by way of a link to it when its name is too long for sockets."""
    directory = directory.absolute()
    if len(os.fsencode(directory)) <= _LONGEST_DIRECTORY:
        return Places(str(directory))
    mark = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Places(str(Path(tempfile.gettempdir()) / f"{_links_of_ours()}{mark}"))


def _links_of_ours() -> str:
    return f"longshore-{os.geteuid()}-"


def prepare(places: Places, directory: Path) -> str:
    """Makes the directories and the secret, and clears the way for our log socket; returns the secret. Raises OSError."""
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    link = Path(places.directory)
    if link != directory:
        _forget_dangling(link.parent)
        _link(link, directory)
    _keep_in_memory(directory)
    Path(places.legends).mkdir(exist_ok=True)
    secret = directory / "secret"
    if not secret.exists():
        write(secret, os.urandom(16).hex().encode())
    Path(places.log_socket).unlink(missing_ok=True)
    return secret.read_text().strip()


def _link(link: Path, directory: Path) -> None:
    try:
        link.symlink_to(directory)
    except FileExistsError:
        if not _is_ours(link, directory):
            raise OSError(f"{link} is somebody else's; remove it") from None


def _is_ours(link: Path, directory: Path) -> bool:
    return link.is_symlink() and link.lstat().st_uid == os.geteuid() and os.readlink(link) == str(directory)


def _keep_in_memory(directory: Path) -> None:
    """What HAProxy has to read in plain lies on no disk, where this machine has a file system in memory: keys of certificates, and of
    sessions. What an earlier version left on the disk goes."""
    private = private_directory(directory, _PRIVATE)
    for name in _HELD_IN_MEMORY:
        place = directory / name
        if private is None:
            if place.is_symlink():
                place.unlink()
            place.mkdir(exist_ok=True, mode=0o700)
            continue
        target = private / name
        target.mkdir(exist_ok=True, mode=0o700)
        if place.is_symlink() and os.readlink(place) == str(target):
            continue
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        place.symlink_to(target)


def make_sure_of(directory: str) -> None:
    """That it is there: what lies in memory may be cleared away by the system when a user logs out. Raises OSError."""
    place = Path(directory)
    if place.is_dir():
        return
    ours = place.parent
    _keep_in_memory(Path(os.readlink(ours)) if ours.is_symlink() and ours.name.startswith(_links_of_ours()) else ours)
    place.mkdir(exist_ok=True, mode=0o700)


def release(places: Places, directory: Path) -> None:
    """Takes the short way away again, and what lies in memory, once nobody goes by it any more."""
    link, directory = Path(places.directory), directory.absolute()
    for name in _HELD_IN_MEMORY:
        if (directory / name).is_symlink():
            forget((directory / name).resolve().parent)
            (directory / name).unlink()
    if link != directory and _is_ours(link, directory):
        link.unlink(missing_ok=True)


def _forget_dangling(where: Path) -> None:
    """Ours that lead nowhere: their HAProxy was killed, and its directory removed after that."""
    for link in where.glob(f"{_links_of_ours()}*"):
        with contextlib.suppress(OSError):
            if link.is_symlink() and link.lstat().st_uid == os.geteuid() and not link.exists():
                link.unlink()


def write(path: Path, content: bytes) -> None:
    """The whole file or none of it, readable by its owner only."""
    beside = path.with_name(f".{path.name}.beside")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(path)


def read(path: str) -> str:
    return Path(path).read_text()


def propose(places: Places, text: str, contents: Mapping[str, bytes]) -> Path:
    """Puts a configuration and what it refers to where it can be checked."""
    make_sure_of(places.bodies)
    for path, content in contents.items():
        if not Path(path).exists():
            write(Path(path), content)
    proposal = Path(f"{places.config}.next")
    write(proposal, text.encode())
    return proposal


def install(places: Places, proposal: Path, states: str) -> None:
    """Makes the proposal the configuration that is read at the next start or reload."""
    write(Path(places.states), states.encode())
    proposal.replace(places.config)


def forget_bodies(places: Places, contents: Mapping[str, bytes]) -> None:
    """What the running configuration does not refer to (any more)."""
    for path in Path(places.bodies).iterdir():
        if str(path) not in contents:
            path.unlink(missing_ok=True)

"""How this installation encrypts: one row, written when the server starts, for whoever creates a repository to go by."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind

#: key of the one row there is
INSTALLATION = "installation"


class Encryption(msgspec.Struct, frozen=True, gc=False):
    #: public half of the installation's lock, which data keys are sealed to
    lock: bytes
    #: every new repository gets a data key, whatever encryption it asks for
    always: bool = False


ENCRYPTION: Kind[Encryption] = Kind(name="ecr.encryption", type=Encryption, key=lambda _: INSTALLATION)

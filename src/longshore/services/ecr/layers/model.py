"""An upload of a layer in parts.

The bytes lie in an upload of the blob store, whose length is the truth about what was received. The row says whose upload it is
and where its latest part begins. It is written before the part's bytes are, so a part whose answer was lost, or that a crash cut
short, can be sent again.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind

MIB = 1024 * 1024
#: what clients are told to send at a time; ECR takes up to 20 MiB, and 5 MiB at least of every part but the last
PART_SIZE, SMALLEST_PART, LARGEST_PART = 10 * MIB, 5 * MIB, 20 * MIB
#: ECR's quotas for one layer
MOST_PARTS, LARGEST_LAYER = 4_200, 52_000 * MIB


class LayerUpload(msgspec.Struct, frozen=True, gc=False):
    upload_id: str
    repository: str  # key of the repository
    #: id of the upload in the blob store
    blob_upload_id: str
    #: when it was begun, or its latest part, seconds since the epoch
    touched_at: float
    parts: int = 0
    #: first byte of the latest part
    part_begins: int = 0
    #: whether a part that another one followed was smaller than allowed
    too_small: bool = False
    #: the layer it became; the row is kept for a while, for clients that did not get the answer
    layer_digest: str = ""


LAYER_UPLOADS: Kind[LayerUpload] = Kind(
    name="ecr.layer_upload",
    type=LayerUpload,
    key=lambda upload: upload.upload_id,
    indexes={"repository": lambda upload: (upload.repository,)},
)

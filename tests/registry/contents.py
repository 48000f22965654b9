"""Layers and manifests to push."""

from __future__ import annotations

import json
from typing import Any

from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.names import digest_of

CONFIG = b'{"architecture":"amd64","os":"linux"}'
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER = bytes(range(256)) * 40
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def manifest(*layers: bytes, media_type: str = OCI_MANIFEST, config: bytes = CONFIG, **more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, CONFIG_TYPE),
        "layers": [descriptor(layer, LAYER_TYPE) for layer in layers],
        **more,
    }
    return json.dumps(document, indent=1).encode()


def index(*children: bytes, media_type: str = OCI_INDEX, **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [descriptor(child, OCI_MANIFEST) for child in children], **more}
    return json.dumps(document).encode()

"""UpdateImageStorageClass: to the archive and back."""

from __future__ import annotations

from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import ImageNotFoundException, InvalidParameterException
from longshore.services.ecr.images import Unfound, find_image, find_repository
from longshore.services.ecr.model import IMAGES, Image, image_key
from longshore.services.ecr.names import described
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.ecr.storage_class import archive_image, restore_image
from longshore.services.ecr.views import image_status
from longshore.store.base import Tx


@api.operation("UpdateImageStorageClass", resource=repository_resource, conditions=tag_conditions)
async def update_image_storage_class(call: Call, request: shapes.UpdateImageStorageClassRequest) -> shapes.UpdateImageStorageClassResponse:
    """Done when it is answered: an image never has to wait in ACTIVATING. One that is there already stays as it is."""
    meant = repository_of(call, request)
    identifier = request.image_id
    move = archive_image if request.target_storage_class == "ARCHIVE" else restore_image
    now = call.clock.now()

    def update(tx: Tx) -> Image:
        repository = find_repository(tx, meant)
        try:
            image = find_image(tx, repository.key, identifier.image_digest, identifier.image_tag)
        except Unfound as unfound:
            if unfound.code in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
                asked = described(identifier.image_digest, identifier.image_tag)
                raise ImageNotFoundException(asked, repository.name, repository.account_id) from None
            raise InvalidParameterException(unfound.reason) from None
        move(tx, image, now)
        return tx.get(IMAGES, image_key(image.repository, image.digest)) or image

    image = await call.store.transact(update)
    return shapes.UpdateImageStorageClassResponse(
        registry_id=meant.account_id,
        repository_name=meant.name,
        image_id=shapes.ImageIdentifier(image_digest=image.digest, image_tag=identifier.image_tag),
        image_status=image_status(image),
    )

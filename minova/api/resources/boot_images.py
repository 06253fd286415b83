# SPDX-License-Identifier: Apache-2.0
"""The image that a server is made from: whether it can be, and what is kept.

What is kept is a copy: an image that is changed or deleted later does not
change the servers made from it.
"""

from collections.abc import Mapping
from typing import Any
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.extra_specs import parser
from minova.images import Image
from minova.objects.flavor import Flavor

_GIB: Final = 1024**3


def get_bootable_image(request: ApiRequest, image_id: str) -> Image:
    """Return an image that can be booted; InvalidInput if it cannot."""
    try:
        image = request.backend.images.show(request.context, image_id)
    except exception.ImageNotFound as error:
        # Not what the URL names, so not a 404.
        raise exception.InvalidInput(str(error)) from error
    _require_active(image)
    for name in ('kernel_id', 'ramdisk_id'):
        _require_referenced_image(request, image, name)
    return image


def _require_referenced_image(
    request: ApiRequest, image: Image, name: str
) -> None:
    """Raise InvalidInput unless what an image names is there for the caller.

    An image may name any other, also one that its user must not see.
    """
    image_id = image.properties.get(name)
    if not image_id:
        return
    try:
        _require_active(request.backend.images.show(request.context, image_id))
    except exception.ImageNotFound as error:
        raise exception.InvalidInput(
            f'Image {image.id} cannot be booted, its {name}: {error}'
        ) from error


def _require_active(image: Image) -> None:
    if image.status != 'active':
        raise exception.ImageNotActive(image_id=image.id)


def require_image_fits(image: Image, flavor: Flavor) -> None:
    """Raise InvalidInput for an image that the flavor is too small for."""
    _require_memory(image.min_ram, flavor)
    _require_satisfiable(image.properties, flavor)
    if flavor.root_gb == 0:
        return  # the disk is as large as the image
    size = max(image.size or 0, image.virtual_size or 0)
    if size > flavor.root_gb * _GIB:
        raise exception.FlavorDiskTooSmall(
            reason=f'The image is {size} bytes, the root disk of flavor '
            f'{flavor.name} {flavor.root_gb * _GIB} bytes.'
        )
    if image.min_disk > flavor.root_gb:
        raise exception.FlavorDiskTooSmall(
            reason=f'The image needs {image.min_disk} GiB, the root disk of '
            f'flavor {flavor.name} has {flavor.root_gb} GiB.'
        )


def require_properties_fit(
    image_meta: Mapping[str, Any], flavor: Flavor
) -> None:
    """Raise InvalidInput for a new flavor that the image cannot do with.

    ``kept`` is what the instance has kept of its image.
    """
    _require_memory(int(image_meta.get('min_ram') or 0), flavor)
    _require_satisfiable(image_meta, flavor)


def _require_satisfiable(
    properties: Mapping[str, Any], flavor: Flavor
) -> None:
    """Raise InvalidInput when a host could not do what both ask for."""
    parser.validate(
        flavor.extra_specs, properties, flavor.vcpus, flavor.memory_mb
    )


def _require_memory(needed: int, flavor: Flavor) -> None:
    if needed > flavor.memory_mb:
        raise exception.FlavorMemoryTooSmall(
            reason=f'The image needs {needed} MiB, flavor {flavor.name} has '
            f'{flavor.memory_mb} MiB.'
        )


def needs_config_drive(image: Image) -> bool:
    """Tell whether whoever made the image wants servers to have one."""
    setting = image.properties.get('img_config_drive', '')
    return str(setting).lower() == 'mandatory'


def instance_fields(image: Image) -> dict[str, Any]:
    """Return what an instance keeps of its image."""
    properties = image.properties
    meta = dict(properties)
    meta['base_image_ref'] = image.id
    meta['min_ram'] = str(image.min_ram)
    meta['min_disk'] = str(image.min_disk)
    if image.disk_format is not None:
        meta['disk_format'] = image.disk_format
    if image.container_format is not None:
        meta['container_format'] = image.container_format
    return {
        'image_ref': image.id,
        'image_meta': meta,
        'architecture': _fit_column(properties.get('architecture'), 32),
        'os_type': _fit_column(properties.get('os_type'), 255),
        'kernel_id': _fit_column(properties.get('kernel_id'), 255) or '',
        'ramdisk_id': _fit_column(properties.get('ramdisk_id'), 255) or '',
    }


def _fit_column(value: str | None, max_length: int) -> str | None:
    """Return what fits the column; anybody may write properties."""
    return value if value is None or len(value) <= max_length else None

# SPDX-License-Identifier: Apache-2.0
"""The image of a server: checks, and the fields that the instance copies.

An instance keeps a copy of the image's properties, so a later change or
deletion of the image does not affect it.
"""

from collections.abc import Mapping
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.engine import placements
from minova.extra_specs import parser
from minova.images import Image
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance

_GIB: Final = 1024**3
_ZERO_DISK: Final = 'os_compute_api:servers:create:zero_disk_flavor'
#: The maxima of what an instance copies from its image, as in Nova.
_MAX_PROPERTIES: Final = 128
_MAX_LENGTH: Final = 255


def get_bootable_image(request: ApiRequest, image_id: str) -> Image:
    """Return a bootable image; InvalidInput for another one."""
    try:
        image = request.backend.images.show(request.context, image_id)
    except exception.ImageNotFound as error:
        # The URL does not name the image, so the status is not 404.
        raise exception.InvalidInput(
            f'Can not find requested image {image_id}'
        ) from error
    _require_active(image)
    _require_bounded(image)
    for name in ('kernel_id', 'ramdisk_id'):
        _require_referenced_image(request, image, name)
    return image


def _require_referenced_image(
    request: ApiRequest, image: Image, name: str
) -> None:
    """Raise InvalidInput unless the caller can use the images that it names.

    An image can name any image as its kernel, even one that is hidden from the
    caller.
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


def _require_bounded(image: Image) -> None:
    """Raise InvalidInput for more properties than an instance copies.

    Each change of the instance and each notification repeats the copy.
    """
    count = len(image.properties)
    if count > _MAX_PROPERTIES:
        raise exception.InvalidInput(
            f'Image {image.id} has {count} properties; a server can have an '
            f'image with at most {_MAX_PROPERTIES}.'
        )
    if any(len(name) > _MAX_LENGTH for name in image.properties):
        raise exception.InvalidInput(
            f'Image {image.id} has a property with a name of more than '
            f'{_MAX_LENGTH} characters.'
        )


def fit_flavor(request: ApiRequest, image: Image, flavor: Flavor) -> Flavor:
    """Return the flavor of a server from an image.

    In a flavor without a root disk it has the size of the disk, which is then
    claimed. InvalidInput if the flavor is too small for the image,
    BootFromVolumeRequired if policy does not allow such a flavor.
    """
    _require_memory(image.min_ram, flavor)
    _require_satisfiable(image.properties, flavor)
    if flavor.root_gb == 0:
        if not request.allows(_ZERO_DISK):
            raise exception.BootFromVolumeRequired
        return flavor.replace(image_gb=_count_gib(image))
    _require_disk(image, flavor)
    return flavor


def require_rebuild_fits(
    request: ApiRequest, image: Image, flavor: Flavor
) -> None:
    """Raise InvalidInput unless a server with ``flavor`` can have the image.

    A root disk of the size of its image keeps the claim of the server.
    """
    needed = fit_flavor(request, image, flavor).max_root_gb
    if needed > flavor.max_root_gb:
        raise exception.FlavorDiskTooSmall(
            reason=f'The image needs {needed} GiB, the root disk of the '
            f'server has {flavor.max_root_gb} GiB. Resize the server first, '
            'or create another one.'
        )


def _count_gib(image: Image) -> int:
    """Return the GiB that the disk of an image needs.

    InvalidInput if that is unknown: a qcow2 file may hold any disk.
    """
    if image.virtual_size is None and image.disk_format == 'qcow2':
        raise exception.InvalidInput(
            f'Image {image.id} has no virtual size, so a server needs a '
            'flavor with a root disk.'
        )
    needed = -(-_disk_bytes(image) // _GIB)
    return max(needed, image.min_disk, 1)


def _disk_bytes(image: Image) -> int:
    return max(image.size or 0, image.virtual_size or 0)


def require_rescue_disk_fits(image: Image, flavor: Flavor) -> None:
    """Raise InvalidInput for a rescue disk larger than the root disk.

    A rescue disk is beside the claim of the server; this is its bound.
    """
    size, largest = _disk_bytes(image), flavor.max_root_gb * _GIB
    if size > largest:
        raise exception.FlavorDiskTooSmall(
            reason=f'The rescue image is {size} bytes, the root disk of the '
            f'server {largest} bytes.'
        )


def _require_disk(image: Image, flavor: Flavor) -> None:
    size = _disk_bytes(image)
    if size > flavor.root_gb * _GIB:
        raise exception.FlavorDiskTooSmall(
            reason=f'The image is {size} bytes, the root disk of flavor '
            f'{flavor.name} {flavor.root_gb * _GIB} bytes.'
        )
    if image.min_disk > flavor.root_gb:
        raise exception.FlavorDiskBelowMinimum(
            reason=f'The image needs {image.min_disk} GiB, the root disk of '
            f'flavor {flavor.name} has {flavor.root_gb} GiB.'
        )


def require_properties_fit(
    image_meta: Mapping[str, str], flavor: Flavor
) -> None:
    """Raise InvalidInput if the flavor does not meet the image properties.

    ``image_meta`` is the instance's copy of them.
    """
    _require_memory(int(image_meta.get('min_ram') or 0), flavor)
    _require_satisfiable(image_meta, flavor)


def require_same_cells(image: Image, instance: Instance) -> None:
    """Raise ImageNUMATopologyRebuildConflict for other CPUs or NUMA cells.

    A rebuild keeps the claim of the server on its host.
    """
    flavor = instance.flavor
    if placements.request_of(
        flavor, image.properties
    ) != placements.request_of(flavor, instance.image_meta):
        raise exception.ImageNUMATopologyRebuildConflict


def _require_satisfiable(
    properties: Mapping[str, str], flavor: Flavor
) -> None:
    """Raise InvalidInput if no host can satisfy flavor and image together."""
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
    """Return whether the image requires a config drive."""
    setting = image.properties.get('img_config_drive', '')
    return str(setting).lower() == 'mandatory'


def instance_fields(image: Image) -> dict[str, object]:
    """Return the fields of an instance that come from its image.

    Values of properties are cut at 255 characters, as in Nova.
    """
    properties = image.properties
    meta = {name: properties[name][:_MAX_LENGTH] for name in properties}
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
        'architecture': _fit_column(
            properties.get('hw_architecture')
            or properties.get('architecture'),
            32,
        ),
        'os_type': _fit_column(properties.get('os_type'), 255),
        'kernel_id': _fit_column(properties.get('kernel_id'), 255) or '',
        'ramdisk_id': _fit_column(properties.get('ramdisk_id'), 255) or '',
    }


def _fit_column(value: str | None, max_length: int) -> str | None:
    """Return None for a value that is too long: users write properties."""
    return value if value is None or len(value) <= max_length else None

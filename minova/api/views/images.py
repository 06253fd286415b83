# SPDX-License-Identifier: Apache-2.0
"""Images, as the Compute API showed them before 2.36."""

from typing import Final

from minova.api.views import Document
from minova.api.views import times
from minova.api.views.links import Links
from minova.images import Image

#: The status and the progress, in percent, of each status of the image
#: service.
_STATUSES: Final = {
    'active': ('ACTIVE', 100),
    'queued': ('SAVING', 25),
    'saving': ('SAVING', 50),
    'deleted': ('DELETED', 0),
    'pending_delete': ('DELETED', 0),
    'killed': ('ERROR', 0),
}
_UNKNOWN: Final = ('UNKNOWN', 0)


def get_status(image: Image) -> str:
    """Return the status of an image in the words of the Compute API."""
    return _STATUSES.get(image.status, _UNKNOWN)[0]


def brief(image: Image, links: Links, image_url: str) -> Document:
    """Return an image for a list; ``image_url`` is the image service's."""
    return {
        'id': image.id,
        'name': image.name,
        'links': [
            *links.resource_links('images', image.id),
            {
                'rel': 'alternate',
                'type': 'application/vnd.openstack.image',
                'href': f'{image_url.rstrip("/")}/images/{image.id}',
            },
        ],
    }


def detail(image: Image, links: Links, image_url: str) -> Document:
    """Return an image in full."""
    status, progress = _STATUSES.get(image.status, _UNKNOWN)
    result = brief(image, links, image_url) | {
        'minRam': image.min_ram,
        'minDisk': image.min_disk,
        'metadata': dict(image.properties),
        'created': times.isotime(image.created_at),
        'updated': times.isotime(image.updated_at),
        'status': status,
        'progress': progress,
        'OS-EXT-IMG-SIZE:size': image.size,
    }
    server_id = image.properties.get('instance_uuid')
    if server_id is not None:
        result['server'] = {
            'id': server_id,
            'links': links.resource_links('servers', server_id),
        }
    disk_config = image.properties.get('auto_disk_config')
    if disk_config is not None:
        is_auto = disk_config.lower() in ('1', 'on', 't', 'true', 'y', 'yes')
        result['OS-DCF:diskConfig'] = 'AUTO' if is_auto else 'MANUAL'
    return result

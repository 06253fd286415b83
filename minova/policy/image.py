# SPDX-License-Identifier: Apache-2.0
"""The rules of the embedded image service, with Glance's names and defaults.

An image has ``project_id``, its owner, and ``visibility``. The service hides
images that are private to other projects, whatever these rules allow.
"""

from typing import Final

from minova.policy.defaults import ADMIN
from minova.policy.defaults import MEMBER
from minova.policy.defaults import READER
from minova.policy.defaults import Row

_IMAGES: Final = '/v2/images'
_ID: Final = f'{_IMAGES}/{{image_id}}'
_VISIBLE: Final = (
    "project_id:%(project_id)s or 'public':%(visibility)s or "
    "'community':%(visibility)s"
)
_GET: Final = f'{ADMIN} or (role:reader and ({_VISIBLE}))'
_DOWNLOAD: Final = f'{ADMIN} or (role:member and ({_VISIBLE}))'

#: The callers that a default of this module allows, for the error text.
AUDIENCES: Final = {
    _GET: 'readers of a project that sees the image and administrators',
    _DOWNLOAD: 'members of a project that sees the image and administrators',
}

# fmt: off
RULES: Final[tuple[Row, ...]] = (
    ('get_images', READER, 'List images', f'GET {_IMAGES}'),
    ('get_image', _GET, 'Show an image', f'GET {_ID}'),
    ('download_image', _DOWNLOAD, 'Download the data of an image', f'GET {_ID}/file'),
    ('add_image', MEMBER, 'Create an image of the project', f'POST {_IMAGES}'),
    ('modify_image', MEMBER, 'Change an image and its tags', f'PATCH {_ID}', f'PUT {_ID}/tags/{{tag}}', f'DELETE {_ID}/tags/{{tag}}'),
    ('upload_image', MEMBER, 'Upload the data of an image', f'PUT {_ID}/file'),
    ('delete_image', MEMBER, 'Delete an image', f'DELETE {_ID}'),
    ('publicize_image', ADMIN, 'Make an image public', f'POST {_IMAGES}', f'PATCH {_ID}'),
    ('communitize_image', MEMBER, 'Make an image visible to all on request', f'POST {_IMAGES}', f'PATCH {_ID}'),
)
# fmt: on

# SPDX-License-Identifier: Apache-2.0
"""The images of the image service: before 2.36, their metadata before 2.39.

The service user of ``[image]`` reads and changes them, so this module decides
who may: an image that is not visible does not exist, and only its project and
administrators change an image.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from typing import Final

from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas import servers as schemas
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import images as views
from minova.api.views.links import Link
from minova.api.views.links import Links
from minova.conf import CONF
from minova.images import documents
from minova.images import Image
from minova.quotas import checks

_UNTIL: Final = 35
_METADATA_UNTIL: Final = 38
_PROPERTY: Final = 'property-'
_LIST: Final = queries.QuerySchema(
    {
        **queries.PAGE_PARAMS,
        'name': Param(),
        'status': Param(),
        'server': Param(),
        'type': Param(),
        'minRam': Param(queries.parse_number),
        'minDisk': Param(queries.parse_number),
        'changes-since': Param(queries.parse_time),
    }
)


# -- images ------------------------------------------------------------------


def index(request: ApiRequest) -> Document:
    """List images: ids and names."""
    return _list(request, 'images', views.brief)


def detail(request: ApiRequest) -> Document:
    """List images in full."""
    return _list(request, 'images/detail', views.detail)


def show(request: ApiRequest, image_id: str) -> Document:
    """Show an image."""
    image = _get(request, image_id)
    return {'image': views.detail(image, request.links, _url())}


def delete(request: ApiRequest, image_id: str) -> None:
    """Delete an image; Forbidden if it is protected."""
    _get_own(request, image_id)
    request.backend.images.delete(image_id)


def _list(
    request: ApiRequest,
    path: str,
    view: Callable[[Image, Links, str], Document],
) -> Document:
    """List a page of the images that the query selects, newest first."""
    page, links = _select(request, path)
    result = [view(image, request.links, _url()) for image in page]
    return pagination.make_list('images', result, links)


def _url() -> str:
    url: str = CONF.notifications.image_url
    return url


def _get(request: ApiRequest, image_id: str) -> Image:
    return request.backend.images.show(request.context, image_id)


def _get_own(request: ApiRequest, image_id: str) -> Image:
    """Return an image that the caller may change; ImageNotFound, Forbidden."""
    image = _get(request, image_id)
    if image.owner != request.project and not request.context.is_admin:
        raise exception.Forbidden(
            f'Image {image.id} belongs to another project, and only that '
            'project changes it.'
        )
    return image


def _select(
    request: ApiRequest, path: str
) -> tuple[Collection[Image], list[Link]]:
    """Return a page and the link to the next one."""
    found = sorted(
        (
            image
            for image in request.backend.images.list_visible(request.context)
            if _is_listed(image, request.project) and _fits(request, image)
        ),
        key=lambda image: (image.created_at, image.id),
        reverse=True,
    )
    size = pagination.get_page_size(request)
    after = pagination.after_marker(request, found, lambda image: image.id)
    return pagination.paginate(
        request, path, after[: size + 1], lambda image: image.id
    )


def _is_listed(image: Image, project_id: str) -> bool:
    """Tell whether an image is listed without a request for its kind."""
    if image.owner == project_id:
        return not image.hidden
    return not image.hidden and image.visibility != 'community'


def _fits(request: ApiRequest, image: Image) -> bool:
    """Tell whether an image has what the query asks for."""
    query, properties = request.query, image.properties
    since = query.get('changes-since')
    wanted = {
        'name': image.name,
        'status': views.get_status(image),
        'server': properties.get('instance_uuid'),
        'type': properties.get('image_type'),
    }
    return (
        all(
            _same(name, query[name], wanted[name])
            for name in wanted
            if name in query
        )
        and image.min_ram >= query.get('minRam', 0)
        and image.min_disk >= query.get('minDisk', 0)
        and (since is None or image.updated_at >= since)
        and _has_properties(request.raw_query, properties)
    )


def _same(name: str, asked: str, value: str | None) -> bool:
    if name == 'status':
        return asked.upper() == value
    # A server may be given by its URL.
    return (asked.rpartition('/')[2] if name == 'server' else asked) == value


def _has_properties(
    raw: queries.RawQuery, properties: Mapping[str, str]
) -> bool:
    return all(
        properties.get(name.removeprefix(_PROPERTY)) == value
        for name, value in raw.items()
        if name.startswith(_PROPERTY)
    )


# -- metadata ----------------------------------------------------------------


def list_metadata(request: ApiRequest, image_id: str) -> Document:
    """List the properties of an image."""
    return {'metadata': dict(_get(request, image_id).properties)}


def show_metadata(request: ApiRequest, image_id: str, key: str) -> Document:
    """Show one property."""
    properties = _get(request, image_id).properties
    if key not in properties:
        raise exception.NotFound('Metadata item was not found')
    return {'meta': {key: properties[key]}}


def add_metadata(request: ApiRequest, image_id: str) -> Document:
    """Add properties; existing keys get the new values."""
    return _change(request, image_id, request.body['metadata'])


def replace_metadata(request: ApiRequest, image_id: str) -> Document:
    """Replace all properties."""
    given = request.body['metadata']
    gone = _get(request, image_id).properties.keys() - given.keys()
    return _change(request, image_id, given, gone)


def update_metadata(request: ApiRequest, image_id: str, key: str) -> Document:
    """Set one property; its key is in the body and in the URL."""
    given = request.body['meta']
    if list(given) != [key]:
        raise exception.InvalidInput('Request body and URI mismatch')
    _change(request, image_id, given)
    return {'meta': given}


def delete_metadata(request: ApiRequest, image_id: str, key: str) -> None:
    """Delete one property."""
    if key not in _get(request, image_id).properties:
        raise exception.NotFound('Invalid metadata key')
    _change(request, image_id, {}, {key})


def _change(
    request: ApiRequest,
    image_id: str,
    given: Mapping[str, str],
    gone: Collection[str] = (),
) -> Document:
    """Change the properties of an image; return all of them."""
    image = _get_own(request, image_id)
    for name in given:
        if name in documents.RESERVED:
            raise exception.InvalidInput(
                f'Invalid input for field/attribute metadata: {name} is an '
                'attribute of images; name the property otherwise.'
            )
    after: dict[str, Any] = {
        name: value
        for name, value in (dict(image.properties) | dict(given)).items()
        if name not in gone
    }
    request.database.read(
        lambda connection: checks.require_image_metadata(
            connection,
            request.project,
            str(request.context.user_id),
            len(after) if given else 0,
        )
    )
    changed = request.backend.images.change_properties(image_id, given, gone)
    return {'metadata': dict(changed.properties)}


_RULE: Final = 'os_compute_api:images'
_META_RULE: Final = 'os_compute_api:image-metadata'
_ALL: Final = '/images'
_ONE: Final = f'{_ALL}/{{image_id}}'
_METADATA: Final = f'{_ONE}/metadata'
_ITEM: Final = f'{_METADATA}/{{key}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index', query=_LIST, until=_UNTIL),
    Route(
        'GET',
        f'{_ALL}/detail',
        detail,
        f'{_RULE}:detail',
        query=_LIST,
        until=_UNTIL,
    ),
    Route('GET', _ONE, show, f'{_RULE}:show', until=_UNTIL),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204, until=_UNTIL),
    Route(
        'GET',
        _METADATA,
        list_metadata,
        f'{_META_RULE}:index',
        until=_METADATA_UNTIL,
    ),
    Route(
        'POST',
        _METADATA,
        add_metadata,
        f'{_META_RULE}:create',
        body=schemas.METADATA,
        until=_METADATA_UNTIL,
    ),
    Route(
        'PUT',
        _METADATA,
        replace_metadata,
        f'{_META_RULE}:update_all',
        body=schemas.METADATA,
        until=_METADATA_UNTIL,
    ),
    Route(
        'GET',
        _ITEM,
        show_metadata,
        f'{_META_RULE}:show',
        until=_METADATA_UNTIL,
    ),
    Route(
        'PUT',
        _ITEM,
        update_metadata,
        f'{_META_RULE}:update',
        body=schemas.META,
        until=_METADATA_UNTIL,
    ),
    Route(
        'DELETE',
        _ITEM,
        delete_metadata,
        f'{_META_RULE}:delete',
        204,
        until=_METADATA_UNTIL,
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""The embedded Image v2 over HTTP, under ``/image``.

Users see public images and those of their project; policy decides who changes
one: by default members of its owner and administrators. There are no members
of images, no import, no staging and no stores. Handlers catch nothing: the
application renders errors with ``error_body``.
"""

from collections.abc import Callable
import re
from typing import Any

import falcon

from minova import exception
from minova import images
from minova import json_bodies
from minova.identity import http_io
from minova.images import attributes
from minova.images import documents
from minova.images import embedded
from minova.images import listing

#: Endpoints without authentication.
PUBLIC = frozenset(
    {('GET', '/image'), ('GET', '/image/'), ('GET', '/image/versions')}
)
_PATCH_TYPE = 'application/openstack-images-v2.1-json-patch'
_DATA_TYPE = 'application/octet-stream'
#: The rules of the visibilities that reach users of other projects.
_VISIBILITY_RULES = {
    'public': 'publicize_image',
    'community': 'communitize_image',
}
_VERSIONS = (
    ('v2.9', 'CURRENT'),
    ('v2.7', 'SUPPORTED'),
    ('v2.5', 'SUPPORTED'),
    ('v2.2', 'SUPPORTED'),
    ('v2.1', 'SUPPORTED'),
    ('v2.0', 'SUPPORTED'),
)


def routes(store: embedded.EmbeddedImages) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    one = '/image/v2/images/{image_id}'
    return [
        ('/image', Versions(falcon.HTTP_300)),
        ('/image/', Versions(falcon.HTTP_300)),
        ('/image/versions', Versions(falcon.HTTP_200)),
        ('/image/v2/images', Collection(store)),
        (one, Member(store)),
        (f'{one}/file', Data(store)),
        (f'{one}/tags/{{tag}}', Tag(store)),
        ('/image/v2/schemas/image', Schema(_image_schema())),
        ('/image/v2/schemas/images', Schema(_images_schema())),
        ('/image/v2/info/import', ImportMethods()),
    ]


def error_body(status: int, message: str) -> http_io.Document:
    """Return the body of an error."""
    return {
        'code': status,
        'title': http_io.status_phrase(status),
        'message': message,
    }


class Versions:
    """The versions of the Image API."""

    def __init__(self, status: str) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reply with the list."""
        url = f'{http_io.get_base_url(req)}/image/v2/'
        resp.status = self._status
        resp.media = {
            'versions': [
                {
                    'id': version,
                    'status': status,
                    'links': [{'rel': 'self', 'href': url}],
                }
                for version, status in _VERSIONS
            ]
        }


class Collection:
    """The images."""

    def __init__(self, store: embedded.EmbeddedImages) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List a page of the visible images."""
        caller = http_io.require(req, 'get_images')
        found = self._store.list_visible(caller)
        shown, marker = listing.select_page(found, req.params)
        resp.media = {
            'images': [_view(image) for image in shown],
            'schema': '/v2/schemas/images',
            'first': listing.page_path(req.params),
        }
        if marker is not None:
            resp.media['next'] = listing.page_path(req.params, marker)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create an image without data."""
        caller = http_io.require(req, 'add_image')
        image = attributes.parse_new(
            http_io.read_json(req),
            caller,
            _visibility_check(req, caller.project_id),
        )
        self._store.add(image)
        resp.status = falcon.HTTP_201
        resp.location = (
            f'{http_io.get_base_url(req)}/image/v2/images/{image.id}'
        )
        resp.media = _view(image)


class Member:
    """One image."""

    def __init__(self, store: embedded.EmbeddedImages) -> None:
        self._store = store

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, image_id: str
    ) -> None:
        """Show the image."""
        resp.media = _view(_require(self._store, req, image_id, 'get_image'))

    def on_patch(
        self, req: falcon.Request, resp: falcon.Response, image_id: str
    ) -> None:
        """Patch the image."""
        _require(self._store, req, image_id, 'modify_image')
        operations = http_io.read_json(req, _PATCH_TYPE)
        resp.media = _view(_patch(self._store, req, image_id, operations))

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, image_id: str
    ) -> None:
        """Delete the image and its data."""
        _require(self._store, req, image_id, 'delete_image')
        self._store.delete(image_id)
        resp.status = falcon.HTTP_204


class Data:
    """The data of an image."""

    def __init__(self, store: embedded.EmbeddedImages) -> None:
        self._store = store

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, image_id: str
    ) -> None:
        """Store the data."""
        _require(self._store, req, image_id, 'upload_image')
        given = (req.content_type or '').partition(';')[0].strip().lower()
        if given != _DATA_TYPE:
            raise exception.InvalidInput(
                reason=f'the Content-Type must be {_DATA_TYPE}.'
            )
        self._store.upload(
            image_id, json_bodies.body_stream(req), _length(req)
        )
        resp.status = falcon.HTTP_204

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, image_id: str
    ) -> None:
        """Return the data; 204 if there is none yet."""
        image = _require(self._store, req, image_id, 'download_image')
        if image.status != 'active':
            resp.status = falcon.HTTP_204
            return
        resp.content_type = _DATA_TYPE
        resp.set_header('Content-MD5', image.checksum or '')
        resp.set_stream(self._store.open_data(image), image.size or 0)


class Tag:
    """One tag of an image."""

    def __init__(self, store: embedded.EmbeddedImages) -> None:
        self._store = store

    def on_put(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        image_id: str,
        tag: str,
    ) -> None:
        """Add the tag."""
        _require(self._store, req, image_id, 'modify_image')
        operation = {'op': 'add', 'path': '/tags/-', 'value': tag}
        _patch(self._store, req, image_id, [operation])
        resp.status = falcon.HTTP_204

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        image_id: str,
        tag: str,
    ) -> None:
        """Remove the tag; NotFound if the image does not have it."""
        image = _require(self._store, req, image_id, 'modify_image')
        if tag not in image.tags:
            raise exception.NotFound(
                f'Image {image_id} does not have the tag {tag[:255]}.'
            )
        kept = [one for one in image.tags if one != tag]
        operation = {'op': 'replace', 'path': '/tags', 'value': kept}
        _patch(self._store, req, image_id, [operation])
        resp.status = falcon.HTTP_204


class Schema:
    """A JSON schema of a document."""

    def __init__(self, schema: http_io.Document) -> None:
        self._schema = schema

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the schema."""
        resp.media = self._schema


class ImportMethods:
    """The import methods besides PUT: none."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show an empty list."""
        resp.media = {
            'import-methods': {
                'description': 'Import methods available.',
                'type': 'array',
                'value': [],
            }
        }


def _require(
    store: embedded.EmbeddedImages,
    req: falcon.Request,
    image_id: str,
    rule: str,
) -> images.Image:
    """Return an image if policy allows the rule on it.

    ImageNotFound for an image that is hidden from the caller, else Forbidden.
    """
    image = store.show(http_io.get_caller(req), image_id)
    http_io.require(
        req, rule, project_id=image.owner or '', visibility=image.visibility
    )
    return image


def _patch(
    store: embedded.EmbeddedImages,
    req: falcon.Request,
    image_id: str,
    operations: Any,
) -> images.Image:
    caller = http_io.get_caller(req)
    return store.update(
        image_id,
        lambda image: attributes.apply_patch(
            image, operations, caller, _visibility_check(req, image.owner)
        ),
    )


def _visibility_check(
    req: falcon.Request, owner: str | None
) -> Callable[[str], None]:
    """Return a function that refuses a visibility to the caller."""

    def require(visibility: str) -> None:
        rule = _VISIBILITY_RULES.get(visibility)
        if rule is not None:
            http_io.require(req, rule, project_id=owner or '')

    return require


def _length(req: falcon.Request) -> int | None:
    """Return the announced number of bytes, or None."""
    announced = req.get_header('X-OpenStack-Image-Size')
    if announced is None:
        return req.content_length
    if not re.fullmatch('[0-9]{1,18}', announced):
        raise exception.InvalidInput(
            reason='X-OpenStack-Image-Size must be a number of bytes.'
        )
    return int(announced)


def _view(image: images.Image) -> http_io.Document:
    """Return an image as a document, with links."""
    path = f'/v2/images/{image.id}'
    return {
        **documents.to_document(image, 'seconds'),
        'self': path,
        'file': f'{path}/file',
        'schema': '/v2/schemas/image',
    }


def _image_schema() -> http_io.Document:
    return {
        'name': 'image',
        'properties': attributes.ATTRIBUTES,
        'additionalProperties': {'type': 'string'},
        'links': [
            {'href': '{self}', 'rel': 'self'},
            {'href': '{file}', 'rel': 'enclosure'},
            {'href': '{schema}', 'rel': 'describedby'},
        ],
    }


def _images_schema() -> http_io.Document:
    return {
        'name': 'images',
        'properties': {
            'images': {'type': 'array', 'items': _image_schema()},
            'first': {'type': 'string'},
            'next': {'type': 'string'},
            'schema': {'type': 'string'},
        },
        'links': [
            {'href': '{first}', 'rel': 'first'},
            {'href': '{next}', 'rel': 'next'},
            {'href': '{schema}', 'rel': 'describedby'},
        ],
    }

# SPDX-License-Identifier: Apache-2.0
"""The client of Glance, over keystoneauth.

It logs in with the service user of the group ``[image]`` and not with the
user's token: an operation may need an image after the token has expired. So
this module decides, by the caller's project, which images a caller sees, and
creates snapshots that belong to the project of their server: the service user
needs a role that may set the owner of an image, such as admin. Failed requests
are retried a few times; then the error is Unavailable.
"""

from collections.abc import Collection
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
from typing import Any
import urllib.parse

import requests

from minova import cancellation
from minova import clock
from minova import conf
from minova import exception
from minova import images
from minova.images import documents
from minova.images import glance_replies as replies
from minova.images import glance_requests
from minova.images import sources
from minova.images import streams

#: The statuses of an image whose data is on its way.
_SAVING = frozenset({'saving', 'uploading', 'importing'})
#: Seconds between two requests for the status of such an image.
_SAVING_INTERVAL = 2.0
#: The replies to data for an image that is not queued, or is deleted.
_NOT_QUEUED = frozenset({404, 409, 410})
_PATCH_TYPE = 'application/openstack-images-v2.1-json-patch'
#: Images in one reply.
_PAGE_SIZE = 500


class GlanceImages(glance_requests.GlanceRequests):
    """The images of a Glance. Safe to use from many threads."""

    def show(
        self, context: images.CallerContext, image_id: str
    ) -> images.Image:
        """Return an image: see ``images.ImageService``."""
        image = glance_requests.retry(lambda: self._show(image_id))
        if images.is_visible(image, context):
            return image
        if image.visibility == 'shared' and context.project_id:
            project_id = context.project_id
            if glance_requests.retry(
                lambda: self._is_member(image_id, project_id)
            ):
                return image
        raise exception.ImageNotFound(image_id=image_id[:64])

    def download(
        self, context: images.CallerContext, image_id: str, path: str
    ) -> None:
        """Write image data to ``path``: see ``images.ImageService``."""
        image = self.show(context, image_id)
        if image.status != 'active':
            raise exception.ImageNotActive(image_id=image_id)
        deadline = clock.monotonic() + conf.CONF.image.download_timeout

        def deliver() -> None:
            with contextlib.closing(self._data(image_id, deadline)) as chunks:
                try:
                    streams.write_verified(image, chunks, path)
                except requests.RequestException as error:
                    raise replies.RetryableError(str(error)) from error
                except OSError as error:
                    raise exception.OperationFailed(
                        cause=f'Download of image {image_id}',
                        reason=str(error),
                    ) from error

        glance_requests.retry(deliver)

    # -- snapshots -----------------------------------------------------------

    def reserve(self, image: images.NewImage) -> None:
        """Create an image without data: see ``images.ImageService``."""
        document = {
            **image.properties,
            **dataclasses.asdict(image),
            'visibility': 'private',
        }
        del document['properties']

        def create() -> None:
            response = self._request('POST', '', json=document)
            if response.status_code == 409:
                # It exists, unless its id was discarded.
                self._show(image.id)
            elif not response.ok:
                raise replies.refused_error(
                    f'Creation of image {image.id}', response
                )

        glance_requests.retry(create)

    def upload_snapshot(
        self,
        image_id: str,
        data: images.ImageData,
        report: images.ReportProgress,
    ) -> None:
        """Store the data of a snapshot: see ``images.ImageService``."""
        deadline = clock.monotonic() + conf.CONF.image.upload_timeout

        def upload() -> None:
            image = self._wait_until_saved(image_id, deadline)
            checksum = None
            if image.status == 'queued':
                if image.disk_format != data.disk_format:
                    self._set_disk_format(image_id, data.disk_format)
                checksum = self._put(image_id, data, report, deadline)
                image = self._wait_until_saved(image_id, deadline)
            if image.status == 'queued':
                raise replies.RetryableError(
                    f'it has dropped the data of {image_id}'
                )
            if image.status != 'active':
                raise exception.ImageNotFound(image_id=image_id)
            sources.require_stored(image, data.size, checksum)

        glance_requests.retry(upload)

    def _wait_until_saved(
        self, image_id: str, deadline: float
    ) -> images.Image:
        """Return an image when no upload of it runs.

        The upload of an earlier attempt may still run; it ends soon, because
        its client has gone.
        """
        while (image := self._show(image_id)).status in _SAVING:
            if clock.monotonic() > deadline:
                raise replies.upload_timeout_error(image_id)
            cancellation.wait(_SAVING_INTERVAL)
        return image

    def change_properties(
        self, image_id: str, values: Mapping[str, str], gone: Collection[str]
    ) -> images.Image:
        """Set and remove properties: see ``images.ImageService``."""

        def change() -> images.Image:
            known = self._show(image_id).properties
            changes = [
                {'op': 'add', 'path': _pointer(name), 'value': value}
                for name, value in values.items()
            ]
            changes += [
                {'op': 'remove', 'path': _pointer(name)}
                for name in sorted(known.keys() & set(gone))
            ]
            response = self._patch(image_id, changes)
            if response.status_code == 404:
                raise exception.ImageNotFound(image_id=image_id)
            if response.status_code in (400, 403, 413):
                raise exception.InvalidInput(replies.text_of(response))
            if not response.ok:
                raise replies.RetryableError(replies.text_of(response))
            with replies.require_form('an image'):
                return documents.from_document(response.json())

        return glance_requests.retry(change)

    def _patch(
        self, image_id: str, patch: list[dict[str, Any]]
    ) -> requests.Response:
        """Change attributes of an image; return the reply."""
        headers = {'Content-Type': _PATCH_TYPE}
        return self._request(
            'PATCH', image_id, data=json.dumps(patch), headers=headers
        )

    def _set_disk_format(self, image_id: str, disk_format: str) -> None:
        response = self._patch(
            image_id,
            [{'op': 'replace', 'path': '/disk_format', 'value': disk_format}],
        )
        if response.status_code == 404:
            raise exception.ImageNotFound(image_id=image_id)
        if not response.ok:
            raise replies.refused_error(
                f'Upload of image {image_id}', response
            )

    def _put(
        self,
        image_id: str,
        data: images.ImageData,
        report: images.ReportProgress,
        deadline: float,
    ) -> str | None:
        """Send the data; return its checksum.

        A conflict is the upload of an earlier attempt, or a deletion; the
        status of the image then tells which.
        """

        def report_in_time(sent: int) -> None:
            if clock.monotonic() > deadline:
                raise replies.upload_timeout_error(image_id)
            report(sent)

        with sources.open_source(image_id, data, report_in_time) as source:
            response = self._request(
                'PUT',
                image_id,
                '/file',
                data=source,
                headers={'Content-Type': 'application/octet-stream'},
                # The data of a second request would begin in its middle.
                allow_reauth=False,
            )
            if response.status_code == 413:
                raise exception.ImageStorageFull(
                    reason=replies.text_of(response)
                )
            if not response.ok and response.status_code not in _NOT_QUEUED:
                raise replies.refused_error(
                    f'Upload of image {image_id}', response
                )
            return source.checksum if response.ok else None

    def discard(self, image_id: str) -> None:
        """Delete an image for good: see ``images.ImageService``.

        Glance gives no id twice. So an image that does not exist is created
        and deleted, in case its creation is still on the way.
        """

        def discard() -> None:
            response = self._request('DELETE', image_id)
            if response.status_code == 403:
                # Its user may have protected an image that gets no data.
                self._patch(
                    image_id,
                    [{'op': 'replace', 'path': '/protected', 'value': False}],
                )
                response = self._request('DELETE', image_id)
            if response.status_code == 404:
                document = {'id': image_id, 'visibility': 'private'}
                created = self._request('POST', '', json=document)
                if created.status_code == 409:
                    return
                response = self._request('DELETE', image_id)
            if response.status_code not in (204, 404, 410):
                raise replies.RetryableError(replies.text_of(response))

        glance_requests.retry(discard)

    def list_owned(
        self, project_id: str, properties: Mapping[str, str]
    ) -> list[images.Image]:
        """Return a project's own images: see ``images.ImageService``."""
        query = urllib.parse.urlencode(
            {'owner': project_id, 'visibility': 'private', **properties}
        )
        return images.select_owned(
            glance_requests.retry(lambda: self._list(f'?{query}')),
            project_id,
            properties,
        )

    def list_visible(
        self, context: images.CallerContext
    ) -> list[images.Image]:
        """Return the caller's images and the public ones."""
        if context.is_admin:
            return self._list_by()
        found = self._list_by(visibility='public')
        if context.project_id is not None:
            found += self._list_by(owner=context.project_id)
        return list(
            {
                image.id: image
                for image in found
                if images.is_visible(image, context)
            }.values()
        )

    def _list_by(self, **selection: str) -> list[images.Image]:
        """Return the images with these attributes."""
        query = urllib.parse.urlencode({'limit': _PAGE_SIZE, **selection})
        return glance_requests.retry(lambda: self._list(f'?{query}'))

    def list_unfinished(self) -> list[images.Image]:
        """Return snapshots without data: see ``images.ImageService``."""
        query = urllib.parse.urlencode(
            {
                **images.SNAPSHOT_PROPERTIES,
                'status': f'in:{",".join(sorted(images.UNFINISHED))}',
            }
        )
        return images.select_unfinished(
            glance_requests.retry(lambda: self._list(f'?{query}'))
        )

    def _list(self, query: str) -> list[images.Image]:
        found: list[images.Image] = []
        while True:
            response = self._request('GET', '', query)
            if not response.ok:
                raise replies.RetryableError(replies.text_of(response))
            with replies.require_form('a list of images'):
                page = response.json()
                found += map(documents.from_document, page['images'])
                if 'next' not in page:
                    return found
                query = '?' + page['next'].partition('?')[2]

    def _data(self, image_id: str, deadline: float) -> Generator[bytes]:
        """Yield the data of an image; Unavailable if it is too slow."""
        with self._get(image_id, '/file', stream=True) as response:
            chunks = response.iter_content(streams.CHUNK_BYTES)
            while chunk := _next_chunk(chunks):
                if clock.monotonic() > deadline:
                    raise exception.Unavailable(
                        what=replies.SERVICE,
                        reason=(
                            f'image {image_id} did not arrive in time; see '
                            '[image] download_timeout.'
                        ),
                    )
                yield chunk

    def delete(self, image_id: str) -> None:
        """Delete an image: see ``images.ImageService``."""

        def delete() -> None:
            response = self._request('DELETE', image_id)
            if response.status_code == 403:
                raise exception.Forbidden(replies.text_of(response))
            if response.status_code in (404, 410):
                raise exception.ImageNotFound(image_id=image_id)
            if not response.ok:
                raise replies.RetryableError(replies.text_of(response))

        glance_requests.retry(delete)


def _pointer(name: str) -> str:
    """Return the JSON pointer of a member; RFC 6901."""
    return '/' + name.replace('~', '~0').replace('/', '~1')


def _next_chunk(chunks: Iterator[bytes]) -> bytes:
    """Return the next piece of an image, empty at its end."""
    return cancellation.call('image-data', lambda: next(chunks, b''))


def open_images() -> GlanceImages:
    """Return the Glance client of the group ``[image]``."""
    return GlanceImages()


def check() -> None:
    """Raise ConfigInvalid if the options cannot lead to a Glance."""
    glance_requests.make_adapter()

# SPDX-License-Identifier: Apache-2.0
"""The client of Glance, over keystoneauth.

It logs in with the service user of the group ``[image]`` and not with the
user's token: an operation may need an image after the token has expired. So
this module decides, by the caller's project, which images a caller sees, and
creates snapshots that belong to the project of their server: the service user
needs a role that may set the owner of an image, such as admin. Failed requests
are retried a few times; then the error is Unavailable.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
import re
from typing import Any
from typing import TypeVar
import urllib.parse

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from oslo_config import cfg
import requests

from minova import cancellation
from minova import clock
from minova import conf
from minova import exception
from minova import images
from minova.images import documents
from minova.images import glance_replies as replies
from minova.images import sources
from minova.images import streams

_GROUP = 'image'
_MAX_DELAY = 10.0
#: The statuses of an image whose data is on its way.
_SAVING = frozenset({'saving', 'uploading', 'importing'})
#: Seconds between two requests for the status of such an image.
_SAVING_INTERVAL = 2.0
#: The replies to data for an image that is not queued, or is deleted.
_NOT_QUEUED = frozenset({404, 409, 410})
_PATCH_TYPE = 'application/openstack-images-v2.1-json-patch'
_Result = TypeVar('_Result')


def options() -> list[cfg.Opt]:
    """Return keystoneauth's options of the group ``[image]``.

    They have Minova's defaults, also in the sample configuration. The options
    of the authentication plugin (``username`` and so on) are not included.
    """
    found = [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *loading.get_adapter_conf_options(include_deprecated=False),
    ]
    cfg.set_defaults(
        found,
        service_type='image',
        valid_interfaces=['internal', 'public'],
        timeout=60.0,
    )
    return found


class GlanceImages:
    """The images of a Glance. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = clock.lock()
        self._adapter: adapter.Adapter | None = None

    def show(
        self, context: images.CallerContext, image_id: str
    ) -> images.Image:
        """Return an image: see ``images.ImageService``."""
        image = _retry(lambda: self._show(image_id))
        if images.is_visible(image, context):
            return image
        if image.visibility == 'shared' and context.project_id:
            project_id = context.project_id
            if _retry(lambda: self._is_member(image_id, project_id)):
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

        _retry(deliver)

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

        _retry(create)

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

        _retry(upload)

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

    def _patch(
        self, image_id: str, name: str, value: str | bool
    ) -> requests.Response:
        """Change an attribute of an image; return the reply."""
        patch = [{'op': 'replace', 'path': f'/{name}', 'value': value}]
        headers = {'Content-Type': _PATCH_TYPE}
        return self._request(
            'PATCH', image_id, data=json.dumps(patch), headers=headers
        )

    def _set_disk_format(self, image_id: str, disk_format: str) -> None:
        response = self._patch(image_id, 'disk_format', disk_format)
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
                self._patch(image_id, 'protected', False)
                response = self._request('DELETE', image_id)
            if response.status_code == 404:
                document = {'id': image_id, 'visibility': 'private'}
                created = self._request('POST', '', json=document)
                if created.status_code == 409:
                    return
                response = self._request('DELETE', image_id)
            if response.status_code not in (204, 404, 410):
                raise replies.RetryableError(replies.text_of(response))

        _retry(discard)

    def list_owned(
        self, project_id: str, properties: Mapping[str, str]
    ) -> list[images.Image]:
        """Return a project's own images: see ``images.ImageService``."""
        query = urllib.parse.urlencode(
            {'owner': project_id, 'visibility': 'private', **properties}
        )
        return images.select_owned(
            _retry(lambda: self._list(f'?{query}')), project_id, properties
        )

    def list_unfinished(self) -> list[images.Image]:
        """Return snapshots without data: see ``images.ImageService``."""
        query = urllib.parse.urlencode(
            {
                **images.SNAPSHOT_PROPERTIES,
                'status': f'in:{",".join(sorted(images.UNFINISHED))}',
            }
        )
        return images.select_unfinished(
            _retry(lambda: self._list(f'?{query}'))
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

        _retry(delete)

    # -- requests ------------------------------------------------------------

    def _show(self, image_id: str) -> images.Image:
        response = self._get(image_id)
        with replies.require_form('an image'):
            return documents.from_document(response.json())

    def _is_member(self, image_id: str, project_id: str) -> bool:
        try:
            self._get(image_id, f'/members/{project_id}')
        except exception.ImageNotFound:
            return False
        return True

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

    def _get(
        self, image_id: str, suffix: str = '', stream: bool = False
    ) -> requests.Response:
        """Send a GET; ImageNotFound, Unavailable or RetryableError."""
        if not image_id:
            raise exception.ImageNotFound(image_id='')
        response = self._request('GET', image_id, suffix, stream=stream)
        if response.ok and response.status_code != 204:
            return response
        response.close()
        return replies.raise_for_status(response.status_code, image_id)

    def _request(
        self, method: str, image_id: str, suffix: str = '', **options: Any
    ) -> requests.Response:
        """Send one request; ImageNotFound, Unavailable or RetryableError.

        A reply with a temporary failure is a RetryableError, any other is
        returned.
        """
        if not re.fullmatch('[0-9A-Za-z-]{0,64}', image_id):
            # The id is part of the path, and no image has such an id.
            raise exception.ImageNotFound(image_id=image_id[:64])
        path = f'/v2/images/{image_id}'.rstrip('/') + suffix
        try:
            response = cancellation.call(
                'image-request', lambda: self._send(method, path, **options)
            )
        except (
            ksa.ConnectionError,
            ksa.DiscoveryFailure,
            ksa.HttpServerError,
        ) as error:
            raise replies.RetryableError(str(error)) from error
        except (ksa.ClientException, requests.RequestException) as error:
            raise exception.Unavailable(
                what=replies.SERVICE, reason=str(error)
            ) from error
        if response.status_code in replies.RETRYABLE_STATUSES:
            response.close()
            raise replies.RetryableError(
                f'its reply is {response.status_code}.'
            )
        if response.status_code == 401:
            response.close()
            reason = 'its reply is 401; see the credentials in [image].'
            if options.get('allow_reauth', True):
                raise exception.Unavailable(
                    what=replies.SERVICE, reason=reason
                )
            self._get_adapter().invalidate()
            raise replies.RetryableError(reason)
        return response

    def _send(
        self, method: str, path: str, **options: Any
    ) -> requests.Response:
        response: requests.Response = self._get_adapter().request(
            f'{self._base_url()}{path}', method, raise_exc=False, **options
        )
        return response

    def _base_url(self) -> str:
        """Return the endpoint without a version."""
        url = self._get_adapter().get_endpoint()
        if url is None:
            raise exception.Unavailable(
                what=replies.SERVICE,
                reason=(
                    'the catalog has no endpoint for it; see [image] '
                    'valid_interfaces and region_name.'
                ),
            )
        return re.sub(r'/v\d+(\.\d+)?\Z', '', url.rstrip('/')).rstrip('/')

    def _get_adapter(self) -> adapter.Adapter:
        """Return the adapter, created at the first use without a request."""
        with self._lock:
            if self._adapter is None:
                self._adapter = _make_adapter()
            return self._adapter


def _next_chunk(chunks: Iterator[bytes]) -> bytes:
    """Return the next piece of an image, empty at its end."""
    return cancellation.call('image-data', lambda: next(chunks, b''))


def open_images() -> GlanceImages:
    """Return the Glance client of the group ``[image]``."""
    return GlanceImages()


def check() -> None:
    """Raise ConfigInvalid if the options cannot lead to a Glance."""
    _make_adapter()


def _make_adapter() -> adapter.Adapter:
    """Return the authentication and session; ConfigInvalid if incomplete."""
    conf.CONF.register_opts(options(), group=_GROUP)
    try:
        auth = loading.load_auth_from_conf_options(conf.CONF, _GROUP)
        session = loading.load_session_from_conf_options(
            conf.CONF, _GROUP, auth=auth
        )
        found = loading.load_adapter_from_conf_options(
            conf.CONF, _GROUP, session=session, auth=auth
        )
    except (ksa.ClientException, TypeError) as error:
        raise exception.ConfigInvalid(reason=f'[image]: {error}') from error
    if auth is None:
        raise exception.ConfigInvalid(
            reason=(
                '[image] auth_type is not set; set it and the options of the '
                'service user, which logs in to Glance.'
            )
        )
    return found


def _retry(func: Callable[[], _Result]) -> _Result:
    """Retry a request, up to ``[image] attempts`` times."""
    attempts = conf.CONF.image.attempts
    for attempt in range(1, attempts + 1):
        try:
            return func()
        except replies.RetryableError as error:
            if attempt == attempts:
                raise exception.Unavailable(
                    what=replies.SERVICE, reason=str(error)
                ) from error
        cancellation.wait(min(2.0 ** (attempt - 1), _MAX_DELAY))
    raise AssertionError('attempts is at least 1')

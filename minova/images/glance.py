# SPDX-License-Identifier: Apache-2.0
"""The client of Glance, over keystoneauth.

It logs in with the service user of the group ``[image]`` and not with the
user's token: an operation may need an image after the token has expired. So
this module decides, by the caller's project, which images a caller sees.
Failed requests are retried a few times; then the error is Unavailable.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
import contextlib
import re
from typing import TypeVar

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
from minova.images import streams

_GROUP = 'image'
_RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_MAX_DELAY = 10.0
_SERVICE = 'The image service'
_Result = TypeVar('_Result')


class _RetryableError(Exception):
    """A temporary failure; the request is retried."""


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
                    raise _RetryableError(str(error)) from error
                except OSError as error:
                    raise exception.OperationFailed(
                        cause=f'Download of image {image_id}',
                        reason=str(error),
                    ) from error

        _retry(deliver)

    def _show(self, image_id: str) -> images.Image:
        response = self._get(image_id)
        try:
            return documents.from_document(response.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise exception.Unavailable(
                what=_SERVICE,
                reason=f'its reply is not an image ({error!r}).',
            ) from error

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
                        what=_SERVICE,
                        reason=(
                            f'image {image_id} did not arrive in time; see '
                            '[image] download_timeout.'
                        ),
                    )
                yield chunk

    def _get(
        self, image_id: str, suffix: str = '', stream: bool = False
    ) -> requests.Response:
        """Send one request; ImageNotFound, Unavailable or _TryAgainError."""
        if not re.fullmatch('[0-9A-Za-z-]{1,64}', image_id):
            # The id is part of the path, and no image has such an id.
            raise exception.ImageNotFound(image_id=image_id[:64])
        try:
            response = cancellation.call(
                'image-request', lambda: self._send(image_id, suffix, stream)
            )
        except (
            ksa.ConnectionError,
            ksa.DiscoveryFailure,
            ksa.HttpServerError,
        ) as error:
            raise _RetryableError(str(error)) from error
        except (ksa.ClientException, requests.RequestException) as error:
            raise exception.Unavailable(
                what=_SERVICE, reason=str(error)
            ) from error
        if response.ok and response.status_code != 204:
            return response
        response.close()
        return _raise_for_status(response.status_code, image_id)

    def _send(
        self, image_id: str, suffix: str, stream: bool
    ) -> requests.Response:
        response: requests.Response = self._get_adapter().get(
            f'{self._base_url()}/v2/images/{image_id}{suffix}',
            stream=stream,
            raise_exc=False,
        )
        return response

    def _base_url(self) -> str:
        """Return the endpoint without a version."""
        url = self._get_adapter().get_endpoint()
        if url is None:
            raise exception.Unavailable(
                what=_SERVICE,
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


def _raise_for_status(status: int, image_id: str) -> requests.Response:
    """Raise the error for a reply without an image."""
    if status in (403, 404):
        raise exception.ImageNotFound(image_id=image_id)
    if status in _RETRYABLE_STATUSES:
        raise _RetryableError(f'its reply is {status}.')
    if status == 204:
        raise exception.ImageNotActive(image_id=image_id)
    hint = '; see the credentials in [image]' if status == 401 else ''
    raise exception.Unavailable(
        what=_SERVICE, reason=f'its reply is {status}{hint}.'
    )


def _retry(func: Callable[[], _Result]) -> _Result:
    """Retry a request, up to ``[image] attempts`` times."""
    attempts = conf.CONF.image.attempts
    for attempt in range(1, attempts + 1):
        try:
            return func()
        except _RetryableError as error:
            if attempt == attempts:
                raise exception.Unavailable(
                    what=_SERVICE, reason=str(error)
                ) from error
        cancellation.wait(min(2.0 ** (attempt - 1), _MAX_DELAY))
    raise AssertionError('attempts is at least 1')

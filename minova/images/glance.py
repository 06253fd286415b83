# SPDX-License-Identifier: Apache-2.0
"""The client of a real Glance, over keystoneauth.

It logs in with the service user of the option group ``[image]``, not with the
user's token: what an operation needs may be needed long after that token has
expired. So it decides by itself, from whose project the asker is, whether the
asker sees an image. What Glance does not answer now it is asked again a few
times; then the whole is Unavailable.
"""

from collections.abc import Callable
from collections.abc import Generator
import contextlib
import re
from typing import Any
from typing import TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from oslo_config import cfg
import requests

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
    """It may go better the next time."""


def options() -> list[Any]:
    """Return keystoneauth's options of the group ``[image]``.

    With our defaults, also for the sample configuration. What an
    authentication plugin adds (``username`` and so on) is not among them.
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
        self._adapter: Any = None

    def show(
        self, context: images.CallerContext, image_id: str
    ) -> images.Image:
        """Return an image: see ``images.Images``."""
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
        """Write the data of an image to ``path``: see ``images.Images``."""
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
                reason=f'what it answers is no image ({error!r}).',
            ) from error

    def _is_member(self, image_id: str, project_id: str) -> bool:
        try:
            self._get(image_id, f'/members/{project_id}')
        except exception.ImageNotFound:
            return False
        return True

    def _data(self, image_id: str, deadline: float) -> Generator[bytes]:
        """Give the data of an image as it comes; Unavailable if too slowly."""
        with self._get(image_id, '/file', stream=True) as response:
            for chunk in response.iter_content(streams.CHUNK_BYTES):
                if clock.monotonic() > deadline:
                    raise exception.Unavailable(
                        what=_SERVICE,
                        reason=f'image {image_id} did not arrive in time; '
                        'see download_timeout in [image].',
                    )
                yield chunk

    def _get(
        self, image_id: str, suffix: str = '', stream: bool = False
    ) -> requests.Response:
        """Ask once; ImageNotFound, Unavailable or _TryAgainError."""
        if not re.fullmatch('[0-9A-Za-z-]{1,64}', image_id):
            # An id is part of the path, and this is nobody's id.
            raise exception.ImageNotFound(image_id=image_id[:64])
        try:
            response: requests.Response = self._get_adapter().get(
                f'{self._base_url()}/v2/images/{image_id}{suffix}',
                stream=stream,
                raise_exc=False,
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

    def _base_url(self) -> str:
        """Return the endpoint without a version."""
        url = self._get_adapter().get_endpoint()
        if url is None:
            raise exception.Unavailable(
                what=_SERVICE,
                reason='the catalog has no endpoint for it; see '
                'valid_interfaces and region_name in [image].',
            )
        return re.sub(r'(/v\d+(\.\d+)?)?/*$', '', url)

    def _get_adapter(self) -> Any:
        """Return the adapter, made at the first use; asks nobody yet."""
        with self._lock:
            if self._adapter is None:
                self._adapter = _make_adapter()
            return self._adapter


def open_images() -> GlanceImages:
    """Return the Glance of the group ``[image]``."""
    return GlanceImages()


def check() -> None:
    """Raise ConfigInvalid if the options cannot lead to a Glance."""
    _make_adapter()


def _make_adapter() -> Any:
    """Return what the options say; ConfigInvalid if they say too little."""
    conf.CONF.register_opts(options(), group=_GROUP)
    try:
        auth = loading.load_auth_from_conf_options(conf.CONF, _GROUP)
        session = loading.load_session_from_conf_options(
            conf.CONF, _GROUP, auth=auth
        )
        adapter = loading.load_adapter_from_conf_options(
            conf.CONF, _GROUP, session=session, auth=auth
        )
    except (ksa.ClientException, TypeError) as error:
        raise exception.ConfigInvalid(reason=f'[image]: {error}') from error
    if auth is None:
        raise exception.ConfigInvalid(
            reason='[image] auth_type is not set; images come from Glance '
            'and the service user must log in.'
        )
    return adapter


def _raise_for_status(status: int, image_id: str) -> requests.Response:
    """Raise what an answer with no image in it means."""
    if status in (403, 404):
        raise exception.ImageNotFound(image_id=image_id)
    if status in _RETRYABLE_STATUSES:
        raise _RetryableError(f'it answers {status}.')
    if status == 204:
        raise exception.ImageNotActive(image_id=image_id)
    hint = '; see the credentials in [image]' if status == 401 else ''
    raise exception.Unavailable(
        what=_SERVICE, reason=f'it answers {status}{hint}.'
    )


def _retry(func: Callable[[], _Result]) -> _Result:
    """Ask until there is an answer, as often as ``[image] attempts`` says."""
    attempts = conf.CONF.image.attempts
    for attempt in range(1, attempts + 1):
        try:
            return func()
        except _RetryableError as error:
            if attempt == attempts:
                raise exception.Unavailable(
                    what=_SERVICE, reason=str(error)
                ) from error
        clock.sleep(min(2.0 ** (attempt - 1), _MAX_DELAY))
    raise AssertionError('attempts is at least 1')

# SPDX-License-Identifier: Apache-2.0
"""The requests to Glance: login, endpoint, time limits and attempts.

The client logs in with the service user of the group ``[image]``. Failed
requests are retried a few times; then the error is Unavailable.
"""

from collections.abc import Callable
import re
from typing import Any
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
from minova.images import glance_replies as replies

_GROUP = 'image'
_MAX_DELAY = 10.0
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


class GlanceRequests:
    """Sends requests. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = clock.lock()
        self._adapter: adapter.Adapter | None = None

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
                self._adapter = make_adapter()
            return self._adapter


def make_adapter() -> adapter.Adapter:
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


def retry(func: Callable[[], _Result]) -> _Result:
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

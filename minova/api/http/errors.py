# SPDX-License-Identifier: Apache-2.0
"""The one map from error to HTTP reply. Nothing else in the API catches.

What is refused tells why. What is unexpected tells only the request id; the
log has the rest.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Final

import falcon
import orjson
from oslo_log import log as logging

from minova import exception
from minova.api.http import auth
from minova.api.views import servers as views

LOG = logging.getLogger(__name__)

Json = dict[str, Any]
App = falcon.App[falcon.Request, falcon.Response]
#: Makes the body of an error of status and text.
ErrorBody = Callable[[int, str], Json]

#: What the Compute API calls an error of a status.
ERROR_NAMES: Final = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    429: 'overLimit',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}
_DEFAULT_ERROR_NAME: Final = 'computeFault'


def error_body(status: int, message: str) -> Json:
    """Return how the Compute API tells an error."""
    name = ERROR_NAMES.get(status, _DEFAULT_ERROR_NAME)
    return {name: {'code': status, 'message': message}}


def install_error_handlers(app: App, mounted: Mapping[str, ErrorBody]) -> None:
    """Let ``app`` answer every error.

    ``mounted`` are the paths of what comes with its own way to tell one.
    """
    replies = _ErrorHandlers(mounted)
    app.add_error_handler(Exception, replies.handle_unexpected)
    app.add_error_handler(falcon.HTTPError, replies.handle_falcon)
    app.add_error_handler(exception.MinovaException, replies.handle_minova)


class _ErrorHandlers:
    """Writes an error into a reply."""

    def __init__(self, mounted: Mapping[str, ErrorBody]) -> None:
        self._mounted = mounted

    def handle_minova(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.MinovaException,
        params: Json,
    ) -> None:
        """Tell an error of ours, with its own status."""
        if error.status == 500:
            self._reply_unexpected(req, resp, error)
            return
        if error.status == 401:
            auth.set_challenge(req, resp)
        if error.status == 503:
            LOG.warning('%s %s: %s', req.method, req.path, error)
            text = _unavailable_text(error, req)
        else:
            caller = getattr(req.context, 'caller', None)
            admin = caller is not None and bool(caller.is_admin)
            text = views.redact(str(error), admin)
        self._reply(req, resp, error.status, text)

    def handle_falcon(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: falcon.HTTPError,
        params: Json,
    ) -> None:
        """Tell an error that the framework found in the request."""
        status = falcon.http_status_to_code(error.status)
        if error.headers is not None:
            resp.set_headers(error.headers)
        self._reply(req, resp, status, _falcon_text(error, status))

    def handle_unexpected(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: Json,
    ) -> None:
        """Tell that something is wrong with us."""
        self._reply_unexpected(req, resp, error)

    def _reply_unexpected(
        self, req: falcon.Request, resp: falcon.Response, error: Exception
    ) -> None:
        LOG.error(
            '%s %s failed: %s', req.method, req.path, error, exc_info=error
        )
        number = getattr(req.context, 'request_id', '')
        text = (
            'Something unexpected went wrong. The log of the service tells '
            f'more under the request id {number}.'
        )
        self._reply(req, resp, 500, text)

    def _reply(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        status: int,
        text: str,
    ) -> None:
        body: ErrorBody = error_body
        for prefix, own in self._mounted.items():
            if req.path == prefix or req.path.startswith(prefix + '/'):
                body = own
        resp.status = falcon.code_to_http_status(status)
        resp.data = orjson.dumps(body(status, text))
        resp.content_type = 'application/json'


def _unavailable_text(
    error: exception.MinovaException, req: falcon.Request
) -> str:
    """Return what is away, not where it was looked for."""
    what = error.kwargs.get('what', 'Something that is needed')
    if isinstance(error, exception.CommitUncertain):
        number = getattr(req.context, 'request_id', '')
        return (
            f'{what} did not confirm in time what was asked for: it was '
            'accepted wholly or not at all. Look before you ask again: if it '
            f'was accepted, the request id {number} stands among the '
            "server's actions (GET /servers/ID/os-instance-actions, "
            '"openstack server event list ID"); a new server is in the list '
            'of servers.'
        )
    return f'{what} is unavailable at this time. Try again later.'


def _falcon_text(error: falcon.HTTPError, status: int) -> str:
    if status == 404:
        return (
            'The resource could not be found: nothing is offered at this URL.'
        )
    if status == 405:
        return 'The method is not allowed for this resource.'
    return error.description or error.title or str(error.status)

# SPDX-License-Identifier: Apache-2.0
"""The one map from an error to an HTTP reply. Nothing else in the API catches.

A refusal (4xx) gives its reason. An unexpected error gives the request id
only; the log has the details.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Final

import falcon
import orjson
from oslo_log import log as logging

from minova import exception
from minova.api.http import auth
from minova.api.views import Document
from minova.api.views import servers as views

LOG = logging.getLogger(__name__)

App = falcon.App[falcon.Request, falcon.Response]
#: Makes the body of an error from a status and a text.
ErrorBody = Callable[[int, str], Document]

#: The names of errors in the Compute API, by status.
ERROR_NAMES: Final = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    414: 'badRequest',
    415: 'badMediaType',
    429: 'overLimit',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}
_DEFAULT_ERROR_NAME: Final = 'computeFault'


def error_body(status: int, message: str) -> Document:
    """Return the body of an error in the Compute API."""
    name = ERROR_NAMES.get(status, _DEFAULT_ERROR_NAME)
    return {name: {'code': status, 'message': message}}


def install_error_handlers(app: App, mounted: Mapping[str, ErrorBody]) -> None:
    """Handle every error in ``app``.

    ``mounted`` maps the path prefixes of other services to the function that
    makes their error bodies.
    """
    replies = _ErrorHandlers(mounted)
    app.add_error_handler(Exception, replies.handle_unexpected)
    app.add_error_handler(falcon.HTTPError, replies.handle_falcon)
    app.add_error_handler(exception.MinovaException, replies.handle_minova)


class _ErrorHandlers:
    """Writes errors into replies."""

    def __init__(self, mounted: Mapping[str, ErrorBody]) -> None:
        self._mounted = mounted

    def handle_minova(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.MinovaException,
        params: Mapping[str, str],
    ) -> None:
        """Reply with the status and the text of an error of Minova."""
        if isinstance(error, exception.InterfaceAttachFailed):
            LOG.warning('%s %s: %s', req.method, req.path, error)
            self._reply(req, resp, 500, self._redact(req, error))
            return
        if error.status == 500:
            self._reply_unexpected(req, resp, error)
            return
        LOG.debug(
            '%s %s: %s %s, details=%s',
            req.method,
            req.path,
            error.status,
            error,
            error.kwargs,
        )
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

    def _redact(self, req: falcon.Request, error: Exception) -> str:
        """Return the text of a failed operation that the caller may see."""
        caller = getattr(req.context, 'caller', None)
        admin = caller is not None and bool(caller.is_admin)
        return views.redact_fault(str(error), admin)

    def handle_falcon(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: falcon.HTTPError,
        params: Mapping[str, str],
    ) -> None:
        """Reply with an error that falcon found in the request."""
        status = falcon.http_status_to_code(error.status)
        if error.headers is not None:
            resp.set_headers(error.headers)
        self._reply(req, resp, status, _falcon_text(error, status))

    def handle_unexpected(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: Mapping[str, str],
    ) -> None:
        """Reply with 500."""
        self._reply_unexpected(req, resp, error)

    def _reply_unexpected(
        self, req: falcon.Request, resp: falcon.Response, error: Exception
    ) -> None:
        LOG.error(
            '%s %s failed: %s', req.method, req.path, error, exc_info=error
        )
        number = getattr(req.context, 'request_id', '')
        text = (
            'Unexpected API error. The log of minova-api has the details '
            f'under the request id {number}.'
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
    """Return a text without internal addresses."""
    what = error.kwargs.get('what', 'A required service')
    if isinstance(error, exception.CommitUncertain):
        number = getattr(req.context, 'request_id', '')
        return (
            f'{what} did not confirm the request in time. The request may '
            "have been committed; check the server's actions before you "
            f'retry: if it was committed, the request id {number} is in them '
            '(GET /servers/ID/os-instance-actions, "openstack server event '
            'list ID"), and a new server is in the list of servers.'
        )
    return f'{what} is unavailable at this time. Try again later.'


def _falcon_text(error: falcon.HTTPError, status: int) -> str:
    if status == 404:
        return 'The resource could not be found: this URL has no endpoint.'
    if status == 405:
        return 'The method is not allowed for this resource.'
    return error.description or error.title or str(error.status)

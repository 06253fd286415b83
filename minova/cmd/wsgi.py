# SPDX-License-Identifier: Apache-2.0
"""The API as ``minova.cmd.wsgi:application``, for a WSGI server.

The configuration is /etc/minova/minova.conf or the file that
``MINOVA_CONFIG`` names. The first request creates the connections, so that a
server that forks after loading shares none between its workers. While the
database is unavailable requests fail with 503; each request tries again.
"""

from collections.abc import Iterable
import functools
import json
import os
from wsgiref.types import StartResponse
from wsgiref.types import WSGIEnvironment

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import service
from minova.api import app
from minova.api import backend
from minova.api.http import auth
from minova.api.http import errors
from minova.conf import CONF
from minova.db import schema
from minova.rpc.oslo_bus import OsloBus

LOG = logging.getLogger(__name__)

#: Seconds that a request waits for another one that connects.
_LOCK_TIMEOUT = 4.0

_lock = clock.lock()
_application: errors.App | None = None


def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Handle one request."""
    try:
        wsgi_app = _application or _get_application()
    except exception.Unavailable as error:
        LOG.warning('Requests fail with 503: %s', error)
        return _unavailable(start_response)
    return wsgi_app(environ, start_response)


def _unavailable(start_response: StartResponse) -> Iterable[bytes]:
    text = 'The service is starting. Try again later.'
    body = json.dumps(errors.error_body(503, text)).encode()
    start_response(
        '503 Service Unavailable',
        [
            ('Content-Type', 'application/json'),
            ('Content-Length', str(len(body))),
        ],
    )
    return [body]


def _get_application() -> errors.App:
    global _application
    if not _lock.acquire(timeout=_LOCK_TIMEOUT):
        raise exception.Unavailable(
            what='The database', reason='another request is connecting to it'
        )
    try:
        if _application is None:
            _configure(os.environ.get('MINOVA_CONFIG'))
            auth.refuse_open_door(None)
            _application = app.make_app_from_configuration(_backend())
        return _application
    finally:
        _lock.release()


@functools.cache
def _configure(path: str | None) -> None:
    """Read the configuration, which is possible once per process."""
    service.configure(['--config-file', path] if path else [], 'minova-api')


def _backend() -> backend.Backend:
    database = schema.connect(CONF, CONF.api.database_timeout)
    return backend.build_backend(
        database, OsloBus(service='api'), app.open_images()
    )

# SPDX-License-Identifier: Apache-2.0
"""``minova.cmd.wsgi:application``, for uwsgi, granian and their like.

Everything is read from the configuration, /etc/minova/minova.conf or what
``MINOVA_CONFIG`` names, and made at the first request: a server that forks
after loading shares no connection between its workers.
"""

from collections.abc import Callable
from collections.abc import Iterable
import os
from typing import Any

from minova import clock
from minova import service
from minova.api import app
from minova.api import auth
from minova.api import backend
from minova.conf import CONF
from minova.db import engine
from minova.db import schema
from minova.rpc.oslo import OsloBus

_lock = clock.lock()
_made: auth.Application | None = None


def application(
    environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Answer one request."""
    return (_made or _make())(environ, start_response)


def _make() -> auth.Application:
    global _made
    with _lock:
        if _made is None:
            named = os.environ.get('MINOVA_CONFIG')
            service.configure(
                ['--config-file', named] if named else [], 'minova-api'
            )
            _made = app.make_app_from_configuration(_backend())
        return _made


def _backend() -> backend.Backend:
    database = engine.connect(CONF, patience=CONF.api.database_timeout)
    schema.require(database)
    return backend.over(database, OsloBus(), app.open_images())

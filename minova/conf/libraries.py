# SPDX-License-Identifier: Apache-2.0
"""Defaults of library options that differ in Minova."""

import importlib

from oslo_config import cfg
from oslo_log import log as logging

#: ``[database] max_pool_size``: the number of threads that may need a
#: connection. The pool opens connections on demand.
MAX_POOL_SIZE = 32

_LOG_LEVELS = (
    'oslo.messaging=WARNING',
    'oslo_messaging=WARNING',
    'oslo_service=WARNING',
    # Each error that it logs with a traceback also reaches the caller.
    'oslo_db.api=CRITICAL',
    'oslo_db.sqlalchemy.engines=ERROR',
    'amqp=ERROR',
    # Its debugging output quotes requests, and with them tokens.
    'websockets=ERROR',
    'kombu=WARNING',
    'alembic=WARNING',
    'stevedore=ERROR',
)


def set_log_levels() -> None:
    """Limit the logs of libraries to messages that an operator can use."""
    known = [
        level
        for level in logging.get_default_log_levels()
        if level not in _LOG_LEVELS
    ]
    logging.set_defaults(default_log_levels=[*known, *_LOG_LEVELS])


def set_pool_size(options: list[cfg.Opt]) -> None:
    """Set the default of ``max_pool_size`` in oslo.db's ``options``."""
    cfg.set_defaults(options, max_pool_size=MAX_POOL_SIZE)


def set_keystone_defaults() -> None:
    """Set defaults of the group ``[keystone_authtoken]``.

    ImportError without keystonemiddleware, whose list of options is copied at
    each use.
    """
    module = importlib.import_module('keystonemiddleware.auth_token._opts')
    cfg.set_defaults(
        module._OPTS,
        # Seconds for one request to Keystone, which the library repeats. It
        # waits without a limit for a Keystone that accepts connections only.
        http_connect_timeout=5,
        http_request_max_retries=1,
        # For application credentials with access rules.
        service_type='compute',
    )

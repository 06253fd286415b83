# SPDX-License-Identifier: Apache-2.0
"""Where Minova wants other defaults of library options than the library."""

from oslo_config import cfg
from oslo_log import log as logging

#: ``[database] max_pool_size``: as many as there may be threads at work; a
#: connection is made when it is needed.
MAX_POOL_SIZE = 32

_LOG_LEVELS = (
    'oslo.messaging=WARNING',
    'oslo_messaging=WARNING',
    'oslo_service=WARNING',
    # What it would log, with a traceback, is told to whoever asked.
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
    """Let libraries log only what an operator can use."""
    known = [
        level
        for level in logging.get_default_log_levels()
        if level not in _LOG_LEVELS
    ]
    logging.set_defaults(default_log_levels=[*known, *_LOG_LEVELS])


def set_pool_size(options: list[cfg.Opt]) -> None:
    """Give oslo.db's ``options`` their default."""
    cfg.set_defaults(options, max_pool_size=MAX_POOL_SIZE)

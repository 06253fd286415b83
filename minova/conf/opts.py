# SPDX-License-Identifier: Apache-2.0
"""The entry points of oslo's sample generator."""

import re

from oslo_config import cfg
from oslo_db import options as db_options
import oslo_messaging

from minova import conf
from minova.conf import libraries
from minova.rpc import routes


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return every group of Minova with its options."""
    return [
        (module.GROUP or 'DEFAULT', [_reflow_help(o) for o in module.OPTIONS])
        for module in conf.GROUPS
    ]


def _reflow_help(option: cfg.Opt) -> cfg.Opt:
    """Join the lines of each paragraph; the generator wraps them itself."""
    text = (option.help or '').strip()
    option.help = re.sub(r'(?<!\n)\n(?!\n)', ' ', text)
    return option


def set_defaults() -> None:
    """Change the defaults of library options that differ in Minova."""
    oslo_messaging.set_transport_defaults(routes.EXCHANGE)
    libraries.set_log_levels()
    libraries.set_pool_size(db_options.database_opts)
    libraries.set_keystone_defaults()

# SPDX-License-Identifier: Apache-2.0
"""The options, one file per group.

A value is read where it is used and when it is used, never at import, so that
a test may change it and a reload is seen. ``CONF`` is the global object:
oslo.messaging reads its metrics and tracing options from there alone.
"""

from oslo_config import cfg

from minova.conf import api
from minova.conf import compute
from minova.conf import conductor
from minova.conf import default
from minova.conf import fake
from minova.conf import identity
from minova.conf import image
from minova.conf import libvirt
from minova.conf import network
from minova.conf import notifications
from minova.conf import quota
from minova.conf import scheduler
from minova.conf import upgrade_levels
from minova.conf import vnc

CONF: cfg.ConfigOpts = cfg.CONF

#: Each has ``GROUP`` (None for [DEFAULT]) and ``OPTIONS``.
GROUPS = (
    default,
    api,
    compute,
    conductor,
    fake,
    identity,
    image,
    libvirt,
    network,
    notifications,
    quota,
    scheduler,
    upgrade_levels,
    vnc,
)


def register() -> None:
    """Make every option of Minova known to ``CONF``; may be called again."""
    for module in GROUPS:
        CONF.register_opts(module.OPTIONS, group=module.GROUP)


register()

# SPDX-License-Identifier: Apache-2.0
"""The configuration options, one module per option group.

================= =======================================================
default           the host of a service, its addresses, its heartbeat
api               minova-api: address, authentication, limits, timeouts
compute           minova-compute: driver, capacity, intervals
conductor         minova-conductor: host liveness, sweeps, recovery
scheduler         selection of a host
quota             limits of a project or a user
upgrade_levels    RPC version pins for a rolling upgrade
libvirt           connection, guests, live migration, embedded hosts
fake              the fake hypervisor
fencing           programs that fence hosts for evacuations
image             Glance, or the embedded image service
network           networks that a conductor creates when it starts
vnc               VNC consoles and minova-novncproxy
serial_console    serial consoles
spice             SPICE consoles
identity          the embedded identity service
notifications     which notifications are published, and their content
libraries         defaults of library options that differ in Minova
opts              the options for oslo's sample generator
================= =======================================================

Code reads a value where it uses it, never at import: a test can change it and
a reload takes effect. ``CONF`` is the global object, because oslo.messaging
reads its metrics and tracing options from there only.
"""

from oslo_config import cfg

from minova.conf import api
from minova.conf import compute
from minova.conf import conductor
from minova.conf import default
from minova.conf import fake
from minova.conf import fencing
from minova.conf import identity
from minova.conf import image
from minova.conf import libvirt
from minova.conf import network
from minova.conf import notifications
from minova.conf import quota
from minova.conf import scheduler
from minova.conf import serial_console
from minova.conf import spice
from minova.conf import upgrade_levels
from minova.conf import vnc

CONF: cfg.ConfigOpts = cfg.CONF

#: Each module has ``GROUP`` (None for [DEFAULT]) and ``OPTIONS``.
GROUPS = (
    default,
    api,
    compute,
    conductor,
    fake,
    fencing,
    identity,
    image,
    libvirt,
    network,
    notifications,
    quota,
    scheduler,
    serial_console,
    spice,
    upgrade_levels,
    vnc,
)


def register() -> None:
    """Register every option of Minova; a second call changes nothing."""
    for module in GROUPS:
        CONF.register_opts(module.OPTIONS, group=module.GROUP)


register()

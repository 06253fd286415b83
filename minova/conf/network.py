# SPDX-License-Identifier: Apache-2.0
"""[network]: the networks that a conductor creates when it starts."""

from oslo_config import cfg

GROUP = 'network'

OPTIONS = [
    cfg.MultiStrOpt(
        'network',
        default=[],
        help="""
A network of the cloud; repeat the option for more networks. A conductor that
starts creates the network unless one of that name exists. An existing network
is not changed; the log reports a difference. The value is a list of settings
with commas between them: ``name``; one of ``bridge`` (a bridge that exists on
every host), ``libvirt_network`` (a network of every host's libvirt) or
``user`` (QEMU's user network, for trials); ``cidr``; and optionally
``gateway`` (an address or ``none``; the default is the first address of the
CIDR), ``dns`` (addresses with blanks between them), ``pool`` (FIRST-LAST, the
addresses for instances; the default is all but the gateway), ``mtu``,
``project`` (the id of the only project that may use the network),
``no_port_security`` (hosts do not filter what guests send). Example:
``name=private, cidr=10.0.0.0/24, bridge=br0, dns=9.9.9.9,
pool=10.0.0.10-10.0.0.250``. See also ``minova-manage network``.
""",
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""Networks that are to be there."""

from oslo_config import cfg

GROUP = 'network'

OPTIONS = [
    cfg.MultiStrOpt(
        'network',
        default=[],
        help="""
A network that is to be there; may be given again for another one. A conductor
that starts makes it if there is none of its name; one that is there stays as
it is, also when it differs, which is logged. It is written as words with
commas between them: ``name``; one of ``bridge`` (a bridge that every host
has), ``libvirt_network`` (a network that every host's libvirt has) or
``user`` (QEMU's user network, for trials); ``cidr``; and, if wanted,
``gateway`` (an address or ``none``; by default the first of the CIDR),
``dns`` (addresses with blanks between them), ``pool`` (FIRST-LAST, what is
given out; by default all but the gateway), ``mtu``, ``project`` (the id of
the only project that may use it). For example: ``name=private,
cidr=10.0.0.0/24, bridge=br0, dns=9.9.9.9, pool=10.0.0.10-10.0.0.250``. See
also ``minova-manage network``.
""",
    ),
]

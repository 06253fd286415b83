# SPDX-License-Identifier: Apache-2.0
"""[upgrade_levels]: RPC version pins for a rolling upgrade."""

from oslo_config import cfg

GROUP = 'upgrade_levels'

_HELP = """
The newest version of the {name} RPC interface that this service uses, for
example {example}. Set it to the version of the oldest {name} of the cluster
while services of two releases run side by side, and unset it after the
upgrade. When it is not set, the service uses its newest version. The pin
applies to requests to the {name} and, on the {name} itself, to its replies.
"""

OPTIONS = [
    cfg.StrOpt(
        'conductor',
        regex=r'^\d+\.\d+$',
        help=_HELP.format(name='conductor', example='1.4'),
    ),
    cfg.StrOpt(
        'compute',
        regex=r'^\d+\.\d+$',
        help=_HELP.format(name='compute', example='1.0'),
    ),
]

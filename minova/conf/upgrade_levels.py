# SPDX-License-Identifier: Apache-2.0
"""Which version of each RPC interface to speak while a cluster is mixed."""

from oslo_config import cfg

GROUP = 'upgrade_levels'

_HELP = """
The newest version of the {name} interface that this service speaks, for
example {example}. Set it to what the oldest {name} of the cluster understands
while services of two releases run side by side; by default the newest. It
holds for what the service asks and, on the {name} itself, for its answers.
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

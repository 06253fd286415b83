# SPDX-License-Identifier: Apache-2.0
"""What a project or a user may use; -1 is without limit."""

from oslo_config import cfg

GROUP = 'quota'

OPTIONS = [
    cfg.IntOpt(
        'instances', default=-1, min=-1, help='Instances of a project.'
    ),
    cfg.IntOpt(
        'cores', default=-1, min=-1, help='Virtual processors of a project.'
    ),
    cfg.IntOpt('ram', default=-1, min=-1, help='Memory of a project, in MiB.'),
    cfg.IntOpt(
        'metadata_items',
        default=128,
        min=-1,
        help='Metadata items of an instance.',
    ),
    cfg.IntOpt(
        'key_pairs',
        default=100,
        min=-1,
        help='Key pairs of a user, whatever the project.',
    ),
]

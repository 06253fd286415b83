# SPDX-License-Identifier: Apache-2.0
"""[quota]: the limits of a project or a user; -1 means unlimited."""

from oslo_config import cfg

GROUP = 'quota'

OPTIONS = [
    cfg.IntOpt(
        'instances',
        default=-1,
        min=-1,
        help="""
The maximum number of instances of a project. -1: unlimited.
""",
    ),
    cfg.IntOpt(
        'cores',
        default=-1,
        min=-1,
        help="""
The maximum number of vCPUs of all instances of a project. -1: unlimited.
""",
    ),
    cfg.IntOpt(
        'ram',
        default=-1,
        min=-1,
        help="""
The maximum memory of all instances of a project, in MiB. -1: unlimited.
""",
    ),
    cfg.IntOpt(
        'metadata_items',
        default=128,
        min=-1,
        help="""
The maximum number of metadata items of one instance. -1: unlimited.
""",
    ),
    cfg.IntOpt(
        'key_pairs',
        default=100,
        min=-1,
        help="""
The maximum number of key pairs of a user, in all projects together. -1:
unlimited.
""",
    ),
]

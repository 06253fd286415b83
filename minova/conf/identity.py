# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3: where it keeps its users, how long tokens live.

Only read where ``[api] auth_strategy = embedded``; with Keystone see the group
``keystone_authtoken``.
"""

from oslo_config import cfg

GROUP = 'identity'

OPTIONS = [
    cfg.StrOpt(
        'directory',
        default='$state_path/identity',
        help="""
The directory of the embedded identity service: its users, the secret that
signs tokens, the admin password. Whoever can read it is an administrator; it
is made with mode 0700. One process writes to it.
""",
    ),
    cfg.IntOpt(
        'token_ttl',
        default=86400,
        min=60,
        max=31536000,
        help="""
How long a token of the embedded identity service is good for, in seconds. A
change holds for tokens issued from then on.
""",
    ),
    cfg.StrOpt(
        'region',
        default='RegionOne',
        help="""
The region under which the catalog of the embedded identity service lists its
services, and which the written clouds.yaml names.
""",
    ),
]

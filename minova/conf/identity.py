# SPDX-License-Identifier: Apache-2.0
"""[identity]: the embedded Identity v3 service.

The group is in use with ``[api] auth_strategy = embedded`` only. The options
for Keystone are in ``[keystone_authtoken]``.
"""

from oslo_config import cfg

GROUP = 'identity'

OPTIONS = [
    cfg.StrOpt(
        'directory',
        default='$state_path/identity',
        help="""
The directory of the embedded identity service: its accounts, the secret that
signs tokens, the admin password. Every account that can read it is an
administrator of the cloud; the service creates it with mode 0700. Only one
process may write to it: see [api] osapi_compute_workers.
""",
    ),
    cfg.IntOpt(
        'token_ttl',
        default=86400,
        min=60,
        max=31536000,
        help="""
The lifetime of a token of the embedded identity service, in seconds, 60 to
31536000 (a year). A change applies to new tokens.
""",
    ),
    cfg.StrOpt(
        'region',
        default='RegionOne',
        help="""
The region of all endpoints in the catalog of the embedded identity service.
The generated clouds.yaml names the same region.
""",
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""minova-api: where it listens and what it lets through."""

from oslo_config import cfg

GROUP = 'api'

OPTIONS = [
    cfg.HostAddressOpt(
        'osapi_compute_listen',
        default='127.0.0.1',
        help="""
The address on which minova-api answers. Put a TLS-terminating proxy before it
when it is to be reached from other machines.
""",
    ),
    cfg.PortOpt(
        'osapi_compute_listen_port',
        default=8774,
        help='The port on which minova-api answers; 0 takes a free one.',
    ),
    cfg.IntOpt(
        'osapi_compute_workers',
        default=1,
        min=1,
        help='How many processes minova-api runs, all on one port.',
    ),
    cfg.IntOpt(
        'threads',
        default=16,
        min=1,
        max=1000,
        help="""
How many requests one minova-api process works on at the same time. Further
ones wait.
""",
    ),
    cfg.StrOpt(
        'auth_strategy',
        default='keystone',
        choices=[
            ('keystone', 'tokens are checked by keystonemiddleware'),
            ('embedded', 'the small Identity v3 that comes with Minova'),
            (
                'noauth2',
                'X-Auth-Token is read as USER:PROJECT; for tests only',
            ),
        ],
        help='Who says who is asking. See also the [identity] group.',
    ),
    cfg.IntOpt(
        'max_limit',
        default=1000,
        min=1,
        help="""
The largest page of any list. A client that asks for more gets this many and a
link to the next page.
""",
    ),
    cfg.IntOpt(
        'max_servers_per_request',
        default=1000,
        min=1,
        help="""
The most servers that one request may create. All of them are written in one
transaction. See also the [quota] group.
""",
    ),
    cfg.IntOpt(
        'max_request_body_size',
        default=114688,
        min=1024,
        help="""
The largest request body that is read, in bytes; a larger one is answered with
413. Image uploads to the embedded image service are not counted.
""",
    ),
    cfg.FloatOpt(
        'database_timeout',
        default=4,
        min=1,
        help="""
Seconds for which a request waits for an answer of the database before it is
answered with 503. A request has a few seconds more where an answer came and
was a refusal, as for a deadlock. See also [conductor] database_timeout.
""",
    ),
    cfg.FloatOpt(
        'conductor_timeout',
        default=4,
        min=0,
        help="""
Seconds for which the reply to a resize or a migration waits for a conductor
to say where to. It is then answered with 202: the move has begun and goes on,
and that there is no place for it is told by the server's actions.
""",
    ),
    cfg.FloatOpt(
        'compute_timeout',
        default=10,
        min=0.1,
        help="""
Seconds for which a request that is answered by a host, as for a console,
waits for it before it is answered with 503.
""",
    ),
    cfg.StrOpt(
        'compute_link_prefix',
        help="""
The URL under which clients reach this service, as it stands in links. By
default the Host header of the request is believed.
""",
    ),
]

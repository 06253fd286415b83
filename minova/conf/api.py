# SPDX-License-Identifier: Apache-2.0
"""[api]: minova-api, its address, authentication, limits and timeouts."""

from oslo_config import cfg

GROUP = 'api'

OPTIONS = [
    cfg.HostAddressOpt(
        'osapi_compute_listen',
        default='127.0.0.1',
        help="""
The address on which minova-api listens. The default accepts connections of the
same machine only. For other machines, set an address that they reach and put a
TLS-terminating proxy in front of it. See also osapi_compute_listen_port.
""",
    ),
    cfg.PortOpt(
        'osapi_compute_listen_port',
        default=8774,
        help="""
The TCP port on which minova-api listens. 0: a free port, which the log names.
""",
    ),
    cfg.IntOpt(
        'osapi_compute_workers',
        default=1,
        min=1,
        help="""
The number of minova-api processes; all of them share the port. Each process
has ``threads`` threads and its own database connections, at most [database]
max_pool_size. Set 1 where the embedded identity or image
service runs: only one process may write to its directory.
""",
    ),
    cfg.IntOpt(
        'threads',
        default=16,
        min=1,
        max=1000,
        help="""
The number of requests that one minova-api process handles at the same time, 1
to 1000. Further requests wait. A thread may need a database connection: raise
[database] max_pool_size with it.
""",
    ),
    cfg.StrOpt(
        'auth_strategy',
        default='keystone',
        choices=[
            ('keystone', 'keystonemiddleware validates tokens'),
            ('embedded', 'the Identity v3 service inside minova-api'),
            ('noauth2', 'X-Auth-Token is USER:PROJECT; for tests only'),
        ],
        help="""
The authentication strategy. ``keystone`` needs the [keystone_authtoken] group;
``embedded`` needs the [identity] group and one minova-api process. ``noauth2``
accepts every request without a check, so minova-api starts with it on a
loopback address only. See also allow_noauth2_from_network.
""",
    ),
    cfg.BoolOpt(
        'allow_noauth2_from_network',
        default=False,
        help="""
Start with ``auth_strategy = noauth2`` also on an address that other machines
reach, and under another WSGI server, whose address is unknown. Every client of
that address is then an administrator of the cloud: for tests in a closed
network only. The log has a warning at each start. With false such a start ends
with exit code 2.
""",
    ),
    cfg.IntOpt(
        'max_limit',
        default=1000,
        min=1,
        help="""
The maximum number of items in one page of a list; at least 1. A request for
more items gets this many and a link to the next page.
""",
    ),
    cfg.IntOpt(
        'max_servers_per_request',
        default=1000,
        min=1,
        help="""
The maximum number of servers that one request creates (``max_count``); at
least 1. A request for more is refused with 400. One transaction writes all of
them, so a large number blocks other writers for longer. See also [quota]
instances.
""",
    ),
    cfg.IntOpt(
        'max_request_body_size',
        default=114688,
        min=1024,
        help="""
The maximum size of a request body, in bytes; at least 1024. A larger body is
refused with 413 before it is read. Uploads to the embedded image service have
a limit of their own, [image] max_upload_bytes, and are not kept in memory.
""",
    ),
    cfg.FloatOpt(
        'header_timeout',
        default=10,
        min=0.1,
        help="""
Seconds within which a connection sends its first request line and headers, and
within which a later request completes them; at least 0.1. Then the connection
is closed.
""",
    ),
    cfg.FloatOpt(
        'body_timeout',
        default=20,
        min=0.1,
        help="""
Seconds within which the body of a request arrives; at least 0.1. Then the
request fails with 408. For the upload of an image, the longest pause of the
client; its average rate is at least 1 KiB per second as well.
""",
    ),
    cfg.IntOpt(
        'max_connections',
        default=1000,
        min=1,
        help="""
The maximum number of connections without a request in progress that one
minova-api process keeps open; at least 1. Above it the oldest one is closed:
one of the address that has most. As many again may have a request in progress.
A process uses at most a quarter of its open files (``ulimit -n``) for these
connections. See also max_connections_per_address.
""",
    ),
    cfg.IntOpt(
        'max_connections_per_address',
        default=100,
        min=1,
        help="""
The maximum number of connections without a request in progress from one
address, of IPv6 from one network of 64 bits; at least 1. Above it the oldest
one of this address is closed. Behind a proxy all clients have its address: set
the value of max_connections.
""",
    ),
    cfg.FloatOpt(
        'database_timeout',
        default=4,
        min=1,
        help="""
Seconds for which a request waits for a reply of the database; at least 1.
Then the request fails with 503. A request takes a few seconds longer when the
database replies with an error that is retried, such as a deadlock. See also
[conductor] database_timeout.
""",
    ),
    cfg.FloatOpt(
        'conductor_timeout',
        default=4,
        min=0,
        help="""
Seconds for which a resize or migrate request waits until a conductor has
selected a host. After that the reply is 202 while the operation continues, and
a later failure, such as no valid host, is visible in the server's actions
only. 0: always reply 202 at once.
""",
    ),
    cfg.FloatOpt(
        'compute_timeout',
        default=10,
        min=0.1,
        help="""
Seconds for which a request waits for a reply of a compute service, as the
creation of a console does; at least 0.1. Then the request fails with 503.
""",
    ),
    cfg.StrOpt(
        'compute_link_prefix',
        help="""
The URL of this service as clients reach it, for example
``https://cloud.example.org/compute``. Links in replies start with it. When it
is not set, links use the Host header of the request, which is wrong behind a
proxy that changes this header or the path.
""",
    ),
]

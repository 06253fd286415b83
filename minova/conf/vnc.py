# SPDX-License-Identifier: Apache-2.0
"""[vnc]: the consoles of guests, and minova-novncproxy."""

from oslo_config import cfg

GROUP = 'vnc'

OPTIONS = [
    cfg.HostAddressOpt(
        'server_listen',
        default='127.0.0.1',
        help="""
The address of a compute host on which the VNC servers of its guests listen.
VNC has no password here: every client that reaches the address controls the
guests. With the default only a minova-novncproxy on the same host reaches
them; otherwise set an address in a network of the proxies. A guest keeps its
address until it starts again.
""",
    ),
    cfg.HostAddressOpt(
        'novncproxy_host',
        default='127.0.0.1',
        help="""
The address on which minova-novncproxy listens. The default accepts connections
of the same machine only. For other machines, set an address that they reach
and put a TLS-terminating proxy in front of it. See also novncproxy_port and
allowed_origins.
""",
    ),
    cfg.PortOpt(
        'novncproxy_port',
        default=6080,
        help="""
The TCP port on which minova-novncproxy listens. 0: a free port, which the log
names.
""",
    ),
    cfg.StrOpt(
        'novncproxy_base_url',
        default='http://127.0.0.1:6080/vnc_auto.html',
        help="""
The URL of the noVNC page as browsers reach it. minova-api returns it together
with a token, and minova-novncproxy accepts connections from this page: set the
same value for both services.
""",
    ),
    cfg.IntOpt(
        'token_ttl',
        default=600,
        min=1,
        help="""
Seconds for which the URL of a console is valid; at least 1. A connection that
exists at the end of this time continues.
""",
    ),
    cfg.StrOpt(
        'web',
        default='/usr/share/novnc',
        help="""
The directory of the noVNC client, which minova-novncproxy serves. The Debian
package ``novnc`` contains it. The directory may be missing where a web server
serves these files; see also allowed_origins.
""",
    ),
    cfg.ListOpt(
        'allowed_origins',
        default=[],
        help="""
Additional origins, such as ``https://cloud.example.org``, whose pages may
connect to minova-novncproxy. The origin of the request's own host and that of
``novncproxy_base_url`` are always accepted; other origins are refused with
403.
""",
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=5,
        min=0.1,
        help="""
Seconds for which minova-novncproxy waits for the VNC server of a guest to
accept a connection; at least 0.1.
""",
    ),
    cfg.FloatOpt(
        'watch_interval',
        default=5,
        min=0.1,
        help="""
Seconds between two checks of the instances whose consoles are open; at least
0.1. The connection to the console of a deleted instance is closed.
""",
    ),
    cfg.IntOpt(
        'max_connections',
        default=200,
        min=1,
        help="""
The number of consoles that one minova-novncproxy serves at the same time; at
least 1. Further connections are refused with 503. Each connection uses four
threads.
""",
    ),
]

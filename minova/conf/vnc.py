# SPDX-License-Identifier: Apache-2.0
"""minova-novncproxy: the screens of guests in a browser."""

from oslo_config import cfg

GROUP = 'vnc'

OPTIONS = [
    cfg.HostAddressOpt(
        'novncproxy_host',
        default='127.0.0.1',
        help="""
The address on which minova-novncproxy answers. Put a TLS-terminating proxy
before it when it is to be reached from other machines; see also
``allowed_origins``.
""",
    ),
    cfg.PortOpt(
        'novncproxy_port',
        default=6080,
        help='The port on which minova-novncproxy answers; 0: a free one.',
    ),
    cfg.StrOpt(
        'novncproxy_base_url',
        default='http://127.0.0.1:6080/vnc_auto.html',
        help="""
The URL of the page that shows screens, as browsers reach it. The api hands it
out with a token; the same value belongs into the configuration of the api and
of minova-novncproxy, which takes connections from pages of it.
""",
    ),
    cfg.IntOpt(
        'token_ttl',
        default=600,
        min=1,
        help="""
Seconds for which a URL that the api has handed out lets somebody in. Who is
connected by then stays so.
""",
    ),
    cfg.StrOpt(
        'web',
        default='/usr/share/novnc',
        help="""
The directory that has the noVNC client, whose files minova-novncproxy serves.
The Debian package ``novnc`` brings it. It may be missing where a web server
serves these files.
""",
    ),
    cfg.ListOpt(
        'allowed_origins',
        default=[],
        help="""
Further origins of pages, as ``https://cloud.example.org``, that may connect
to minova-novncproxy. Those are always taken that come from the host to which
the request goes, and from that of ``novncproxy_base_url``.
""",
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=5,
        min=0.1,
        help='Seconds that a guest is given to accept the connection.',
    ),
    cfg.FloatOpt(
        'watch_interval',
        default=5,
        min=0.1,
        help="""
Seconds between two looks whether the instances are still there whose screens
are being shown. A connection to one that was deleted is ended.
""",
    ),
    cfg.IntOpt(
        'max_connections',
        default=200,
        min=1,
        help="""
How many screens one minova-novncproxy shows at a time; further ones are told
to try again. Each needs four threads.
""",
    ),
]

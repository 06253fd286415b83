# SPDX-License-Identifier: Apache-2.0
"""[spice]: the SPICE consoles of guests."""

from oslo_config import cfg

GROUP = 'spice'

OPTIONS = [
    cfg.BoolOpt(
        'enabled',
        default=False,
        help="""
Whether the guests of this host get a SPICE server beside their VNC server. It
listens at ``[vnc] server_listen`` and has no password. A guest gets it when it
starts again. Without effect where QEMU has no SPICE; since
Debian 13 the package ``qemu-system-modules-spice`` contains it.
""",
    ),
    cfg.BoolOpt(
        'agent_enabled',
        default=True,
        help="""
Whether guests with SPICE have the channel of the SPICE agent, which shares the
clipboard and sets the resolution.
""",
    ),
    cfg.StrOpt(
        'html5proxy_base_url',
        default='http://127.0.0.1:6080/spice_auto.html',
        help="""
The URL of the page of a SPICE client, such as spice-html5, as browsers reach
it. minova-api returns it together with a token, and minova-novncproxy accepts
connections from this page: set the same value for both services. A web server
serves the files of the page, and sends websockets to minova-novncproxy.
""",
    ),
    cfg.StrOpt(
        'spice_direct_proxy_base_url',
        default='http://127.0.0.1:13002/nova',
        help="""
The URL of a proxy for native SPICE clients. minova-api returns it together
with a token for consoles of the type spice-direct. The proxy, which is not a
part of Minova, asks for the address of a token at ``GET
/os-console-auth-tokens/{token}``.
""",
    ),
]

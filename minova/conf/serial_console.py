# SPDX-License-Identifier: Apache-2.0
"""[serial_console]: the serial consoles of guests."""

from oslo_config import cfg

GROUP = 'serial_console'

OPTIONS = [
    cfg.BoolOpt(
        'enabled',
        default=False,
        help="""
Whether this host offers the serial consoles of its guests. minova-compute then
listens at proxyclient_address and proxyclient_port. With the default, requests
for the serial consoles of its guests are refused with 400. The console log
does not need this option.
""",
    ),
    cfg.StrOpt(
        'base_url',
        default='ws://127.0.0.1:6080/',
        help="""
The URL at which clients reach minova-novncproxy by websocket, which serves the
serial consoles too. minova-api returns it together with a token. Clients of
other machines need ``wss://`` and a TLS-terminating proxy. See also
``[vnc] allowed_origins`` for terminals in the pages of other servers.
""",
    ),
    cfg.HostAddressOpt(
        'proxyclient_address',
        default='127.0.0.1',
        help="""
The address of a compute host at which minova-compute listens for
minova-novncproxy, and which it tells the proxy. Connections are encrypted and
need a key that is valid once. With the default only a proxy on the same host
reaches the consoles. See also proxyclient_port.
""",
    ),
    cfg.PortOpt(
        'proxyclient_port',
        default=9799,
        help="""
The TCP port of proxyclient_address; open it for the machines of
minova-novncproxy. 0: a free port, another one at each start.
""",
    ),
]

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
starts again. Without effect where QEMU has no SPICE; since Debian 13 the
package ``qemu-system-modules-spice`` contains it. Guests with SPICE migrate
live only to hosts whose QEMU has SPICE, whatever this option is there.
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
    cfg.BoolOpt(
        'require_secure',
        default=False,
        help="""
Whether the SPICE servers of this host accept TLS only. Set ``spice_tls`` and
``spice_tls_x509_cert_dir`` in libvirt's ``qemu.conf``, on each host to which
guests may migrate; without a certificate guests do not start. Consoles of the
type spice-html5, which need a server without TLS, are then refused with 400;
those of the type spice-direct show a ``tls_port``.
""",
    ),
    cfg.StrOpt(
        'image_compression',
        choices=('auto_glz', 'auto_lz', 'quic', 'glz', 'lz', 'off'),
        help="""
Lossless compression of images. QEMU chooses by default. It applies to a guest
when the guest starts again, as the other options of compression do.
""",
    ),
    cfg.StrOpt(
        'jpeg_compression',
        choices=('auto', 'never', 'always'),
        help="""
Lossy compression of images for slow networks. QEMU chooses by default.
""",
    ),
    cfg.StrOpt(
        'zlib_compression',
        choices=('auto', 'never', 'always'),
        help="""
Additional lossless compression for slow networks. QEMU chooses by default.
""",
    ),
    cfg.BoolOpt(
        'playback_compression',
        help="""
Whether audio is compressed. QEMU chooses by default.
""",
    ),
    cfg.StrOpt(
        'streaming_mode',
        choices=('filter', 'all', 'off'),
        help="""
Which parts of the screen are sent as video: those that look like one, all, or
none. QEMU chooses by default.
""",
    ),
    cfg.StrOpt(
        'web',
        default='/usr/share/spice-html5',
        help="""
The directory of the client spice-html5, which minova-novncproxy serves below
``/spice/``. The Debian package ``spice-html5`` contains it. The directory may
be missing where a web server serves these files; see also
``[vnc] allowed_origins``.
""",
    ),
    cfg.StrOpt(
        'html5proxy_base_url',
        default='http://127.0.0.1:6080/spice/spice_auto.html',
        help="""
The URL of the page of spice-html5 as browsers reach it. minova-api returns it
together with a token, and minova-novncproxy accepts connections from this
page: set the same value for both services. Its websocket is at the root of the
same site.
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

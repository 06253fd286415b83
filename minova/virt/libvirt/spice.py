# SPDX-License-Identifier: Apache-2.0
"""The SPICE servers of guests.

A guest has one where ``[spice] enabled`` is set and QEMU has SPICE, which is a
module of its own. libvirt refuses a definition with SPICE for another QEMU,
and so does the destination of a live migration: the channel of the SPICE agent
is a device of the guest, which cannot disappear while it runs.
"""

from typing import Final
from xml.etree import ElementTree

import libvirt

from minova.conf import CONF
from minova.virt.libvirt.xml_elements import add

#: The elements that tune SPICE, with their attribute; an option for each.
_TUNING: Final = (
    ('image', 'compression'),
    ('jpeg', 'compression'),
    ('zlib', 'compression'),
    ('playback', 'compression'),
    ('streaming', 'mode'),
)


def has_spice(domain: ElementTree.Element) -> bool:
    """Return whether a definition needs a QEMU with SPICE."""
    return any(
        domain.find(f'./devices/{device}') is not None
        for device in ("graphics[@type='spice']", "channel[@type='spicevmc']")
    )


def is_offered(
    connection: libvirt.virConnect, emulator: str | None, virt_type: str
) -> bool:
    """Return whether new guests get a SPICE server.

    ``emulator`` is the path of QEMU, None for libvirt's choice.
    """
    if not CONF.spice.enabled or virt_type == 'test':
        return False
    return is_supported(connection, emulator, virt_type)


def is_supported(
    connection: libvirt.virConnect, emulator: str | None, virt_type: str
) -> bool:
    """Return whether QEMU has SPICE, with the parameters of is_offered."""
    text = connection.getDomainCapabilities(
        emulator, 'x86_64', None, virt_type
    )
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    kinds = root.iterfind("./devices/graphics/enum[@name='type']/value")
    return 'spice' in [one.text for one in kinds]


def add_spice(devices: ElementTree.Element, listen: str) -> None:
    """Add a SPICE server at a free port, and the channel of its agent."""
    graphics = add(
        devices,
        'graphics',
        type='spice',
        port=-1,
        autoport='yes',
        listen=listen,
    )
    add(graphics, 'listen', type='address', address=listen)
    if CONF.spice.require_secure:
        graphics.set('defaultMode', 'secure')
    for name, attribute in _TUNING:
        value = CONF.spice[f'{name}_{attribute}']
        if isinstance(value, bool):
            value = 'on' if value else 'off'
        if value is not None:
            add(graphics, name, **{attribute: value})
    if CONF.spice.agent_enabled:
        channel = add(devices, 'channel', type='spicevmc')
        add(channel, 'target', type='virtio', name='com.redhat.spice.0')


def missing_reason() -> str:
    """Return why a running guest has no SPICE server, and what to do."""
    if not CONF.spice.enabled:
        return 'its host has no [spice] enabled.'
    return (
        'the guest was defined without SPICE. Install QEMU with SPICE on its '
        'host (since Debian 13 qemu-system-modules-spice), and reboot it hard.'
    )

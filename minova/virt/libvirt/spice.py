# SPDX-License-Identifier: Apache-2.0
"""The SPICE servers of guests.

A guest has one where ``[spice] enabled`` is set and QEMU has SPICE, which is a
module of its own. libvirt refuses a definition with SPICE for another QEMU.
"""

from xml.etree import ElementTree

import libvirt

from minova.conf import CONF
from minova.virt.libvirt.xml_elements import add


def is_offered(
    connection: libvirt.virConnect, emulator: str | None, virt_type: str
) -> bool:
    """Return whether new guests get a SPICE server.

    ``emulator`` is the path of QEMU, None for libvirt's choice.
    """
    if not CONF.spice.enabled or virt_type == 'test':
        return False
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

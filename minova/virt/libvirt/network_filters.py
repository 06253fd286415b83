# SPDX-License-Identifier: Apache-2.0
"""The filters of what guests may send to a network: nwfilter of libvirt.

A guest on a bridge or a libvirt network shares it with others. Its interface
refers to ``FILTER``, with the addresses that Minova assigned as parameters;
libvirt takes the MAC from the interface. The filter drops packets with another
MAC, IPv4 or IPv6 address or ARP sender, answers of DHCP servers, router
advertisements and redirects, and all protocols but IPv4, IPv6, ARP, and the
RARP with which QEMU announces a guest that has migrated. What a guest receives
is not filtered. A network may do without (``port_security_enabled``), and
QEMU's user network needs none.

libvirt keeps filters by name. Defining one that is the same has no effect;
another one, as after an upgrade or a change by hand, is replaced, also for the
guests that run. The format is https://libvirt.org/formatnwfilter.html.
"""

from collections.abc import Iterable
from typing import Any
from typing import Final
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import exception
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.xml_elements import add

LOG = logging.getLogger(__name__)

#: The filter of an interface.
FILTER: Final = 'minova-clean-traffic'
#: The values of a nic without an address of that family. Every guest may use
#: them as a source, to get an address; without a value libvirt would learn
#: an address from what the guest sends.
_UNSPECIFIED: Final = {'IP': '0.0.0.0', 'IPV6': '::'}  # noqa: S104
#: The parts of ``FILTER``, in the order of their definition. A chain decides
#: about packets of one kind: ``return`` leaves the packet to the root chain.
_DEFINITIONS: Final = (
    """
<filter name='minova-no-mac-spoofing' chain='mac' priority='-800'>
  <uuid>6d696e6f-7661-4000-8000-6d61632d7370</uuid>
  <rule action='return' direction='out' priority='350'>
    <mac srcmacaddr='$MAC'/>
  </rule>
  <rule action='drop' direction='out' priority='500'><mac/></rule>
</filter>
""",
    """
<filter name='minova-no-ip-spoofing' chain='ipv4' priority='-700'>
  <uuid>6d696e6f-7661-4000-8000-6970762d7370</uuid>
  <rule action='drop' direction='out' priority='100'>
    <ip protocol='udp' srcportstart='67'/>
  </rule>
  <rule action='return' direction='out' priority='200'>
    <ip srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' protocol='udp'
        srcportstart='68' dstportstart='67'/>
  </rule>
  <rule action='return' direction='out' priority='300'>
    <ip srcipaddr='$IP'/>
  </rule>
  <rule action='drop' direction='out' priority='500'/>
</filter>
""",
    """
<filter name='minova-no-ipv6-spoofing' chain='ipv6' priority='-600'>
  <uuid>6d696e6f-7661-4000-8000-697076362d73</uuid>
  <rule action='drop' direction='out' priority='100'>
    <ipv6 protocol='udp' srcportstart='547'/>
  </rule>
  <rule action='drop' direction='out' priority='110'>
    <ipv6 protocol='icmpv6' type='134'/>
  </rule>
  <rule action='drop' direction='out' priority='120'>
    <ipv6 protocol='icmpv6' type='137'/>
  </rule>
  <rule action='return' direction='out' priority='200'>
    <ipv6 srcipaddr='::' protocol='icmpv6'/>
  </rule>
  <rule action='return' direction='out' priority='210'>
    <ipv6 srcipaddr='fe80::' srcipmask='10'/>
  </rule>
  <rule action='return' direction='out' priority='300'>
    <ipv6 srcipaddr='$IPV6'/>
  </rule>
  <rule action='drop' direction='out' priority='500'/>
</filter>
""",
    """
<filter name='minova-no-arp-spoofing' chain='arp' priority='-500'>
  <uuid>6d696e6f-7661-4000-8000-6172702d7370</uuid>
  <rule action='drop' direction='out' priority='100'>
    <arp match='no' arpsrcmacaddr='$MAC'/>
  </rule>
  <rule action='return' direction='out' priority='200'>
    <arp arpsrcipaddr='0.0.0.0' opcode='1'/>
  </rule>
  <rule action='return' direction='out' priority='300'>
    <arp arpsrcipaddr='$IP'/>
  </rule>
  <rule action='drop' direction='out' priority='500'/>
</filter>
""",
    f"""
<filter name='{FILTER}' chain='root'>
  <uuid>6d696e6f-7661-4000-8000-636c65616e31</uuid>
  <filterref filter='minova-no-mac-spoofing'/>
  <filterref filter='minova-no-ip-spoofing'/>
  <filterref filter='minova-no-ipv6-spoofing'/>
  <filterref filter='minova-no-arp-spoofing'/>
  <rule action='accept' direction='out' priority='100'>
    <mac protocolid='ipv4'/>
  </rule>
  <rule action='accept' direction='out' priority='110'>
    <mac protocolid='ipv6'/>
  </rule>
  <rule action='accept' direction='out' priority='120'>
    <mac protocolid='arp'/>
  </rule>
  <rule action='accept' direction='out' priority='130'>
    <mac protocolid='rarp'/>
  </rule>
  <rule action='drop' direction='out' priority='500'/>
</filter>
""",
)

#: The definitions by name.
_FILTERS: Final = {
    str(ElementTree.fromstring(one).get('name')): one  # noqa: S314
    for one in _DEFINITIONS
}

Nic = dict[str, Any]


def is_filtered(nic: Nic) -> bool:
    """Return whether what a guest sends by a nic is filtered."""
    return bool(
        (nic.get('bridge') or nic.get('libvirt_network'))
        and nic.get('port_security_enabled', True)
    )


def add_filter(device: ElementTree.Element, nic: Nic) -> None:
    """Add the filter of a nic to its ``<interface>``."""
    if not is_filtered(nic):
        return
    reference = add(device, 'filterref', filter=FILTER)
    for name, version in (('IP', 4), ('IPV6', 6)):
        addresses = [
            given['address']
            for given in nic.get('addresses', ())
            if given['version'] == version
        ]
        for value in addresses or [_UNSPECIFIED[name]]:
            add(reference, 'parameter', name=name, value=value)


class NetworkFilters:
    """The filters that the libvirt of ``connection`` has."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # How libvirt writes each filter of this release.
        self._known: dict[str, str] = {}
        self._last_error = ''

    def ensure(self, uuid: str, nics: Iterable[Nic]) -> None:
        """Define the filters if one of a guest's nics needs them.

        Raises GuestFailed where libvirt cannot filter: the guest must not run
        there.
        """
        labels = sorted({nic['label'] for nic in nics if is_filtered(nic)})
        if not labels:
            return
        conn = self._connection.get()
        try:
            self._define(conn)
        except libvirt.libvirtError as error:
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'network {", ".join(labels)} needs filters, and '
                f'{self._describe(error)}.',
            ) from error

    def restore(self) -> None:
        """Define the filters again that are missing or were changed.

        An error is logged, once: a guest without networks can run.
        """
        if not self._connection.uri.partition('?')[0].endswith('/system'):
            # The libvirt of a user has neither bridges nor filters.
            return
        conn = self._connection.get()
        try:
            self._define(conn)
        except libvirt.libvirtError as error:
            reason = self._describe(error)
            if reason != self._last_error:
                LOG.warning(
                    'This host gets no servers on bridges and networks of '
                    'libvirt: %s',
                    reason,
                )
            self._last_error = reason
        else:
            self._last_error = ''

    def _define(self, conn: libvirt.virConnect) -> None:
        for name, definition in _FILTERS.items():
            found = _read(conn, name)
            if found is not None and found == self._known.get(name):
                continue
            made = str(conn.nwfilterDefineXML(definition).XMLDesc())
            if found is not None and found != made:
                LOG.warning(
                    'Filter %s of libvirt was not that of this release, but '
                    'changed by hand or by another release; replaced it',
                    name,
                )
            self._known[name] = made

    def _describe(self, error: libvirt.libvirtError) -> str:
        text = error_message(error)
        if has_error_code(error, libvirt.VIR_ERR_NO_SUPPORT):
            text = 'it has no nwfilter driver'
        return (
            f'libvirt at {self._connection.uri} cannot define them: {text}; '
            'install its nwfilter driver (Debian 12: libvirt-daemon, Debian '
            '13: libvirt-daemon-driver-nwfilter) and ebtables, or create the '
            'network without port security'
        )


def _read(conn: libvirt.virConnect, name: str) -> str | None:
    """Return the definition of a filter; None if libvirt has none."""
    try:
        return str(conn.nwfilterLookupByName(name).XMLDesc())
    except libvirt.libvirtError as error:
        if has_error_code(error, libvirt.VIR_ERR_NO_NWFILTER):
            return None
        raise

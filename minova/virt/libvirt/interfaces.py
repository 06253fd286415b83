# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of the guests of one libvirt.

libvirt changes a running guest and its definition separately. Each method
reads both and changes what differs, so that a caller can repeat it.

A guest that runs takes part in the removal of a device: QEMU asks it to
release the device, and libvirt reports when it has. A guest that boots, or
whose operating system has no hot plug, ignores the request, so the request is
repeated, up to ``[libvirt] device_detach_attempts`` times.
"""

from typing import Final

import libvirt

from minova import cancellation
from minova import exception
from minova.conf import CONF
from minova.states import PowerState
from minova.virt.driver import GuestSpec
from minova.virt.driver import Nic
from minova.virt.libvirt import xml
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.guests import Guests

#: Seconds between two looks at a device that a guest is to release.
_POLL_INTERVAL: Final = 0.5
#: A part of QEMU's message for a request while the previous one is pending.
_PENDING: Final = 'in the process of unplug'


class Interfaces:
    """The interfaces of the guests that the libvirt of ``guests`` has."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def interfaces(self, uuid: str) -> list[str]:
        """Return the MACs in libvirt's description of the domain."""
        domain = self._guests.find(uuid)
        found: list[str] = []
        if domain is not None:
            with translate_errors(uuid, ignore_missing=True):
                found = list(_elements(domain, 0))
        return found

    def attach_interface(self, spec: GuestSpec, nic: Nic) -> None:
        """Attach the device where it is missing, with one call."""
        domain = self._guests.require(spec.uuid)
        text = xml.interface_xml(spec, nic)
        with translate_errors(spec.uuid):
            flags = _flags_without(domain, nic['mac'].lower())
            if flags:
                self._guests.request(
                    domain, lambda dom: dom.attachDeviceFlags(text, flags)
                )

    def detach_interface(self, uuid: str, nic: Nic) -> None:
        """Detach the device from the running guest, then for good."""
        domain = self._guests.find(uuid)
        if domain is None:
            return
        mac = nic['mac'].lower()
        with translate_errors(uuid, ignore_missing=True):
            self._unplug(domain, uuid, mac)
            text = _elements(domain, libvirt.VIR_DOMAIN_XML_INACTIVE).get(mac)
            if text is not None:
                self._guests.request(
                    domain,
                    lambda dom: dom.detachDeviceFlags(
                        text, libvirt.VIR_DOMAIN_AFFECT_CONFIG
                    ),
                )

    def _unplug(self, domain: libvirt.virDomain, uuid: str, mac: str) -> None:
        """Have a running guest release a device."""
        attempts = int(CONF.libvirt.device_detach_attempts)
        for _ in range(attempts):
            text = _live_element(domain, mac)
            if text is None:
                return
            guest = self._guests.guest(uuid)
            if guest is not None and guest.power is PowerState.PAUSED:
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='the guest is paused and cannot release the '
                    f'interface {mac}; unpause or stop it first',
                )
            self._request_release(domain, mac, text)
            if _wait_until_released(domain, mac):
                return
        seconds = attempts * CONF.libvirt.device_detach_timeout
        raise exception.GuestFailed(
            instance_id=uuid,
            reason=f'the guest did not release the interface {mac} within '
            f'{seconds} s; repeat the request when its operating system has '
            'booted, or stop it first',
        )

    def _request_release(
        self, domain: libvirt.virDomain, mac: str, text: str
    ) -> None:
        try:
            self._guests.request(
                domain,
                lambda dom: dom.detachDeviceFlags(
                    text, libvirt.VIR_DOMAIN_AFFECT_LIVE
                ),
            )
        except libvirt.libvirtError as error:
            # The guest may have released it, or gone off, meanwhile.
            is_pending = _PENDING in error_message(error)
            if not is_pending and _live_element(domain, mac) is not None:
                raise


def _wait_until_released(domain: libvirt.virDomain, mac: str) -> bool:
    waited = 0.0
    while _live_element(domain, mac) is not None:
        if waited >= CONF.libvirt.device_detach_timeout:
            return False
        cancellation.wait(_POLL_INTERVAL)
        waited += _POLL_INTERVAL
    return True


def _live_element(domain: libvirt.virDomain, mac: str) -> str | None:
    """Return the device of a guest that is on, None if it has none."""
    return _elements(domain, 0).get(mac) if domain.isActive() else None


def _flags_without(domain: libvirt.virDomain, mac: str) -> int:
    """Return libvirt's flags of the parts that lack a device."""
    flags = 0
    if domain.isActive() and mac not in _elements(domain, 0):
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    if mac not in _elements(domain, libvirt.VIR_DOMAIN_XML_INACTIVE):
        flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return flags


def _elements(domain: libvirt.virDomain, flags: int) -> dict[str, str]:
    """Return the interfaces of a description by their MAC, in order."""
    return xml.interface_elements(str(domain.XMLDesc(flags)))

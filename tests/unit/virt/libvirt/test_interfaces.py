# SPDX-License-Identifier: Apache-2.0
"""Interfaces of guests that run: what libvirt is asked, and when."""

import libvirt

from minova import exception
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.libvirt import interfaces
from minova.virt.libvirt import xml
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID
from tests.unit.virt.test_driver_interfaces import nic

ONE = nic(1)
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


class Domain:
    """A domain with a live and a persistent definition."""

    def __init__(self, is_active=True):
        self.is_active = is_active
        self.macs = {LIVE: [], CONFIG: []}
        self.calls = []
        #: How many requests the guest ignores.
        self.ignored = 0
        self.error = None

    def isActive(self):
        return self.is_active

    def XMLDesc(self, flags):
        persistent = flags & libvirt.VIR_DOMAIN_XML_INACTIVE
        part = CONFIG if persistent or not self.is_active else LIVE
        devices = ''.join(
            f'<interface type="user"><mac address="{mac}"/></interface>'
            for mac in self.macs[part]
        )
        return f'<domain><devices>{devices}</devices></domain>'

    def attachDeviceFlags(self, text, flags):
        self.calls.append(('attach', flags))
        for part in (LIVE, CONFIG):
            if flags & part:
                self.macs[part].append(_mac(text))

    def detachDeviceFlags(self, text, flags):
        self.calls.append(('detach', flags))
        if self.error is not None:
            raise self.error
        if flags & LIVE and self.ignored:
            self.ignored -= 1
            return
        self.macs[flags].remove(_mac(text))


def _mac(text):
    (found,) = xml.interface_elements(
        f'<domain><devices>{text}</devices></domain>'
    )
    return found


class Guests:
    """One guest."""

    def __init__(self, domain):
        self.domain = domain
        self.power = PowerState.RUNNING

    def find(self, uuid):
        return self.domain

    require = find

    def guest(self, uuid):
        return Guest(uuid, self.power, 1, 'operation', 1)

    def request(self, domain, act):
        return act(domain)


class InterfacesTest(base.TestCase):
    """One guest that is on, unless a test says otherwise."""

    def setUp(self):
        super().setUp()
        self.config(
            group='libvirt',
            device_detach_attempts=3,
            device_detach_timeout=1,
        )
        self.patch(interfaces, '_POLL_INTERVAL', 0.5)
        self.patch(interfaces.cancellation, 'wait', lambda seconds: None)
        self.domain = Domain()
        self.guests = Guests(self.domain)
        self.interfaces = interfaces.Interfaces(self.guests)

    def attach(self):
        self.interfaces.attach_interface(spec(), ONE)

    def detach(self):
        self.interfaces.detach_interface(UUID, ONE)

    def assert_calls(self, *expected):
        self.assertEqual(list(expected), self.domain.calls)
        self.domain.calls.clear()

    def test_both_parts_with_one_call(self):
        self.attach()
        self.assert_calls(('attach', LIVE | CONFIG))
        self.attach()
        self.assert_calls()
        self.assertEqual([ONE['mac']], self.interfaces.interfaces(UUID))

    def test_only_what_an_interrupted_call_has_left(self):
        for part in (LIVE, CONFIG):
            self.domain.macs = {LIVE: [], CONFIG: []}
            self.domain.macs[part] = [ONE['mac']]
            self.attach()
            self.assert_calls(('attach', (LIVE | CONFIG) & ~part))

    def test_a_guest_that_is_off(self):
        self.domain.is_active = False
        self.attach()
        self.assert_calls(('attach', CONFIG))
        self.detach()
        self.assert_calls(('detach', CONFIG))

    def test_detach(self):
        self.attach()
        self.domain.calls.clear()
        self.detach()
        self.assert_calls(('detach', LIVE), ('detach', CONFIG))
        self.detach()
        self.assert_calls()

    def test_a_guest_that_boots_is_asked_again(self):
        self.attach()
        self.domain.calls.clear()
        self.domain.ignored = 2
        self.detach()
        self.assert_calls(*[('detach', LIVE)] * 3, ('detach', CONFIG))

    def test_a_guest_that_does_not_release_keeps_it(self):
        self.attach()
        self.domain.ignored = 9
        error = self.assertRaises(exception.GuestFailed, self.detach)
        self.assertIn('did not release the interface', str(error))
        self.assertIn('within 3 s', str(error))
        self.assertEqual([ONE['mac']], self.domain.macs[CONFIG])

    def test_a_paused_guest_is_not_asked(self):
        self.attach()
        self.domain.calls.clear()
        self.guests.power = PowerState.PAUSED
        error = self.assertRaises(exception.GuestFailed, self.detach)
        self.assertIn('is paused', str(error))
        self.assert_calls()

    def test_errors(self):
        self.attach()
        self.domain.error = libvirt.libvirtError('device is in use')
        error = self.assertRaises(exception.GuestFailed, self.detach)
        self.assertIn('device is in use', str(error))
        # QEMU refuses a request while the previous one is pending.
        self.domain.error = libvirt.libvirtError(
            'Device net0 is already in the process of unplug'
        )
        error = self.assertRaises(exception.GuestFailed, self.detach)
        self.assertIn('did not release', str(error))

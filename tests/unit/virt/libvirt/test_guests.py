# SPDX-License-Identifier: Apache-2.0
"""The guests of any libvirt: its calls and its answers."""

import os
import time
from unittest import mock

import fixtures
import libvirt

from minova import exception
from minova.states import PowerState
from minova.virt.libvirt import host
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.plain_files import PlainFileBackend
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID


class GuestsTestCase(base.TestCase):
    """Guests on the test driver."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, 'node.xml')
        with open(path, 'w') as file:
            file.write('<node/>')
        self.connection = Connection(f'test://{path}')
        self.addCleanup(self.connection.close)
        self.disks = Disks(
            os.path.join(self.directory, 'instances'), PlainFileBackend()
        )
        self.guests = Guests(self.connection, self.disks, xml.PROFILES['test'])

    def running(self, uuid=UUID, **values):
        self.disks.create_disks(spec(uuid, **values), None)
        self.guests.define(spec(uuid, **values))
        self.guests.start(uuid)
        return self.guests.find(uuid)


class PowerTest(GuestsTestCase):
    """The mapping of libvirt's states."""

    def test_states(self):
        domain = self.running()
        for state, power, on in (
            (libvirt.VIR_DOMAIN_NOSTATE, PowerState.NOSTATE, False),
            (libvirt.VIR_DOMAIN_RUNNING, PowerState.RUNNING, True),
            (libvirt.VIR_DOMAIN_BLOCKED, PowerState.RUNNING, True),
            (libvirt.VIR_DOMAIN_PAUSED, PowerState.PAUSED, True),
            # It runs until it is off.
            (libvirt.VIR_DOMAIN_SHUTDOWN, PowerState.RUNNING, True),
            (libvirt.VIR_DOMAIN_SHUTOFF, PowerState.SHUTDOWN, False),
            (libvirt.VIR_DOMAIN_CRASHED, PowerState.CRASHED, False),
            (libvirt.VIR_DOMAIN_PMSUSPENDED, PowerState.SUSPENDED, True),
            (99, PowerState.NOSTATE, False),
        ):
            answer = [(domain, {'state.state': state, 'state.reason': 0})]
            with mock.patch.object(
                self.connection.get(),
                'getAllDomainStats',
                lambda _, answer=answer: answer,
            ):
                (guest,) = self.guests.guests()
            self.assertEqual(power, guest.power)
            self.assertEqual(on, guest.boot is not None)

    def test_trouble(self):
        domain = self.running()
        state, reason = (
            libvirt.VIR_DOMAIN_PAUSED,
            libvirt.VIR_DOMAIN_PAUSED_IOERROR,
        )
        answer = [(domain, {'state.state': state, 'state.reason': reason})]
        with mock.patch.object(
            self.connection.get(), 'getAllDomainStats', lambda _: answer
        ):
            (guest,) = self.guests.guests()
        self.assertIn('disk', guest.fault)

    def test_a_guest_that_crashed(self):
        domain = self.running()
        domain.coreDump(
            os.path.join(self.directory, 'core'), libvirt.VIR_DUMP_CRASH
        )
        guest = self.guests.guest(UUID)
        self.assertEqual(
            (PowerState.SHUTDOWN, None), (guest.power, guest.boot)
        )
        self.assertIn('crashed', guest.fault)

    def test_boot_is_libvirts_number(self):
        domain = self.running()
        self.assertEqual(domain.ID(), self.guests.guest(UUID).boot)
        domain.destroy()
        domain.create()
        self.assertEqual(domain.ID(), self.guests.guest(UUID).boot)


class CallsTest(GuestsTestCase):
    """The number of calls to libvirt."""

    def setUp(self):
        super().setUp()
        self.uuids = [UUID[:-1] + str(number) for number in range(4)]
        for uuid in self.uuids:
            self.running(uuid)
        self.events, self.calls = [], []
        self.connection.add_listener(self.events.append)
        for name in (
            'virConnectGetAllDomainStats',
            'virConnectListAllDomains',
            'virDomainLookupByUUIDString',
            'virDomainGetMetadata',
            'virDomainGetState',
            'virDomainGetXMLDesc',
        ):
            self.count(name)

    def count(self, name):
        module = libvirt.libvirtmod
        real = getattr(module, name)

        def counted(*args):
            self.calls.append(name)
            return real(*args)

        self.useFixture(fixtures.MockPatchObject(module, name, counted))

    def metadata_reads(self):
        """Read all guests when no event is pending."""
        received = -1
        while received != len(self.events):
            received = len(self.events)
            time.sleep(0.05)
        self.guests.guests()
        self.calls.clear()

    def test_all_guests_take_one_call(self):
        self.metadata_reads()
        self.guests.guests()
        self.assertEqual(['virConnectGetAllDomainStats'], self.calls)

    def test_metadata_of_changed_guest_is_read_again(self):
        self.metadata_reads()
        domain = self.guests.find(self.uuids[0])
        made = spec(self.uuids[0], operation='other', generation=5)
        domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            xml.metadata_xml(made),
            xml.PREFIX,
            xml.NAMESPACE,
            libvirt.VIR_DOMAIN_AFFECT_LIVE,
        )
        for _ in range(100):
            marks = {g.uuid: g.generation for g in self.guests.guests()}
            if marks[self.uuids[0]] == 5:
                break
            time.sleep(0.01)
        self.assertEqual([5, 1, 1, 1], [marks[uuid] for uuid in self.uuids])

    def test_reconnect_clears_metadata_cache(self):
        self.metadata_reads()
        self.guests._invalidate(None)
        self.calls.clear()
        self.guests.guests()
        self.assertEqual(4, self.calls.count('virDomainGetMetadata'))

    def test_read_during_change_is_not_cached(self):
        self.metadata_reads()
        self.guests._invalidate(None)
        domain = self.guests.find(self.uuids[0])
        real = type(domain).metadata

        def late(domain, *args):
            text = real(domain, *args)
            self.guests._invalidate(domain.UUIDString())
            return text

        with mock.patch.object(type(domain), 'metadata', late):
            self.assertEqual(4, len(self.guests.guests()))
        self.calls.clear()
        self.guests.guests()
        self.assertEqual(4, self.calls.count('virDomainGetMetadata'))


class OthersTest(GuestsTestCase):
    """Domains of others, and domains that disappear."""

    def test_a_guest_that_is_not_ours(self):
        self.connection.get().defineXML(
            f"<domain type='test'><name>x</name><uuid>{UUID}</uuid>"
            '<memory>1024</memory><vcpu>1</vcpu>'
            '<os><type>hvm</type></os></domain>'
        )
        (guest,) = self.guests.guests()
        self.assertEqual(
            (UUID, None, None),
            (guest.uuid, guest.operation, guest.generation),
        )
        self.assertEqual(guest, self.guests.guest(UUID))

    def test_guest_vanishes_during_query(self):
        domain = self.running()
        real = self.connection.get().getAllDomainStats

        def gone(*args):
            answer = real(*args)
            domain.destroy()
            domain.undefine()
            self.guests._invalidate(None)
            return answer

        with mock.patch.object(
            self.connection.get(), 'getAllDomainStats', gone
        ):
            self.assertEqual([], self.guests.guests())

    def test_a_guest_that_goes_between_two_questions(self):
        self.running()
        kind = type(self.guests.find(UUID))

        def gone(domain):
            domain.destroy()
            domain.undefine()
            return real(domain)

        real = kind.state
        with mock.patch.object(kind, 'state', gone):
            self.assertIsNone(self.guests.guest(UUID))

    def test_guest_stops_during_power_off(self):
        self.running()
        kind = type(self.guests.find(UUID))
        real = kind.destroy

        def late(domain):
            real(domain)
            return real(domain)

        with mock.patch.object(kind, 'destroy', late):
            self.guests.power_off(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.guests.guest(UUID).power)

    def test_guest_stops_during_define(self):
        domain = self.running()
        kind = type(domain)
        real = kind.setMetadata

        def late(domain, *args):
            domain.destroy()
            return real(domain, *args)

        with mock.patch.object(kind, 'setMetadata', late):
            self.guests.define(spec(generation=2))
        guest = self.guests.guest(UUID)
        self.assertEqual(
            (PowerState.SHUTDOWN, 2), (guest.power, guest.generation)
        )

    def test_its_power_cannot_be_cut(self):
        self.running()
        kind = type(self.guests.find(UUID))

        def stuck(domain):
            raise libvirt.libvirtError('device or resource busy')

        with mock.patch.object(kind, 'destroy', stuck):
            for call in (self.guests.power_off, self.guests.destroy):
                error = self.assertRaises(exception.GuestFailed, call, UUID)
                self.assertIn('busy', str(error))
        self.assertEqual(PowerState.RUNNING, self.guests.guest(UUID).power)

    def test_a_definition_that_is_refused(self):
        self.running()
        error = self.assertRaises(
            exception.GuestFailed, self.guests.define, spec(name='other')
        )
        self.assertIn('already defined', str(error))
        self.assertEqual(PowerState.RUNNING, self.guests.guest(UUID).power)

    def test_the_definition_comes_before_the_mark(self):
        domain = self.running()
        kind = type(domain)

        def refuse(*args):
            raise libvirt.libvirtError('cut short')

        made = spec(memory_mb=128, operation='new', generation=2)
        with mock.patch.object(kind, 'setMetadata', refuse):
            self.assertRaises(exception.GuestFailed, self.guests.define, made)
        self.assertEqual(1, self.guests.guest(UUID).generation)
        lasting = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        self.assertIn('131072', lasting)
        self.guests.define(made)
        self.assertEqual(2, self.guests.guest(UUID).generation)


class HostTest(GuestsTestCase):
    """The host of any libvirt."""

    def test_inventory(self):
        have = host.Host(self.connection, self.directory).inventory()
        self.assertEqual('TEST', have.hypervisor_type)
        self.assertEqual(2, have.version)
        self.assertEqual(
            self.connection.get().getHostname(), have.hypervisor_hostname
        )
        self.assertGreater(have.disk_gb, 0)
        # libvirt's test driver offers these two.
        self.assertEqual(
            (('i686', 'test', 'hvm'), ('i686', 'test', 'xen')),
            have.supported_instances,
        )

    def test_cpu_info(self):
        text = """
        <capabilities><host><cpu><arch>x86_64</arch><model>Nehalem</model>
        <vendor>Intel</vendor>
        <topology sockets='1' dies='1' cores='2' threads='2'/>
        <feature name='vmx'/><feature name='aes'/>
        </cpu></host></capabilities>
        """
        self.assertEqual(
            {
                'arch': 'x86_64',
                'model': 'Nehalem',
                'vendor': 'Intel',
                'topology': {
                    'sockets': '1',
                    'dies': '1',
                    'cores': '2',
                    'threads': '2',
                },
                'features': ['aes', 'vmx'],
            },
            host.cpu_info(text, 'x86_64'),
        )

    def test_cpu_info_unknown(self):
        self.assertEqual(
            {
                'arch': 'riscv64',
                'model': None,
                'vendor': None,
                'topology': {},
                'features': [],
            },
            host.cpu_info('<capabilities/>', 'riscv64'),
        )

    def test_events_of_a_libvirt_that_is_away(self):
        away = Connection('test:///no/such/file.xml')
        self.addCleanup(away.close)
        unreachable = host.Host(away, self.directory)
        for _ in range(3):
            self.assertIsNone(unreachable.next_event(0.01))
        self.assertEqual(
            1, self.log.output.count('No events of guests arrive')
        )
        self.assertRaises(exception.GuestFailed, unreachable.inventory)
        self.assertRaises(
            exception.GuestFailed,
            Guests(away, self.disks, xml.PROFILES['test']).guests,
        )

    def test_libvirt_errors_are_translated(self):
        opened = self.connection.get()

        def refuse(*args):
            raise libvirt.libvirtError('out of order')

        with mock.patch.object(opened, 'getAllDomainStats', refuse):
            error = self.assertRaises(
                exception.GuestFailed, self.guests.guests
            )
        self.assertIn('out of order', str(error))
        with mock.patch.object(opened, 'getInfo', refuse):
            asked = host.Host(self.connection, self.directory)
            error = self.assertRaises(exception.GuestFailed, asked.inventory)
        self.assertIn('out of order', str(error))

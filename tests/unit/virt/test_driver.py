# SPDX-License-Identifier: Apache-2.0
"""The contract of ``virt.driver``, tested with every driver.

All tests run on every driver, and each time twice: once plainly, and once
with the process of the driver killed after each call and the call made again
by the next one, which must change nothing.
"""

import threading
import time

from minova import exception
from minova.extra_specs import traits
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.states import PowerState
from minova.virt.driver import Peer
from tests import base
from tests.unit.virt.rigs import drive_spec
from tests.unit.virt.rigs import EmbeddedRig
from tests.unit.virt.rigs import FakeFilesRig
from tests.unit.virt.rigs import FakeProcessRig
from tests.unit.virt.rigs import FakeRig
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID
from tests.unit.virt.snapshot_contract import Snapshots

ON = (PowerState.RUNNING, PowerState.PAUSED)
B = Peer('b', '127.0.0.1')
SOURCE = LiveMigrateSource(host='a', cpu_info={})
#: The flags of a host artifact, by the word that the tests use.
_ARTIFACT_FIELDS = {
    'incoming': 'is_incoming',
    'disks': 'has_disks',
    'retained': 'has_retained_disks',
    'partial': 'has_partial_disks',
    'snapshots': 'has_snapshots',
}


class DriverHandle:
    """The driver of a host, across restarts of its process."""

    #: What changes something and can be asked again at any time. ``migrate``
    #: is asked again only while the guest is still there.
    CHANGES = frozenset((
        'define', 'start', 'shutdown', 'power_off', 'pause', 'unpause',
        'destroy', 'create_disks', 'grow_disks', 'remove_disks',
        'prepare_disk_transfer', 'send_disks', 'commit_received_disks',
        'retain_disks', 'restore_disks', 'discard_disks',
        'pre_live_migration', 'rollback_live_migration_at_destination',
        'abort_migration', 'force_complete', 'suspend', 'resume',
        'inject_nmi', 'set_admin_password',
        'create_rescue_disk', 'remove_rescue_disk', 'attach_interface',
        'detach_interface', 'refresh_config_drive', 'set_disk_owner',
        'take_snapshot', 'remove_snapshot',
    ))  # fmt: skip

    def __init__(self, rig, host, repeating):
        self.rig = rig
        self.host = host
        self.driver = rig.open(host)
        self.repeating = repeating

    def restart(self):
        """Kill the process and start another one."""
        self.rig.crash(self.driver)
        self.driver = self.rig.open(self.host)

    def __getattr__(self, name):
        def ask(*args, **kwargs):
            answer = self.call(name, *args, **kwargs)
            if self.repeating and name in self.CHANGES:
                self.restart()
                answer = self.call(name, *args, **kwargs)
            return answer

        return ask

    def call(self, name, *args, **kwargs):
        """Call the driver; run a generator to its end."""
        answer = getattr(self.driver, name)(*args, **kwargs)
        if name in ('send_disks', 'take_snapshot'):
            return list(answer)
        return answer


class ContractTestCase(base.TestCase):
    """Two hosts of a rig."""

    rig_class = None
    repeating = False

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(self.rig_class())
        self.a = DriverHandle(self.rig, 'a', self.repeating)
        self.b = DriverHandle(self.rig, 'b', self.repeating)

    def defined(self, uuid=UUID, **values):
        """Define a guest with disks on host a; it is off."""
        self.a.create_disks(spec(uuid, **values), None)
        self.a.define(spec(uuid, **values))

    def running(self, uuid=UUID, **values):
        """Run a guest on host a."""
        self.defined(uuid, **values)
        self.a.start(uuid)

    def power(self, host=None, uuid=UUID):
        """Return the power state of a guest, None when unknown."""
        guest = (host or self.a).guest(uuid)
        return guest and guest.power

    def mark(self, host=None, uuid=UUID):
        """Return the operation that last defined a guest."""
        guest = (host or self.a).guest(uuid)
        return guest.operation, guest.generation

    def assert_refused(self, kind, call, *args, **kwargs):
        """The call fails with an error that names the guest."""
        error = self.assertRaises(kind, call, *args, **kwargs)
        self.assertNotEqual('', error.kwargs['reason'])
        self.assertEqual(UUID, error.kwargs['instance_id'])
        return error


class Host:
    """The contract of the host."""

    def test_health(self):
        self.a.check_health()

    def test_inventory(self):
        have = self.a.inventory()
        self.assertIsInstance(have.hypervisor_type, str)
        self.assertGreater(have.version, 0)
        self.assertGreater(have.vcpus, 0)
        self.assertGreater(have.memory_mb, 0)
        self.assertGreater(have.disk_gb, 0)
        self.assertEqual('x86_64', have.cpu_info['arch'])
        self.assertIsInstance(have.cpu_info['features'], list)
        self.assertLessEqual(set(have.traits), set(traits.ALL))
        self.assertEqual(have, self.a.inventory())

    def test_hosts_have_names_of_their_own(self):
        names = {h.inventory().hypervisor_hostname for h in (self.a, self.b)}
        self.assertEqual(2, len(names))

    def test_whether_images_are_used_is_known(self):
        self.assertIn(self.a.driver.uses_images, (True, False))

    def test_no_event(self):
        self.drain(self.a)
        self.assertIsNone(self.a.next_event(0.01))

    def drain(self, host):
        while host.next_event(0.05) is not None:
            continue

    def test_guest_shutdown_emits_event(self):
        self.running()
        self.running(OTHER)
        self.drain(self.a)
        self.rig.stop_outside_driver(self.a.driver, UUID)
        self.assertEqual(UUID, self.a.next_event(5))
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.assertEqual(PowerState.RUNNING, self.power(uuid=OTHER))

    def test_externally_stopped_guest_stays_off(self):
        self.running()
        self.rig.stop_outside_driver(self.a.driver, UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.a.restart()
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_guests_run_on_when_the_driver_is_closed(self):
        self.running()
        before = self.a.guest(UUID)
        self.a.driver.close()
        self.a.restart()
        self.assertEqual(before, self.a.guest(UUID))


class Guests:
    """The contract of guests."""

    def test_unknown(self):
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual([], self.a.guests())
        self.a.power_off(UUID)
        self.a.destroy(UUID)
        for call in ('start', 'shutdown', 'pause', 'unpause'):
            self.assert_refused(
                exception.GuestFailed, getattr(self.a.driver, call), UUID
            )
        self.assertIsNone(self.a.guest(UUID))

    def test_define(self):
        self.a.define(spec())
        guest = self.a.guest(UUID)
        self.assertEqual(
            (UUID, PowerState.SHUTDOWN, None, False, None),
            (guest.uuid, guest.power, guest.boot, guest.is_incoming,
             guest.fault),
        )  # fmt: skip
        self.assertEqual(('operation-1', 1), self.mark())

    def test_define_again(self):
        self.a.define(spec())
        self.a.define(spec(operation='operation-2', generation=2))
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.assertEqual(('operation-2', 2), self.mark())

    def test_define_a_running_guest(self):
        self.running()
        before = self.a.guest(UUID)
        self.a.define(
            spec(memory_mb=128, operation='operation-2', generation=2)
        )
        self.assertEqual(('operation-2', 2), self.mark())
        self.assertEqual([self.a.guest(UUID)], self.a.guests())
        after = self.a.guest(UUID)
        self.assertEqual((before.power, before.boot), (
            after.power, after.boot
        ))  # fmt: skip
        self.a.power_off(UUID)
        self.assertEqual(('operation-2', 2), self.mark())
        self.a.start(UUID)
        self.assertEqual(('operation-2', 2), self.mark())

    def test_define_a_paused_guest(self):
        self.running()
        self.a.pause(UUID)
        self.a.define(spec(operation='operation-2', generation=2))
        self.assertEqual(PowerState.PAUSED, self.power())
        self.assertEqual(('operation-2', 2), self.mark())

    def test_start(self):
        self.running()
        guest = self.a.guest(UUID)
        self.assertEqual(PowerState.RUNNING, guest.power)
        self.assertIsInstance(guest.boot, int)
        self.a.start(UUID)
        self.assertEqual(guest, self.a.guest(UUID))

    def test_each_start_is_another_boot(self):
        self.running()
        boots = {self.a.guest(UUID).boot}
        for _ in range(3):
            self.a.power_off(UUID)
            self.assertIsNone(self.a.guest(UUID).boot)
            self.a.start(UUID)
            boots.add(self.a.guest(UUID).boot)
        self.assertEqual(4, len(boots))

    def test_start_lets_a_paused_guest_go_on(self):
        self.running()
        boot = self.a.guest(UUID).boot
        self.a.pause(UUID)
        self.a.start(UUID)
        guest = self.a.guest(UUID)
        self.assertEqual((PowerState.RUNNING, boot), (guest.power, guest.boot))

    def test_start_without_disks(self):
        self.defined()
        self.rig.lose_disks('a', UUID)
        self.assert_refused(exception.DiskFailed, self.a.start, UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_shutdown(self):
        self.running()
        self.a.shutdown(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.a.shutdown(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_paused_guest_ignores_shutdown(self):
        self.running()
        self.a.pause(UUID)
        self.a.shutdown(UUID)
        self.assertEqual(PowerState.PAUSED, self.power())

    def test_power_off(self):
        self.running()
        self.a.power_off(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.a.power_off(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_power_off_a_paused_guest(self):
        self.running()
        self.a.pause(UUID)
        self.a.power_off(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_set_admin_password(self):
        call = self.a.driver.set_admin_password
        self.assert_refused(exception.GuestFailed, call, UUID, 'root', 'x')
        self.defined()
        error = self.assert_refused(
            exception.GuestFailed, call, UUID, 'root', 'a-secret'
        )
        self.assertNotIn('a-secret', str(error))
        self.a.start(UUID)
        if self.rig.has_guest_agents:
            self.a.set_admin_password(UUID, 'root', 'a-secret')
        else:
            self.assert_refused(
                exception.GuestFailed, call, UUID, 'root', 'a-secret'
            )

    def test_diagnostics(self):
        self.assert_refused(
            exception.InstanceNotReady, self.a.driver.diagnostics, UUID
        )
        self.defined(vcpus=2)
        self.assert_refused(
            exception.InstanceNotReady, self.a.driver.diagnostics, UUID
        )
        self.a.start(UUID)
        found = self.a.diagnostics(UUID)
        self.assertEqual(PowerState.RUNNING, found.power_state)
        self.assertEqual('libvirt', found.driver)
        self.assertEqual([0, 1], [cpu.number for cpu in found.cpus])
        self.assertEqual(spec().memory_mb, found.memory_mb)
        self.assertEqual(
            [nic['mac'] for nic in spec().nics],
            [nic.mac_address for nic in found.nics],
        )
        self.assertEqual('vda', found.disks[0].name)
        self.a.pause(UUID)
        self.assertEqual(
            PowerState.PAUSED, self.a.diagnostics(UUID).power_state
        )

    def test_inject_nmi(self):
        self.defined()
        self.assert_refused(
            exception.GuestFailed, self.a.driver.inject_nmi, UUID
        )
        self.a.start(UUID)
        self.a.inject_nmi(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())
        self.a.pause(UUID)
        self.a.inject_nmi(UUID)
        self.assertEqual(PowerState.PAUSED, self.power())
        self.assertRaises(
            exception.GuestFailed, self.a.driver.inject_nmi, OTHER
        )

    def test_pause_and_unpause(self):
        self.running()
        boot = self.a.guest(UUID).boot
        for _ in range(2):
            self.a.pause(UUID)
            self.assertEqual(PowerState.PAUSED, self.power())
        self.assertEqual(boot, self.a.guest(UUID).boot)
        for _ in range(2):
            self.a.unpause(UUID)
            self.assertEqual(PowerState.RUNNING, self.power())
        self.assertEqual(boot, self.a.guest(UUID).boot)

    def test_a_guest_that_is_off_cannot_be_paused(self):
        self.defined()
        for call in (self.a.driver.pause, self.a.driver.unpause):
            self.assert_refused(exception.GuestFailed, call, UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_destroy(self):
        self.running()
        self.running(OTHER)
        for _ in range(2):
            self.a.destroy(UUID)
            self.assertIsNone(self.a.guest(UUID))
        self.assertTrue(self.a.has_disks(UUID))
        self.assertEqual([OTHER], [g.uuid for g in self.a.guests()])
        self.a.restart()
        self.assertEqual([OTHER], [g.uuid for g in self.a.guests()])

    def test_destroyed_and_created_again(self):
        self.running()
        self.a.destroy(UUID)
        self.a.define(spec(generation=7))
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.assertEqual(('operation-1', 7), self.mark())

    def test_list_equals_single_queries(self):
        uuids = [UUID[:-1] + str(number) for number in range(5)]
        for number, uuid in enumerate(uuids):
            self.running(uuid, operation=f'o{number}', generation=number)
        self.a.pause(uuids[1])
        self.a.power_off(uuids[2])
        self.a.destroy(uuids[3])
        self.b.pre_live_migration(spec(uuids[0]), migrate_data())
        for host in (self.a, self.b):
            alone = [host.guest(uuid) for uuid in uuids]
            expected = [guest for guest in alone if guest is not None]
            found = sorted(host.guests(), key=lambda guest: guest.uuid)
            self.assertEqual(expected, found)
        self.assertEqual(4, len(self.a.guests()))

    def test_guests_are_the_hosts_own(self):
        self.running()
        self.assertEqual([], self.b.guests())
        self.assertIsNone(self.b.guest(UUID))

    def test_states_survive_a_crash(self):
        uuids = [UUID[:-1] + str(number) for number in range(3)]
        for uuid in uuids:
            self.running(uuid)
        self.a.define(spec(uuids[0], operation='late', generation=9))
        self.a.pause(uuids[1])
        self.a.shutdown(uuids[2])
        before = [self.a.guest(uuid) for uuid in uuids]
        self.assertEqual(
            [PowerState.RUNNING, PowerState.PAUSED, PowerState.SHUTDOWN],
            [guest.power for guest in before],
        )
        for _ in range(2):
            self.a.restart()
            self.assertEqual(before, [self.a.guest(u) for u in uuids])
        self.a.start(uuids[2])
        self.assertIsNotNone(self.a.guest(uuids[2]).boot)


class Disks:
    """The contract of disks."""

    def test_missing(self):
        self.assertFalse(self.a.has_disks(UUID))
        self.assertFalse(self.a.has_retained_disks(UUID))
        self.a.remove_disks(UUID)
        self.a.discard_disks(UUID)
        for call, args in (
            (self.a.grow_disks, (spec(),)),
            (
                self.a.send_disks,
                (UUID, B, self.b.prepare_disk_transfer(spec())),
            ),
            (self.b.commit_received_disks, (UUID,)),
            (self.a.retain_disks, (UUID,)),
            (self.a.retain_disks, (UUID, True)),
            (self.a.restore_disks, (UUID,)),
        ):
            self.assert_refused(exception.DiskFailed, call, *args)
        self.assertFalse(self.a.has_disks(UUID))
        self.assertFalse(self.a.has_retained_disks(UUID))
        self.assertFalse(self.b.has_disks(UUID))
        self.assertEqual(set(), self.a.images_in_use())

    def test_create(self):
        self.a.create_disks(spec(root_gb=3), None)
        self.assertTrue(self.a.has_disks(UUID))
        self.assertFalse(self.a.has_disks(OTHER))
        self.assertEqual(3, self.rig.size_gb('a', UUID))

    def test_create_again_keeps_what_is_there(self):
        self.a.create_disks(spec(root_gb=3), None)
        self.rig.write('a', UUID, 'token')
        self.a.create_disks(spec(root_gb=1), None)
        self.assertEqual('token', self.rig.read('a', UUID))
        self.assertEqual(3, self.rig.size_gb('a', UUID))

    def test_grow_never_shrinks(self):
        self.a.create_disks(spec(root_gb=2), None)
        self.rig.write('a', UUID, 'token')
        for wanted, expected in ((5, 5), (5, 5), (1, 5)):
            self.a.grow_disks(spec(root_gb=wanted))
            self.assertEqual(expected, self.rig.size_gb('a', UUID))
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_destroy(self):
        self.a.create_disks(spec(), None)
        self.a.create_disks(spec(OTHER), None)
        for _ in range(2):
            self.a.remove_disks(UUID)
            self.assertFalse(self.a.has_disks(UUID))
        self.assertTrue(self.a.has_disks(OTHER))

    def test_own_disks_are_not_shared(self):
        self.assertFalse(self.a.has_shared_disks(UUID))
        self.a.create_disks(spec(), None)
        self.assertFalse(self.a.has_shared_disks(UUID))
        self.a.set_disk_owner(UUID, 'a')
        self.assertTrue(self.a.has_disks(UUID))
        self.assertFalse(self.b.has_shared_disks(UUID))

    def test_removal_keeps_retained_disks(self):
        self.a.create_disks(spec(), None)
        self.rig.write('a', UUID, 'token')
        self.a.retain_disks(UUID, copy=True)
        self.a.remove_disks(UUID)
        self.assertTrue(self.a.has_retained_disks(UUID))
        self.assertEqual('token', self.rig.read('a', UUID, retained=True))

    def test_send_disks(self):
        self.defined(root_gb=2)
        self.rig.write('a', UUID, 'token')
        done = self.send_disks()
        self.assertEqual(done[-1].total, done[-1].done)
        self.assertTrue(self.a.has_disks(UUID))
        self.assertTrue(self.b.has_disks(UUID))
        self.assertEqual('token', self.rig.read('b', UUID))
        self.assertEqual(2, self.rig.size_gb('b', UUID))
        self.assertFalse(self.b.has_retained_disks(UUID))
        self.b.commit_received_disks(UUID)
        # Two disks from now on.
        self.rig.write('b', UUID, 'other')
        self.assertEqual('token', self.rig.read('a', UUID))

    def send_disks(self, **values):
        """Issue a ticket on b and send from a; return the progress."""
        transfer_ticket = self.b.prepare_disk_transfer(spec(**values))
        return self.a.send_disks(UUID, B, transfer_ticket)

    def test_send_disks_again(self):
        self.defined()
        self.rig.write('a', UUID, 'old')
        self.send_disks()
        self.b.remove_disks(UUID)
        self.rig.write('a', UUID, 'new')
        self.send_disks(operation='operation-2')
        self.b.commit_received_disks(UUID)
        self.assertEqual('new', self.rig.read('b', UUID))

    def test_retained_disks_count_as_sent(self):
        self.defined()
        self.rig.write('a', UUID, 'token')
        self.send_disks()
        self.a.retain_disks(UUID)
        self.assertEqual([], self.send_disks())
        self.b.commit_received_disks(UUID)
        self.assertEqual('token', self.rig.read('b', UUID))
        self.assertEqual('token', self.rig.read('a', UUID, retained=True))

    def test_uncommitted_disks_can_be_removed(self):
        self.defined()
        self.send_disks()
        self.b.remove_disks(UUID)
        self.assertEqual([], self.b.list_host_contents())
        self.assert_refused(
            exception.DiskFailed, self.b.commit_received_disks, UUID
        )

    def test_ticket_is_stable_per_operation(self):
        first = self.b.prepare_disk_transfer(spec())
        self.assertEqual(first, self.b.prepare_disk_transfer(spec()))

    def test_retain_and_restore(self):
        self.a.create_disks(spec(), None)
        self.rig.write('a', UUID, 'token')
        self.a.retain_disks(UUID)
        self.assertTrue(self.a.has_retained_disks(UUID))
        self.assertFalse(self.a.has_disks(UUID))
        self.a.restart()
        self.a.restore_disks(UUID)
        self.assertFalse(self.a.has_retained_disks(UUID))
        self.assertTrue(self.a.has_disks(UUID))
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_retain_copy(self):
        self.a.create_disks(spec(), None)
        self.rig.write('a', UUID, 'old')
        self.a.retain_disks(UUID, copy=True)
        self.assertTrue(self.a.has_retained_disks(UUID))
        self.assertTrue(self.a.has_disks(UUID))
        self.rig.write('a', UUID, 'new')
        # A second try must not lose what the first has kept.
        self.a.retain_disks(UUID, copy=True)
        self.assertEqual('old', self.rig.read('a', UUID, retained=True))
        self.assertEqual('new', self.rig.read('a', UUID))
        self.a.grow_disks(spec(root_gb=4))
        self.a.restore_disks(UUID)
        self.assertEqual('old', self.rig.read('a', UUID))
        self.assertEqual(1, self.rig.size_gb('a', UUID))
        self.assertFalse(self.a.has_retained_disks(UUID))

    def test_restore_without_retained(self):
        self.a.create_disks(spec(), None)
        self.rig.write('a', UUID, 'token')
        self.a.restore_disks(UUID)
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_replace_and_restore(self):
        """As a rebuild does that fails."""
        self.a.create_disks(spec(ephemeral_gb=1), None)
        self.rig.write('a', UUID, 'old')
        self.rig.write_ephemeral('a', UUID, 'data')
        self.a.retain_disks(UUID)
        self.a.create_disks(spec(ephemeral_gb=1), None, reuse_ephemeral=True)
        self.assertTrue(self.a.has_disks(UUID))
        self.assertTrue(self.a.has_retained_disks(UUID))
        self.assertNotEqual('old', self.rig.read('a', UUID))
        self.assertEqual('data', self.rig.read_ephemeral('a', UUID))
        self.a.restore_disks(UUID)
        self.assertEqual('old', self.rig.read('a', UUID))
        self.assertEqual('data', self.rig.read_ephemeral('a', UUID))

    def test_replace_and_discard(self):
        """As a rebuild does that succeeds."""
        for reuse in (True, False):
            self.a.create_disks(spec(ephemeral_gb=1), None)
            self.rig.write_ephemeral('a', UUID, 'data')
            self.a.retain_disks(UUID)
            self.a.create_disks(
                spec(ephemeral_gb=1), None, reuse_ephemeral=reuse
            )
            self.a.discard_disks(UUID)
            kept = self.rig.read_ephemeral('a', UUID) == 'data'
            self.assertEqual(reuse, kept)
            self.a.remove_disks(UUID)

    def test_nothing_to_reuse(self):
        self.a.create_disks(spec(ephemeral_gb=1), None, reuse_ephemeral=True)
        self.assertTrue(self.a.has_disks(UUID))

    def test_discard_disks(self):
        self.a.create_disks(spec(), None)
        self.a.retain_disks(UUID, copy=True)
        for _ in range(2):
            self.a.discard_disks(UUID)
            self.assertFalse(self.a.has_retained_disks(UUID))
        self.assertTrue(self.a.has_disks(UUID))


class ConfigDrives:
    """The contract of config drives."""

    def drive(self, host='a'):
        """Return the drive in the form of the host."""
        return self.rig.config_drive(host, UUID)

    def holds_drive(self, host=None):
        """Return whether the artifacts of a host include a drive."""
        return [
            h.has_config_drive for h in (host or self.a).list_host_contents()
        ]

    def test_only_on_request(self):
        self.a.create_disks(spec(), None)
        self.assertIsNone(self.drive())
        self.assertEqual([False], self.holds_drive())

    def test_create(self):
        self.a.create_disks(drive_spec(), None)
        self.assertTrue(self.drive())
        self.assertEqual([True], self.holds_drive())
        self.assertTrue(self.a.has_disks(UUID))
        self.a.define(drive_spec())
        self.a.start(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())

    def test_contents_do_not_change(self):
        self.a.create_disks(drive_spec(), None)
        before = self.drive()
        self.a.create_disks(drive_spec(hostname='db'), None)
        self.assertEqual(before, self.drive())

    def test_lost_and_made_again(self):
        self.a.create_disks(drive_spec(), None)
        self.rig.write('a', UUID, 'token')
        before = self.drive()
        self.rig.lose_config_drive('a', UUID)
        self.assertEqual([False], self.holds_drive())
        self.assertTrue(self.a.has_disks(UUID))
        self.a.create_disks(drive_spec(), None)
        self.assertEqual(before, self.drive())
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_config_drive_is_sent(self):
        self.a.create_disks(drive_spec(), None)
        before = self.drive()
        transfer_ticket = self.b.prepare_disk_transfer(drive_spec())
        self.a.send_disks(UUID, B, transfer_ticket)
        self.b.commit_received_disks(UUID)
        self.assertEqual(before, self.drive('b'))
        self.a.retain_disks(UUID)
        self.assertIsNone(self.drive())
        self.a.restore_disks(UUID)
        self.assertEqual(before, self.drive())

    def test_config_drive_follows_live_migration(self):
        made = drive_spec()
        self.a.create_disks(made, None)
        self.a.define(made)
        self.a.start(UUID)
        before = self.drive()
        self.b.pre_live_migration(made, migrate_data())
        self.a.driver.start_live_migration(UUID, B, migrate_data())
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertEqual(PowerState.RUNNING, self.power(self.b))
        self.b.define(made)
        self.assertEqual(before, self.drive('b'))
        self.assertEqual([True], self.holds_drive(self.b))

    def test_destroy(self):
        self.a.create_disks(drive_spec(), None)
        self.a.remove_disks(UUID)
        self.assertIsNone(self.drive())
        self.assertEqual([], self.a.list_host_contents())


class LiveMigration:
    """The contract of live migration."""

    def check_both_ends(self):
        """Check at both hosts; return the migrate data."""
        answer = self.b.check_can_live_migrate_destination(
            spec(), SOURCE, None, False
        )
        return self.a.check_can_live_migrate_source(UUID, answer, None)

    def prepared(self, seconds=0):
        """Run a guest, prepare the destination; return migrate data."""
        self.rig.set_migration_seconds(seconds)
        self.running()
        self.rig.write('a', UUID, 'token')
        agreed = self.check_both_ends()
        self.b.pre_live_migration(spec(), agreed)
        return agreed

    def assert_migrated(self, power=PowerState.RUNNING):
        """The guest is on b only, with its disk."""
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual([], self.a.guests())
        guest = self.b.guest(UUID)
        self.assertEqual((power, False), (guest.power, guest.is_incoming))
        self.assertEqual([guest], self.b.guests())
        self.assertIsNotNone(guest.boot)
        self.assertEqual('token', self.rig.read('b', UUID))

    def assert_stayed(self, boot):
        """The guest still runs on a, and b has nothing."""
        guest = self.a.guest(UUID)
        self.assertEqual((PowerState.RUNNING, boot), (guest.power, guest.boot))
        self.assertEqual([guest], self.a.guests())
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_checks(self):
        self.running()
        agreed = self.check_both_ends()
        self.assertIs(True, agreed.block_migration)
        self.assertEqual(('a', 'b'), (agreed.source_host, agreed.dest_host))
        self.assertIsNone(self.b.guest(UUID))

    def test_no_storage_is_shared(self):
        self.assertRaises(
            exception.InvalidLocalStorage,
            self.b.check_can_live_migrate_destination,
            spec(),
            SOURCE,
            False,
            False,
        )

    def test_source_check_needs_a_running_guest(self):
        answer = self.b.check_can_live_migrate_destination(
            spec(), SOURCE, None, False
        )
        for prepare in (lambda: None, self.defined):
            prepare()
            self.assertRaises(
                exception.MigrationPreCheckError,
                self.a.check_can_live_migrate_source,
                UUID,
                answer,
                None,
            )

    def test_no_migration(self):
        self.assertEqual('none', self.a.migration_status(UUID).state)
        self.running()
        self.assertEqual('none', self.a.migration_status(UUID).state)
        self.a.abort_migration(UUID)
        self.a.abort_migration(OTHER)
        self.assertEqual('none', self.a.migration_status(UUID).state)

    def test_unknown_guest_is_not_migrated(self):
        self.assert_refused(
            exception.GuestFailed, self.a.start_live_migration, UUID, B, {}
        )

    def test_pre_live_migration(self):
        agreed = self.prepared()
        guest = self.b.guest(UUID)
        self.assertEqual((True, None), (guest.is_incoming, guest.boot))
        self.b.pre_live_migration(spec(), agreed)
        self.assertEqual([guest], self.b.guests())
        for _ in range(2):
            self.b.rollback_live_migration_at_destination(UUID, agreed)
            self.assertIsNone(self.b.guest(UUID))
            self.assertEqual([], self.b.guests())
        self.assertFalse(self.b.has_disks(UUID))

    def test_completed(self):
        agreed = self.prepared()
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()
        self.assertEqual('none', self.b.migration_status(UUID).state)

    def test_a_paused_guest_stays_paused(self):
        agreed = self.prepared()
        self.a.pause(UUID)
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated(PowerState.PAUSED)

    def test_the_destination_makes_it_its_own(self):
        agreed = self.prepared()
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.b.define(spec(operation='operation-2', generation=2))
        self.assert_migrated()
        self.assertEqual(('operation-2', 2), self.mark(self.b))
        # And the source puts away what is left there.
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        self.assertEqual('none', self.a.migration_status(UUID).state)
        self.assertFalse(self.a.has_disks(UUID))
        self.assert_migrated()
        # What comes too late changes nothing.
        self.b.rollback_live_migration_at_destination(UUID, agreed)
        self.b.pre_live_migration(spec(), agreed)
        self.assert_migrated()

    def test_progress(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        going = self.a.migration_status(UUID)
        self.assertEqual('running', going.state)
        self.assertEqual(64 << 20, going.memory_total)
        self.assertGreater(going.memory_remaining, going.memory_processed)
        self.rig.later(60)
        going = self.a.migration_status(UUID)
        self.assertEqual('running', going.state)
        self.assertGreater(going.memory_processed, going.memory_remaining)
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertTrue(self.b.guest(UUID).is_incoming)
        self.rig.later(60)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_second_start_is_ignored(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.a.start_live_migration(UUID, B, agreed)
        self.a.restart()
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('running', self.a.migration_status(UUID).state)
        self.rig.later(101)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_aborted(self):
        agreed = self.prepared(seconds=100)
        boot = self.a.guest(UUID).boot
        self.a.start_live_migration(UUID, B, agreed)
        self.rig.later(50)
        self.a.abort_migration(UUID)
        self.assertEqual('cancelled', self.a.migration_status(UUID).state)
        self.b.rollback_live_migration_at_destination(UUID, agreed)
        self.rig.later(1000)
        self.assert_stayed(boot)
        self.assertEqual('cancelled', self.a.migration_status(UUID).state)
        self.assertEqual([], self.b.guests())
        self.assertFalse(self.b.has_disks(UUID))

    def test_aborted_and_restarted(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.a.abort_migration(UUID)
        self.b.rollback_live_migration_at_destination(UUID, agreed)
        self.b.pre_live_migration(spec(), agreed)
        self.a.start_live_migration(UUID, B, agreed)
        self.rig.later(101)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_abort_comes_too_late(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.rig.later(101)
        self.a.abort_migration(UUID)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_the_destination_is_not_prepared(self):
        self.running()
        self.rig.write('a', UUID, 'token')
        boot = self.a.guest(UUID).boot
        self.a.start_live_migration(UUID, B, self.check_both_ends())
        ended = self.a.migration_status(UUID)
        self.assertEqual('failed', ended.state)
        self.assertIn('b', ended.error)
        self.assert_stayed(boot)
        self.assertEqual([], self.b.guests())
        self.assertFalse(self.b.has_disks(UUID))

    def test_destination_rolls_back_during_migration(self):
        agreed = self.prepared(seconds=100)
        boot = self.a.guest(UUID).boot
        self.a.start_live_migration(UUID, B, agreed)
        self.b.rollback_live_migration_at_destination(UUID, agreed)
        self.rig.later(101)
        self.assertEqual('failed', self.a.migration_status(UUID).state)
        self.assert_stayed(boot)
        self.assertEqual([], self.b.guests())

    def test_switched_off_on_the_way(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.a.power_off(UUID)
        self.assertEqual('failed', self.a.migration_status(UUID).state)
        self.rig.later(101)
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.assertTrue(self.b.guest(UUID).is_incoming)

    def test_the_source_restarts_on_the_way(self):
        agreed = self.prepared(seconds=100)
        boot = self.a.guest(UUID).boot
        self.a.start_live_migration(UUID, B, agreed)
        self.a.restart()
        self.assertEqual('running', self.a.migration_status(UUID).state)
        self.assertEqual(boot, self.a.guest(UUID).boot)
        self.rig.later(101)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_abort_after_restart(self):
        agreed = self.prepared(seconds=100)
        boot = self.a.guest(UUID).boot
        self.a.start_live_migration(UUID, B, agreed)
        self.a.restart()
        self.a.abort_migration(UUID)
        self.assertEqual('cancelled', self.a.migration_status(UUID).state)
        self.assert_stayed(boot)

    def test_migration_without_source_service(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.rig.crash(self.a.driver)
        self.rig.later(101)
        self.assertEqual(PowerState.RUNNING, self.power(self.b))
        self.a.driver = self.rig.open('a')
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_the_destination_restarts_on_the_way(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.b.restart()
        self.assertTrue(self.b.guest(UUID).is_incoming)
        self.rig.later(101)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_migration_without_destination_service(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        self.rig.crash(self.b.driver)
        self.rig.later(101)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertIsNone(self.a.guest(UUID))
        self.b.driver = self.rig.open('b')
        self.assert_migrated()

    def test_both_restart_after_migration(self):
        agreed = self.prepared()
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.a.restart()
        self.b.restart()
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()

    def test_there_and_back(self):
        agreed = self.prepared()
        self.a.start_live_migration(UUID, B, agreed)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assert_migrated()
        self.rig.write('b', UUID, 'newer')
        back = migrate_data('b', 'a')
        self.a.pre_live_migration(spec(), back)
        self.b.start_live_migration(UUID, Peer('a', ''), back)
        self.assertEqual('completed', self.b.migration_status(UUID).state)
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertIsNone(self.b.guest(UUID))
        self.assertEqual('newer', self.rig.read('a', UUID))
        self.assertEqual('none', self.a.migration_status(UUID).state)

    def test_guest_is_on_one_host_at_most(self):
        agreed = self.prepared(seconds=100)
        self.a.start_live_migration(UUID, B, agreed)
        wrong, seen, done = [], set(), threading.Event()

        def watch():
            # It only goes from a to b: when it is at b first, and then still
            # at a, it is at both.
            while not done.is_set():
                there = self.b.driver.guest(UUID)
                here = self.a.driver.guest(UUID)
                at_b = there is not None and not there.is_incoming
                at_a = here is not None
                seen.add((at_a, at_b))
                if at_a and at_b:
                    wrong.append((here, there))

        watchers = [threading.Thread(target=watch) for _ in range(3)]
        for watcher in watchers:
            watcher.start()
        self.rig.later(101)
        self.assertEqual(
            'completed', self.a.driver.migration_status(UUID).state
        )
        for _ in range(20):
            self.assertEqual(1, len(self.b.driver.guests()))
        until = time.monotonic() + 20
        while (False, True) not in seen and time.monotonic() < until:
            time.sleep(0.01)
        done.set()
        for watcher in watchers:
            watcher.join()
        self.assertEqual([], wrong)
        self.assertIn((False, True), seen)
        self.assert_migrated()


class HostContents:
    """The contract of the contents of a host."""

    def artifact(self, host=None, uuid=UUID):
        """Return what a host has under a uuid, as words; [] for nothing."""
        found = [
            h for h in (host or self.a).list_host_contents() if h.uuid == uuid
        ]
        if not found:
            return []
        (one,) = found
        words = (
            [] if one.power_state is None else [PowerState(one.power_state)]
        )
        return words + [
            word
            for word, field in _ARTIFACT_FIELDS.items()
            if getattr(one, field)
        ]

    def test_nothing(self):
        self.assertEqual([], self.a.list_host_contents())

    def test_guests_with_their_marks(self):
        self.running(operation='operation-7', generation=7)
        self.defined(OTHER)
        one, two = self.a.list_host_contents()
        self.assertEqual((UUID, OTHER), (one.uuid, two.uuid))
        self.assertEqual(
            ('operation-7', 7, False, False),
            (
                one.operation,
                one.generation,
                one.is_incoming,
                one.has_config_drive,
            ),
        )
        self.assertEqual([PowerState.RUNNING, 'disks'], self.artifact())
        self.assertEqual(
            [PowerState.SHUTDOWN, 'disks'], self.artifact(uuid=OTHER)
        )
        self.assertEqual([], self.b.list_host_contents())

    def test_contents_survive_restart(self):
        self.running()
        before = self.a.list_host_contents()
        self.a.restart()
        self.assertEqual(before, self.a.list_host_contents())

    def test_a_guest_without_disks(self):
        self.defined()
        self.rig.lose_disks('a', UUID)
        self.assertNotIn('disks', self.artifact())
        self.assertIn(PowerState.SHUTDOWN, self.artifact())

    def test_disks_without_a_guest(self):
        self.defined()
        self.a.destroy(UUID)
        self.assertEqual(['disks'], self.artifact())
        (one,) = self.a.list_host_contents()
        self.assertEqual((None, None), (one.operation, one.generation))
        self.a.remove_disks(UUID)
        self.assertEqual([], self.a.list_host_contents())

    def test_retained_disks(self):
        self.defined()
        self.a.retain_disks(UUID, copy=True)
        self.assertEqual(
            [PowerState.SHUTDOWN, 'disks', 'retained'], self.artifact()
        )
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        self.assertEqual(['retained'], self.artifact())
        self.a.discard_disks(UUID)
        self.assertEqual([], self.a.list_host_contents())

    def test_incoming_guest(self):
        self.rig.set_migration_seconds(100)
        self.running()
        self.b.pre_live_migration(spec(), migrate_data())
        self.assertEqual(['incoming'], self.artifact(self.b))
        self.a.driver.start_live_migration(UUID, B, migrate_data())
        self.assertEqual([PowerState.RUNNING, 'disks'], self.artifact())
        self.rig.later(101)
        self.assertEqual(
            [], [h for h in self.a.list_host_contents() if h.power_state]
        )
        self.assertEqual([PowerState.RUNNING, 'disks'], self.artifact(self.b))

    def test_unused_incoming_reservation(self):
        self.b.pre_live_migration(spec(), migrate_data())
        self.b.destroy(UUID)
        self.assertEqual([], self.b.list_host_contents())


class Consoles:
    """The contract of consoles."""

    def test_no_output_before_first_start(self):
        self.assertEqual(b'', self.a.console_output(UUID, 100))
        self.defined()
        self.assertEqual(b'', self.a.console_output(UUID, 100))

    def test_output_is_truncated_at_start(self):
        self.running()
        self.rig.write_console('a', UUID, 'first\nlast')
        self.assertEqual(b'first\nlast', self.a.console_output(UUID, 100))
        self.assertEqual(b'last', self.a.console_output(UUID, 4))
        self.a.power_off(UUID)
        self.a.restart()
        self.assertEqual(b'last', self.a.console_output(UUID, 4))

    def test_no_vnc_when_off(self):
        self.assert_refused(
            exception.InstanceNotReady, self.a.graphics, UUID, 'novnc'
        )
        self.defined()
        self.assert_refused(
            exception.InstanceNotReady, self.a.graphics, UUID, 'novnc'
        )

    def test_no_vnc(self):
        self.running()
        error = self.assertRaises(
            exception.ConsoleTypeUnavailable, self.a.graphics, UUID, 'novnc'
        )
        self.assertIn('server', error.kwargs['reason'])

    def test_console_type_of_a_newer_release(self):
        self.running()
        for kind in ('webmks', 'rdp-html5', ''):
            error = self.assertRaises(
                exception.ConsoleTypeUnavailable, self.a.graphics, UUID, kind
            )
            self.assertEqual(kind, error.kwargs['console_type'])

    def test_serial_console(self):
        self.running()
        self.a.check_serial_console(UUID)
        with self.a.open_serial_console(UUID) as console:
            console.settimeout(10)
            self.assertIn(UUID.encode(), console.recv(1000))
            console.sendall(b'typed')
            self.assertEqual(b'typed', console.recv(1000))

    def test_no_serial_console_when_off(self):
        for call in (self.a.check_serial_console, self.a.open_serial_console):
            self.assert_refused(exception.InstanceNotReady, call, UUID)
        self.defined()
        for call in (self.a.check_serial_console, self.a.open_serial_console):
            self.assert_refused(exception.InstanceNotReady, call, UUID)


class Every(
    Host,
    Guests,
    Disks,
    Snapshots,
    ConfigDrives,
    LiveMigration,
    Consoles,
    HostContents,
):
    """The whole contract."""


class FakeTest(Every, ContractTestCase):
    """The fake, with records in memory."""

    rig_class = FakeRig


class FakeAgainTest(FakeTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class FakeFilesTest(Every, ContractTestCase):
    """The fake, with records in files."""

    rig_class = FakeFilesRig


class FakeFilesAgainTest(FakeFilesTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class FakeProcessTest(Every, ContractTestCase):
    """The fake, behind the socket of its process."""

    rig_class = FakeProcessRig


class FakeProcessAgainTest(FakeProcessTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class EmbeddedTest(Every, ContractTestCase):
    """libvirt with its test driver."""

    rig_class = EmbeddedRig


class EmbeddedAgainTest(EmbeddedTest):
    """The same, with every call interrupted and repeated."""

    repeating = True

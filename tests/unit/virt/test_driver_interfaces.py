# SPDX-License-Identifier: Apache-2.0
"""The contract of network interfaces, and of an outdated config drive.

As in ``test_driver``: on every driver, plainly and with each call cut short
and made again.
"""

from minova import exception
from tests.unit.virt.rigs import drive_spec
from tests.unit.virt.rigs import EmbeddedRig
from tests.unit.virt.rigs import FakeFilesRig
from tests.unit.virt.rigs import FakeProcessRig
from tests.unit.virt.rigs import FakeRig
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID
from tests.unit.virt.test_driver import B
from tests.unit.virt.test_driver import ContractTestCase


def nic(number):
    return {
        'id': f'port-{number}',
        'mac': f'fa:16:3e:00:00:{number:02x}',
        'label': 'private',
        'network_id': 'network',
        'user': True,
        'addresses': [
            {
                'address': f'10.0.2.{number}',
                'type': 'fixed',
                'version': 4,
                'meta': {},
                'floating_ips': [],
            }
        ],
        'subnets': [
            {
                'cidr': '10.0.2.0/24',
                'gateway': None,
                'dns': [],
                'version': 4,
            }
        ],
    }


ONE, TWO = nic(1), nic(2)


class Interfaces:
    """Interfaces come and go, whatever the guest is doing."""

    def assert_macs(self, *nics, host=None):
        found = (host or self.a).interfaces(UUID)
        self.assertEqual([one['mac'] for one in nics], found)

    def test_of_a_guest_that_is_off(self):
        self.defined(nics=(ONE,))
        self.assert_macs(ONE)
        self.a.attach_interface(spec(), TWO)
        self.assert_macs(ONE, TWO)
        self.a.start(UUID)
        self.assert_macs(ONE, TWO)
        self.a.power_off(UUID)
        self.a.detach_interface(UUID, ONE)
        self.assert_macs(TWO)
        self.a.start(UUID)
        self.assert_macs(TWO)

    def test_of_a_running_guest(self):
        self.running(nics=(ONE,))
        boot = self.a.guest(UUID).boot
        self.a.attach_interface(spec(), TWO)
        self.assert_macs(ONE, TWO)
        self.a.detach_interface(UUID, ONE)
        self.assert_macs(TWO)
        # The guest has not noticed more than that.
        self.assertEqual(boot, self.a.guest(UUID).boot)
        self.assertEqual(('operation-1', 1), self.mark())
        self.a.power_off(UUID)
        self.a.start(UUID)
        self.assert_macs(TWO)

    def test_of_a_paused_guest(self):
        self.running()
        self.a.pause(UUID)
        self.a.attach_interface(spec(), ONE)
        self.assert_macs(ONE)
        self.a.unpause(UUID)
        self.assert_macs(ONE)

    def test_survive_a_restart(self):
        self.running(nics=(ONE,))
        self.a.attach_interface(spec(), TWO)
        for _ in range(2):
            self.a.restart()
            self.assert_macs(ONE, TWO)

    def test_move_with_a_live_migration(self):
        self.running(nics=(ONE,))
        self.a.attach_interface(spec(), TWO)
        self.b.pre_live_migration(spec(), migrate_data())
        self.a.call('start_live_migration', UUID, B, migrate_data())
        self.rig.later(30)
        self.assertEqual([], self.a.interfaces(UUID))
        self.assert_macs(ONE, TWO, host=self.b)

    def test_repeated(self):
        self.running()
        for _ in range(2):
            self.a.attach_interface(spec(), ONE)
            self.assert_macs(ONE)
        for _ in range(2):
            self.a.detach_interface(UUID, ONE)
            self.assert_macs()

    def test_without_a_guest(self):
        self.assertEqual([], self.a.interfaces(UUID))
        self.a.detach_interface(UUID, ONE)
        self.assert_refused(
            exception.GuestFailed, self.a.attach_interface, spec(), ONE
        )

    def test_in_the_contents_of_the_host(self):
        self.running(nics=(ONE,))
        (artifact,) = self.a.list_host_contents()
        self.assertEqual([ONE['mac']], artifact.macs)

    def test_outdated_config_drive(self):
        self.a.create_disks(drive_spec(), None)
        before = self.rig.config_drive('a', UUID)
        self.a.refresh_config_drive(drive_spec())
        self.assertEqual(before, self.rig.config_drive('a', UUID))
        self.a.refresh_config_drive(drive_spec(nics=(ONE,)))
        after = self.rig.config_drive('a', UUID)
        self.assertNotEqual(before, after)
        self.a.refresh_config_drive(spec())
        self.assertEqual(after, self.rig.config_drive('a', UUID))


class FakeTest(Interfaces, ContractTestCase):
    """The fake, with records in memory."""

    rig_class = FakeRig


class FakeAgainTest(FakeTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class FakeFilesTest(Interfaces, ContractTestCase):
    """The fake, with records in files."""

    rig_class = FakeFilesRig


class FakeProcessTest(Interfaces, ContractTestCase):
    """The fake, behind the socket of its process."""

    rig_class = FakeProcessRig


class FakeProcessAgainTest(FakeProcessTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class EmbeddedTest(Interfaces, ContractTestCase):
    """libvirt with its test driver."""

    rig_class = EmbeddedRig


class EmbeddedAgainTest(EmbeddedTest):
    """The same, with every call interrupted and repeated."""

    repeating = True

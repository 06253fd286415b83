# SPDX-License-Identifier: Apache-2.0
"""The guest agent around the first moment of a copy."""

import os

import libvirt

from minova.virt.libvirt.qemu import snapshots
from tests import base

UUID = 'aaaaaaaa-1111-4222-8333-444444444444'
IMAGE = 'bbbbbbbb-1111-4222-8333-444444444444'
#: The requests of a snapshot that freezes its guest.
COMPLETE = ['getTime', 'fsFreeze', 'backupBegin', 'fsThaw']


def error(code):
    """Return an error of libvirt."""
    made = libvirt.libvirtError('injected')
    made.err = (code, 0, 'injected', 2, '', '', '', 0, 0)
    return made


class Domain:
    """A guest that is on; requests fail by ``errors``."""

    def __init__(self):
        self.asked = []
        self.errors = {}
        self.timeout = None
        self.timeouts = {}
        self.power = libvirt.VIR_DOMAIN_RUNNING
        self.is_on = True

    def UUIDString(self):
        return UUID

    def isActive(self):
        return self.is_on

    def state(self):
        return self.power, 0

    def agentSetResponseTimeout(self, seconds, flags):
        self.timeout = seconds

    def _ask(self, name):
        self.asked.append(name)
        self.timeouts[name], self.timeout = self.timeout, None
        if name in self.errors:
            raise self.errors[name]

    def getTime(self):
        self._ask('getTime')
        return {}

    def fsFreeze(self):
        self._ask('fsFreeze')
        return 1

    def fsThaw(self):
        self._ask('fsThaw')
        return 1

    def backupBegin(self, text, checkpoint, flags):
        self._ask('backupBegin')

    def backupGetXMLDesc(self):
        raise error(libvirt.VIR_ERR_NO_DOMAIN_BACKUP)


class Guests:
    """The guests of a host: one."""

    def __init__(self, domain):
        self.domain = domain

    def find(self, uuid):
        return self.domain

    def request(self, domain, act):
        return act(domain)


class Disks:
    """The directory of the copies."""

    def __init__(self, directory):
        self._path = os.path.join(directory, 'snapshots')

    def snapshot_directory(self, uuid):
        return self._path

    def prepare_snapshot_directory(self, uuid):
        os.makedirs(self._path, exist_ok=True)
        return self._path

    def remove_snapshots(self, uuid):
        for name in os.listdir(self._path):
            os.unlink(os.path.join(self._path, name))
        os.rmdir(self._path)


class FreezeTest(base.TestCase):
    """A guest is frozen for the begin of the job, and always thawed."""

    def setUp(self):
        super().setUp()
        self.domain = Domain()
        self.disks = Disks(self.directory)
        self.snapshots = snapshots.QemuSnapshots(
            Guests(self.domain), self.disks
        )

    def begin(self, quiesce=True):
        self.snapshots._begin_job(self.domain, '<domainbackup/>', quiesce)

    def is_marked(self):
        folder = self.disks.snapshot_directory(UUID)
        return os.path.exists(os.path.join(folder, 'frozen'))

    def test_freeze_and_thaw(self):
        self.begin()
        self.assertEqual(COMPLETE, self.domain.asked)
        self.assertFalse(self.is_marked())

    def test_libvirt_does_not_wait_for_ever(self):
        self.begin()
        for name in ('getTime', 'fsFreeze', 'fsThaw'):
            self.assertGreater(self.domain.timeouts[name], 0, name)

    def test_not_wanted_or_not_running(self):
        self.begin(quiesce=False)
        self.domain.power = libvirt.VIR_DOMAIN_PAUSED
        self.begin()
        self.assertEqual(['backupBegin'] * 2, self.domain.asked)

    def test_no_agent(self):
        """Nothing can be frozen, so nothing is thawed."""
        self.domain.errors['getTime'] = error(
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE
        )
        self.assertRaises(libvirt.libvirtError, self.begin)
        self.assertEqual(['getTime'], self.domain.asked)
        self.assertFalse(self.is_marked())

    def test_agent_that_hangs_in_the_freeze(self):
        """The guest may be frozen although libvirt waited in vain."""
        self.domain.errors['fsFreeze'] = error(
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE
        )
        self.assertRaises(libvirt.libvirtError, self.begin)
        self.assertEqual(['getTime', 'fsFreeze', 'fsThaw'], self.domain.asked)
        self.assertFalse(self.is_marked())

    def test_job_that_does_not_begin(self):
        self.domain.errors['backupBegin'] = error(
            libvirt.VIR_ERR_OPERATION_FAILED
        )
        self.assertRaises(libvirt.libvirtError, self.begin)
        self.assertEqual(COMPLETE, self.domain.asked)
        self.assertFalse(self.is_marked())

    def test_thaw_that_fails_is_repeated_by_the_undo(self):
        self.domain.errors['fsThaw'] = error(
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE
        )
        self.assertRaises(libvirt.libvirtError, self.begin)
        self.assertTrue(self.is_marked())
        self.domain.errors.clear()
        self.domain.asked.clear()
        self.snapshots.remove_snapshot(UUID, IMAGE)
        self.assertEqual(['fsThaw'], self.domain.asked)
        self.assertFalse(self.is_marked())

    def test_guest_that_is_off_is_not_frozen(self):
        self.domain.errors['fsThaw'] = error(
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE
        )
        self.assertRaises(libvirt.libvirtError, self.begin)
        self.domain.is_on = False
        self.domain.asked.clear()
        self.snapshots.remove_snapshot(UUID, IMAGE)
        self.assertEqual([], self.domain.asked)
        self.assertFalse(self.is_marked())

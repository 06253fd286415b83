# SPDX-License-Identifier: Apache-2.0
"""Compute as a plain account, QEMU as another one, libvirt as root."""

import os

from tests.fixtures.namespaced_host import NAME
from tests.fixtures.separated_host import COMPUTE
from tests.fixtures.separated_host import QEMU
from tests.fixtures.separated_host import SeparatedHost
from tests.fixtures.servers import process
from tests.integration.qemu import QemuTestCase


class SeparateAccountsTest(QemuTestCase):
    """A host as the systemd units and Debian's libvirt make it."""

    time_limit = 600

    def make_rig(self):
        return SeparatedHost()

    def start_compute(self, host, wait=True, **more):
        return self.cluster.start(
            'compute',
            host,
            wait=wait,
            command=self.rig.command('compute'),
            **self.rig.options(host),
        )

    def start_api(self):
        # It shares the images with the compute service.
        return self.cluster.start_api(
            command=self.rig.command('api'), image=self.rig.image_options
        )

    def test_life_of_a_server(self):
        uuid, host = self.boot()
        self._compute_has_no_privilege()
        self._console_can_be_read(uuid)
        self.assertEqual((QEMU, '0o640'), self._disk(uuid))
        (guest,) = self.rig.guest_processes()
        self.assertEqual({QEMU}, set(_ids(guest, 'Uid')))
        self.user.act(uuid, 'suspend')
        self.user.wait(uuid, 'SUSPENDED')
        # libvirt gives the disk back when QEMU has ended.
        self.assertEqual((COMPUTE, '0o640'), self._disk(uuid))
        self.user.act(uuid, 'resume')
        self.user.wait(uuid, 'ACTIVE')
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        self.rig.wait_for_count(host, uuid)
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        self.assertEqual((COMPUTE, '0o640'), self._disk(uuid))
        self.user.delete(uuid)
        self.assert_nothing_left()

    def _compute_has_no_privilege(self):
        for pid in process.tree(self.computes[NAME].pid):
            self.assertEqual({COMPUTE}, set(_ids(pid, 'Uid')))
            for kind in ('CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                self.assertEqual(0, int(_field(pid, kind), 16), kind)
            self.assertEqual('1', _field(pid, 'NoNewPrivs'))

    def _console_can_be_read(self, uuid):
        """The log belongs to compute, and virtlogd of root writes it."""
        found = self.user.request(
            'POST',
            f'/servers/{uuid}/action',
            {'os-getConsoleOutput': {'length': 5}},
        )
        self.assertIn('COUNT ', found['output'])

    def _disk(self, uuid):
        """Return the owner and the mode of a root disk."""
        path = os.path.join(self.rig.instances_path(NAME), uuid, 'disk')
        status = os.stat(path)
        self.assertEqual(QEMU, status.st_gid)
        return status.st_uid, oct(status.st_mode & 0o7777)


def _field(pid, name):
    with open(f'/proc/{pid}/status') as file:
        for line in file:
            if line.startswith(f'{name}:'):
                return line.partition(':')[2].strip()
    raise AssertionError(f'process {pid} has no {name}')


def _ids(pid, name):
    return [int(word) for word in _field(pid, name).split()]

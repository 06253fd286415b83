# SPDX-License-Identifier: Apache-2.0
"""User actions on real guests, on one host and between two."""

import hashlib
import os

from minova import subprocesses
from minova.rig import hosts
from minova.virt.libvirt.qemu import qcow2
from tests import base
from tests.fixtures.rig import Rig
from tests.fixtures.user import Refused
from tests.fixtures.vnc import open_websocket
from tests.integration.allinone import AllInOneTestCase
from tests.integration.qemu import QemuTestCase

_MIB = 1 << 20


class LifecycleTest(QemuTestCase):
    """Actions on one host."""

    def test_from_create_to_delete(self):
        uuid, host = self.boot()
        first = self.rig.counts(host, uuid)[-1]
        # The guest shuts down on request and keeps its disk.
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        self.assertEqual([], self.rig.hosts_running(uuid))
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        second = self.rig.wait_for_count(host, uuid)
        self.assertEqual(first.disk, second.disk)
        self.assertNotEqual(first.memory, second.memory)
        # A paused guest writes no line.
        self.user.act(uuid, 'pause')
        self.user.wait(uuid, 'PAUSED')
        count = len(self.rig.counts(host, uuid))
        base.clock.sleep(1)
        self.assertEqual(count, len(self.rig.counts(host, uuid)))
        self.user.act(uuid, 'unpause')
        self.user.wait(uuid, 'ACTIVE')
        self.rig.wait_for_count(host, uuid)
        for kind in ('SOFT', 'HARD'):
            self.user.act(uuid, 'reboot', {'type': kind})
            self.user.wait(uuid, 'ACTIVE')
            again = self.rig.wait_for_count(host, uuid)
            self.assertNotEqual(second.boot, again.boot)
            self.assertEqual(first.disk, again.disk)
            second = again
        self.user.delete(uuid)
        self.assertEqual([], self.rig.hosts_running(uuid))
        self.assert_nothing_left()

    def test_suspend_and_rescue(self):
        uuid, host = self.boot()
        first = self.rig.counts(host, uuid)[-1]
        # A suspended guest has no process; a resumed one continues.
        self.user.act(uuid, 'suspend')
        self.user.wait(uuid, 'SUSPENDED')
        self.assertEqual([], self.rig.hosts_running(uuid))
        self.user.act(uuid, 'resume')
        self.user.wait(uuid, 'ACTIVE')
        awake = self.rig.wait_for_count(host, uuid)
        self.assertEqual(
            (first.boot, first.memory), (awake.boot, awake.memory)
        )
        # A rescued guest boots from another disk.
        self.user.act(uuid, 'rescue', {})
        self.user.wait(uuid, 'RESCUE')
        self.assertNotEqual(
            first.disk, self.rig.wait_for_count(host, uuid).disk
        )
        self.user.act(uuid, 'unrescue')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(first.disk, self.rig.wait_for_count(host, uuid).disk)
        # The API returns the console log.
        emitted = self.user.request(
            'POST',
            f'/servers/{uuid}/action',
            {'os-getConsoleOutput': {'length': 3}},
        )
        self.assertIn('COUNT', emitted['output'])
        self._check_views(uuid)
        self._events(uuid, host, first.disk)
        self.user.delete(uuid)
        self.assert_nothing_left()

    def test_rebuild(self):
        """The data is gone, the server is the same."""
        uuid, host = self.boot()
        before, first = self.user.show(uuid), self.rig.counts(host, uuid)[-1]
        body = {'imageRef': before['image']['id'], 'name': 'rebuilt'}
        for stopped in (False, True):
            if stopped:
                self.user.act(uuid, 'os-stop')
                self.user.wait(uuid, 'SHUTOFF')
            self.user.act(uuid, 'rebuild', body)
            self.user.wait(uuid, 'SHUTOFF' if stopped else 'ACTIVE')
            if stopped:
                self.assertEqual([], self.rig.hosts_running(uuid))
                self.user.act(uuid, 'os-start')
                self.user.wait(uuid, 'ACTIVE')
            new = self.rig.wait_for_count(host, uuid)
            self.assertNotEqual(first.disk, new.disk)
            first = new
        after = self.user.show(uuid)
        self.assertEqual('rebuilt', after['name'])
        self.assertEqual(before['addresses'], after['addresses'])
        self.assertEqual(host, self.user.host(uuid))
        # A rebuild that fails restores the guest with its disk.
        # QEMU refuses a kernel that is shorter than its header.
        kernel = self.user.image(b'no kernel')
        broken = self.user.image(bytes(_MIB), kernel_id=kernel)
        self.user.act(uuid, 'rebuild', {'imageRef': broken})
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(before['image'], self.user.show(uuid)['image'])
        self.assertEqual(first.disk, self.rig.wait_for_count(host, uuid).disk)
        self.user.delete(uuid)
        self.assert_nothing_left()

    def _check_views(self, uuid):
        """The proxy shows the VNC console."""
        proxy = self.cluster.start(
            'novncproxy', 'proxy', vnc={'novncproxy_port': 0}
        )
        url = self.user.request(
            'POST',
            f'/servers/{uuid}/remote-consoles',
            {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
        )['remote_console']['url']
        host, _, port = proxy.newest_url().rpartition('/')[2].partition(':')
        browser = open_websocket(url, (host, int(port)), open_timeout=30)
        self.addCleanup(browser.close)
        self.assertEqual(b'RFB 003.008\n', browser.recv(timeout=10))

    def _events(self, uuid, host, disk):
        """Events of the guest arrive, also from a restarted libvirtd."""
        self.rig.kill_libvirtd(host)
        self.rig.start_libvirtd(host)
        self.rig.wait_for_count(host, uuid)
        self.rig.kill_guest(host, uuid)
        self.user.wait(uuid, 'SHUTOFF')
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(disk, self.rig.wait_for_count(host, uuid).disk)

    def test_live_migration(self):
        uuid, host = self.boot()
        before = self.rig.counts(host, uuid)[-1]
        there = self.live_migrate(uuid)
        after = self.rig.wait_for_count(there, uuid)
        self.assertEqual(
            (before.boot, before.memory, before.disk),
            (after.boot, after.memory, after.disk),
        )
        self.assertGreater(after.number, before.number)
        self.assert_runs_once(uuid, there)
        self.assertEqual([], self.rig.guest_directories()[host])
        self.user.delete(uuid)
        self.assert_nothing_left()


class ResizeTest(QemuTestCase):
    """Between hosts without shared storage; the disks are sent."""

    def content(self, host, uuid):
        """Return the content of a disk as the guest reads it."""
        folder = os.path.join(self.rig.instances_path(host), uuid)
        flat = os.path.join(self.directory, 'flat')
        subprocesses.run(
            *('qemu-img', 'convert', '-U', '-O', 'raw'), f'{folder}/disk', flat
        )
        with open(flat, 'rb') as file:
            return hashlib.sha256(file.read(_MIB)).hexdigest()

    def test_there_and_back_and_there(self):
        uuid, here = self.boot(config_drive=True)
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        self.user.resize(uuid, 'big')
        self.user.wait(uuid, 'VERIFY_RESIZE')
        self.assertEqual(there, self.user.host(uuid))
        count = self.rig.wait_for_count(there, uuid)
        self.assertEqual(before.disk, count.disk)
        self.assertNotEqual(before.memory, count.memory)
        self.assert_runs_once(uuid, there)
        info = qcow2.image_info(
            os.path.join(self.rig.instances_path(there), uuid, 'disk'), 'qcow2'
        )
        self.assertEqual(2 << 30, info['virtual-size'])
        self.assertEqual(
            [f'{uuid}_resize'], self.rig.guest_directories()[here]
        )
        # Revert: the same disk, and no leftovers at the destination.
        self.user.act(uuid, 'revertResize')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(here, self.user.host(uuid))
        self.assertEqual(before.disk, self.rig.wait_for_count(here, uuid).disk)
        self.assertEqual([], self.rig.guest_directories()[there])
        # Cold migration of a stopped server, and confirm.
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        content = self.content(here, uuid)
        self.user.act(uuid, 'migrate')
        self.user.wait(uuid, 'VERIFY_RESIZE')
        self.assertEqual(content, self.content(there, uuid))
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'SHUTOFF')
        self.wait_for(lambda: not self.rig.guest_directories()[here])
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            before.disk, self.rig.wait_for_count(there, uuid).disk
        )
        # The config drive was sent and follows a live migration, also when
        # its source data has changed.
        drive = os.path.join(uuid, 'disk.config')
        with open(
            os.path.join(self.rig.instances_path(there), drive), 'rb'
        ) as f:
            data = f.read()
        self.user.request(
            'POST', f'/servers/{uuid}/metadata', {'metadata': {'new': 'word'}}
        )
        self.live_migrate(uuid)
        with open(
            os.path.join(self.rig.instances_path(here), drive), 'rb'
        ) as f:
            self.assertEqual(data, f.read())
        self.user.delete(uuid)
        self.assert_nothing_left()


class SameHostTest(QemuTestCase):
    """Resize on the same host."""

    conductor = {'scheduler': {'allow_resize_to_same_host': True}}

    def make_rig(self):
        return Rig(count=1)

    def size(self, uuid):
        folder = os.path.join(self.rig.instances_path('host1'), uuid)
        emitted = qcow2.image_info(os.path.join(folder, 'disk'), 'qcow2')
        return emitted['virtual-size']

    def test_back_and_for_good(self):
        uuid, host = self.boot()
        disk = self.rig.counts(host, uuid)[-1].disk
        for answer, size in (('revertResize', 1), ('confirmResize', 2)):
            self.user.resize(uuid, 'big')
            self.user.wait(uuid, 'VERIFY_RESIZE')
            self.assertEqual(2 << 30, self.size(uuid))
            self.assertEqual(disk, self.rig.wait_for_count(host, uuid).disk)
            self.assertEqual(
                [uuid, f'{uuid}_resize'], self.rig.guest_directories()[host]
            )
            self.user.act(uuid, answer)
            self.user.wait(uuid, 'ACTIVE')
            self.assertEqual(size << 30, self.size(uuid))
            self.assertEqual(disk, self.rig.wait_for_count(host, uuid).disk)
            self.assert_runs_once(uuid, host)
            self.wait_for(lambda: self.rig.guest_directories()[host] == [uuid])
        # A smaller disk would lose data.
        error = self.assertRaises(Refused, self.user.resize, uuid, 'small')
        self.assertEqual(400, error.status)
        self.user.delete(uuid)
        self.assert_nothing_left()


class AllInOneTest(AllInOneTestCase):
    """Real hosts below the data directory; they survive the process."""

    def test_guests_are_real(self):
        place = os.path.join(self.data, 'rig')
        self.addCleanup(hosts.down, place)
        service = self.start('--hypervisor=qemu')
        self.assertIn(
            f'minova-rig --directory {place} down', service.log_text()
        )
        cloud = self.connect()
        image = self.make_image(cloud)
        (flavor,) = [
            one for one in cloud.compute.flavors() if one.name == 'm1.nano'
        ]
        server = cloud.compute.create_server(
            name='web',
            image_id=image.id,
            flavor_id=flavor.id,
            networks='none',
        )
        server = self.wait(cloud, server)
        self.assertEqual([server.compute_host], self.running(place))
        before = server.compute_host
        cloud.compute.live_migrate_server(server, block_migration='auto')
        server = self.wait(cloud, server)
        self.assertNotEqual(before, server.compute_host)
        self.assertEqual([server.compute_host], self.running(place))
        # The guest runs unsupervised for a while and is found again.
        self.assertEqual(0, service.terminate())
        self.assertEqual([server.compute_host], self.running(place))
        self.start_again(service)
        cloud = self.connect()
        self.wait(cloud, server)
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=60)
        self.assertEqual([], self.running(place))

    def running(self, place):
        return [
            one.name
            for one in hosts.list_hosts(place)
            for _ in hosts.find_guests(one)
        ]

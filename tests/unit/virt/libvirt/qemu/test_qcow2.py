# SPDX-License-Identifier: Apache-2.0
"""Disks of QEMU hosts as qemu-img describes them."""

import os
import subprocess

from minova import exception
from minova import subprocesses
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import qcow2_header
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.host_config import HostConfig
from tests import base

UUID = '6f1e7c2e-1111-4222-8333-abcdefabcdef'
_MIB = 1 << 20
_GIB = 1 << 30


def spec(**more):
    return GuestSpec(
        **{
            'uuid': UUID,
            'name': 'instance-1',
            'title': 'web',
            'vcpus': 1,
            'memory_mb': 96,
            'root_gb': 1,
            'ephemeral_gb': 0,
            'swap_mb': 0,
            'image_id': 'image',
            'project_id': 'p',
            'user_id': 'u',
            'flavor': 'small',
            'operation': 'o',
            'generation': 1,
            'image': {'disk_format': 'raw'},
        }
        | more
    )


class DisksTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.config(group='compute', transfer_port=0)
        self.config(my_ip='127.0.0.1')
        self.disks = QemuDisks(
            HostConfig(
                host='a',
                instances_path=os.path.join(self.directory, 'disks'),
                image_cache_path=self.directory,
                connection_uri='qemu:///system',
                live_migration_uri='qemu:///system',
                live_migration_inbound_addr='127.0.0.1',
                virt_type='qemu',
                emulator='',
            )
        )
        self.addCleanup(self.disks.close)
        self.image = os.path.join(self.directory, 'image')
        with open(self.image, 'wb') as file:
            file.write(b'an image' * 1000)

    def path(self, name='disk'):
        return os.path.join(self.disks.guest_directory(UUID), name)

    def info(self, name='disk'):
        return qcow2.image_info(self.path(name), 'qcow2')

    def test_root_is_an_overlay(self):
        self.disks.create_disks(spec(), self.image)
        info = self.info()
        self.assertEqual(_GIB, info['virtual-size'])
        self.assertEqual(self.image, info['full-backing-filename'])
        self.assertEqual('raw', info['backing-filename-format'])
        self.assertEqual(
            self.image, qcow2_header.read_backing_file(self.path())
        )
        (disk,) = self.disks.list_disks(spec())
        self.assertEqual(
            (self.path(), 'qcow2', 'vda'),
            (disk.path, disk.format, disk.target),
        )
        # What the guest would read first is the image's.
        flat = os.path.join(self.directory, 'flat')
        subprocesses.run('qemu-img', 'convert', '-O', 'raw', self.path(), flat)
        with open(flat, 'rb') as file:
            self.assertEqual(b'an image' * 1000, file.read(8000))

    def test_without_a_size_it_is_as_large_as_the_image(self):
        self.disks.create_disks(spec(root_gb=0), self.image)
        self.assertEqual(8192, self.info()['virtual-size'])

    def test_without_an_image_it_is_empty(self):
        self.disks.create_disks(spec(), None)
        self.assertIsNone(qcow2_header.read_backing_file(self.path()))
        self.assertTrue(self.disks.has_disks(UUID))

    def test_an_image_that_is_too_large(self):
        with open(self.image, 'r+b') as file:
            file.truncate(_GIB + 512)
        error = self.assertRaises(
            exception.DiskFailed, self.disks.create_disks, spec(), self.image
        )
        self.assertIn('a virtual size of 1073742336 bytes', str(error))
        self.assertFalse(self.disks.has_disks(UUID))

    def test_an_image_larger_than_its_service_says(self):
        """A flavor without a disk; the claim is what the service said."""
        with open(self.image, 'r+b') as file:
            file.truncate(2 * _GIB + 512)
        error = self.assertRaises(
            exception.DiskFailed,
            self.disks.create_disks,
            spec(root_gb=0, max_root_gb=2),
            self.image,
        )
        self.assertIn('only 2147483648 bytes are claimed', str(error))
        self.disks.create_disks(spec(root_gb=0, max_root_gb=3), self.image)

    def test_a_format_that_is_not_taken(self):
        odd = spec(image={'disk_format': 'vmdk'})
        error = self.assertRaises(
            exception.DiskFailed, self.disks.create_disks, odd, self.image
        )
        self.assertIn('format vmdk is not supported', str(error))

    def test_a_raw_image_that_looks_like_qcow2(self):
        """Its header names a file of the host; the image stays raw."""
        secret = os.path.join(self.directory, 'secret')
        with open(secret, 'wb') as file:
            file.write(b'secret' * 1000)
        os.unlink(self.image)
        qcow2.make_overlay(self.image, _MIB, secret, 'raw')
        self.disks.create_disks(spec(), self.image)
        chain = subprocesses.run(
            *('qemu-img', 'info', '--backing-chain', self.path())
        )
        self.assertNotIn(b'secret', chain)

    def test_other_disks(self):
        more = spec(ephemeral_gb=1, swap_mb=16)
        self.disks.create_disks(more, self.image)
        kinds = [
            (disk.format, disk.target) for disk in self.disks.list_disks(more)
        ]
        self.assertEqual(
            [('qcow2', 'vda'), ('raw', 'vdb'), ('raw', 'vdc')], kinds
        )
        with open(self.path('disk.swap'), 'rb') as file:
            self.assertEqual(b'SWAPSPACE2', file.read(4096)[-10:])
        with open(self.path('disk.ephemeral'), 'rb') as file:
            file.seek(1024 + 56)
            self.assertEqual(b'\x53\xef', file.read(2))
        used = os.stat(self.path('disk.ephemeral')).st_blocks * 512
        self.assertLess(used, 64 * _MIB)

    def test_grow(self):
        self.disks.create_disks(spec(), self.image)
        self.disks.grow_disks(spec(root_gb=2, swap_mb=16))
        self.assertEqual(2 * _GIB, self.info()['virtual-size'])
        self.assertEqual(16 * _MIB, os.stat(self.path('disk.swap')).st_size)
        # Never smaller, and once more changes nothing.
        self.disks.grow_disks(spec())
        self.assertEqual(2 * _GIB, self.info()['virtual-size'])
        self.assertEqual(
            self.image, qcow2_header.read_backing_file(self.path())
        )

    def test_an_image_that_is_gone_comes_back(self):
        self.disks.create_disks(spec(), self.image)
        os.rename(self.image, f'{self.image}.away')
        self.assertFalse(self.disks.has_disks(UUID))
        self.assertTrue(self.disks.list_artifacts()[UUID].has_disks)
        os.rename(f'{self.image}.away', self.image)
        before = os.stat(self.path()).st_ino
        self.disks.create_disks(spec(), self.image)
        self.assertTrue(self.disks.has_disks(UUID))
        self.assertEqual(before, os.stat(self.path()).st_ino)


class SharedDisksTest(base.TestCase):
    """Two hosts that share the directory of disks and that of images."""

    def setUp(self):
        super().setUp()
        self.config(group='compute', transfer_port=0)
        self.config(my_ip='127.0.0.1')
        self.image = os.path.join(self.directory, 'image')
        with open(self.image, 'wb') as file:
            file.write(b'an image' * 1000)
        self.a, self.b = self.open('a'), self.open('b')
        self.a.create_disks(spec(), self.image)

    def open(self, host):
        disks = QemuDisks(
            HostConfig(
                host=host,
                instances_path=os.path.join(self.directory, 'disks'),
                image_cache_path=self.directory,
                connection_uri='qemu:///system',
                live_migration_uri='qemu:///system',
                live_migration_inbound_addr='127.0.0.1',
                virt_type='qemu',
                emulator='',
            )
        )
        self.addCleanup(disks.close)
        return disks

    def test_disks_of_another_host(self):
        self.assertFalse(self.a.has_shared_disks(UUID))
        self.assertTrue(self.b.has_shared_disks(UUID))
        self.b.set_disk_owner(UUID, 'b')
        self.assertFalse(self.b.has_shared_disks(UUID))
        self.assertTrue(self.b.has_disks(UUID))
        # The host that returns does not remove them.
        self.assertFalse(self.a.has_disks(UUID))
        self.a.remove_disks(UUID)
        self.assertTrue(self.b.has_disks(UUID))

    def test_disk_without_its_image(self):
        os.unlink(self.image)
        error = self.assertRaises(
            exception.DiskMissing, self.b.has_shared_disks, UUID
        )
        self.assertIn('lacks its image', str(error))

    def test_disk_that_a_guest_writes(self):
        path = os.path.join(self.a.guest_directory(UUID), 'disk')
        with subprocess.Popen(
            ['qemu-io', '-f', 'qcow2', path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            writer.stdin.write('length\n')
            writer.stdin.flush()
            self.assertIn('1 GiB', writer.stdout.readline())
            error = self.assertRaises(
                exception.DiskFailed, self.b.set_disk_owner, UUID, 'b'
            )
            writer.stdin.close()
        self.assertIn('another process using the image', str(error))
        self.assertTrue(self.a.has_disks(UUID))
        self.b.set_disk_owner(UUID, 'b')
        self.assertTrue(self.b.has_disks(UUID))

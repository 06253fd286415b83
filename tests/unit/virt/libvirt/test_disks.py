# SPDX-License-Identifier: Apache-2.0
"""Disks: their content and size; partial disks do not count."""

import os
import struct
import subprocess
from unittest import mock

import fixtures

from minova import exception
from minova.virt import configdrive
from minova.virt.driver import Peer
from minova.virt.host_contents import DiskArtifacts
from minova.virt.libvirt import disks
from minova.virt.libvirt import xml
from minova.virt.libvirt.embedded.disks import EmbeddedDisks
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.sparse_files import copy_sparse
from tests import base
from tests.unit.virt.rigs import drive_spec
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

GIB = 1 << 30
MIB = 1 << 20


def cost(path):
    """Return the bytes that a file occupies."""
    return os.stat(path).st_blocks * 512


def _noting(done, name, real):
    def noted(*args):
        done.append(name)
        return real(*args)

    return noted


class DisksTestCase(base.TestCase):
    """The disks of one host."""

    def setUp(self):
        super().setUp()
        self.place = os.path.join(self.directory, 'a', 'instances')
        self.disks = EmbeddedDisks(EmbeddedStore(self.directory), 'a')

    def path(self, name='disk', folder=UUID):
        return os.path.join(self.place, folder, name)

    def image(self, *pieces, size=0):
        """Create an image from pairs of offset and bytes."""
        path = os.path.join(self.directory, 'image')
        with open(path, 'wb') as file:
            for place, content in pieces:
                file.seek(place)
                file.write(content)
            file.truncate(max(size, file.tell()))
        return path

    def read(self, path):
        with open(path, 'rb') as file:
            return file.read()


class ContentTest(DisksTestCase):
    """The content of new disks."""

    def test_empty(self):
        self.disks.create_disks(spec(root_gb=20), None)
        self.assertEqual(20 * GIB, os.path.getsize(self.path()))
        self.assertLess(cost(self.path()), MIB)

    def test_no_size_is_the_images_size(self):
        image = self.image((0, b'abc'))
        self.disks.create_disks(spec(root_gb=0), image)
        self.assertEqual(b'abc', self.read(self.path()))

    def test_the_image_with_nothing_added(self):
        image = self.image((0, b'begin'), (70 * MIB, b'end'), size=80 * MIB)
        self.disks.create_disks(spec(root_gb=20), image)
        self.assertEqual(20 * GIB, os.path.getsize(self.path()))
        with open(self.path(), 'rb') as file:
            self.assertEqual(self.read(image), file.read(80 * MIB))
            self.assertEqual(b'', file.read(MIB).strip(b'\0'))
        # Its holes are holes.
        self.assertLess(cost(self.path()), MIB)

    def test_a_larger_image_is_never_cut(self):
        image = self.image((0, b'x'), size=GIB + 5)
        self.disks.create_disks(spec(root_gb=1), image)
        self.assertEqual(GIB + 5, os.path.getsize(self.path()))

    def test_all_disks(self):
        made = spec(root_gb=2, ephemeral_gb=3, swap_mb=512)
        self.disks.create_disks(made, None)
        found = [
            (disk.target, disk.format, os.path.getsize(disk.path))
            for disk in self.disks.list_disks(made)
        ]
        self.assertEqual(
            [
                ('vda', 'raw', 2 * GIB),
                ('vdb', 'raw', 3 * GIB),
                ('vdc', 'raw', 512 * MIB),
            ],
            found,
        )

    def test_a_config_drive(self):
        made = drive_spec(swap_mb=1, image={'disk_format': 'qcow2'})
        self.disks.create_disks(made, None)
        root, swap, drive = self.disks.list_disks(made)
        path = self.path('disk.config')
        self.assertEqual(xml.Disk(path, 'raw', 'vdz', readonly=True), drive)
        self.assertEqual((False, False), (root.readonly, swap.readonly))
        self.assertEqual(configdrive.build_image(made), self.read(drive.path))

    def test_a_config_drive_that_was_cut_short(self):
        self.disks.create_disks(drive_spec(), None)
        os.unlink(self.path('disk.config'))
        with open(self.path('.disk.config.part'), 'w') as file:
            file.write('half' * 100000)
        self.assertFalse(self.disks.list_artifacts()[UUID].has_config_drive)
        self.disks.create_disks(drive_spec(), None)
        self.assertEqual(
            configdrive.build_image(drive_spec()),
            self.read(self.path('disk.config')),
        )
        self.assertEqual(
            ['disk', 'disk.config'], sorted(os.listdir(self.path('')))
        )

    def test_the_config_drive_is_there_before_the_root_disk(self):
        renamed = []
        real = os.rename

        def rename(old, new):
            renamed.append(new)
            real(old, new)

        self.patch(os, 'rename', rename)
        self.disks.create_disks(drive_spec(swap_mb=1), None)
        self.assertEqual(
            [self.path('disk.config'), self.path('disk.swap'), self.path()],
            renamed,
        )

    def test_the_format_is_the_image_services_word(self):
        made = spec(swap_mb=1, image={'disk_format': 'qcow2'})
        root, swap = self.disks.list_disks(made)
        self.assertEqual(('qcow2', 'raw'), (root.format, swap.format))
        # Whatever a guest writes to its disk.
        self.disks.create_disks(spec(), self.image((0, b'QFI\xfb\0\0\0\3')))
        (root,) = self.disks.list_disks(spec())
        self.assertEqual('raw', root.format)

    def test_grow_makes_what_the_guest_did_not_have(self):
        self.disks.create_disks(spec(root_gb=1), None)
        bigger = spec(root_gb=2, swap_mb=64, ephemeral_gb=1)
        self.disks.grow_disks(bigger)
        sizes = [
            os.path.getsize(d.path) for d in self.disks.list_disks(bigger)
        ]
        self.assertEqual([2 * GIB, GIB, 64 * MIB], sizes)

    def test_all_files_are_sent(self):
        self.disks.create_disks(spec(swap_mb=1), None)
        with open(self.disks.console_log(UUID), 'w') as file:
            file.write('Linux')
        self.disks.retain_disks(UUID, copy=True)
        aside = os.path.join(self.place, f'{UUID}_resize')
        self.assertEqual(
            ['console.log', 'disk', 'disk.swap'], sorted(os.listdir(aside))
        )
        self.disks.remove_disks(UUID)
        self.assertEqual([f'{UUID}_resize'], os.listdir(self.place))
        self.disks.discard_disks(UUID)
        self.assertEqual([], os.listdir(self.place))

    def test_partial_files_are_not_sent(self):
        self.disks.create_disks(spec(), None)
        for folder, name in (
            (UUID, '.disk.part'),
            (f'.{UUID}.part', 'disk.swap'),
            (f'.{UUID}.deleting', 'disk'),
        ):
            os.makedirs(os.path.join(self.place, folder), exist_ok=True)
            with open(self.path(name, folder), 'w') as file:
                file.write('of an earlier try')
        self.disks.retain_disks(UUID, copy=True)
        self.disks.copy_from(UUID, os.path.join(self.place, f'{UUID}_resize'))
        self.assertEqual(
            [UUID, f'{UUID}_resize'], sorted(os.listdir(self.place))
        )
        for folder in (UUID, f'{UUID}_resize'):
            found = os.listdir(os.path.join(self.place, folder))
            self.assertEqual(['disk'], found)

    def test_on_the_disk_before_it_has_its_name(self):
        done = []
        for name in ('fsync', 'rename'):
            self.useFixture(
                fixtures.MockPatchObject(
                    os, name, _noting(done, name, getattr(os, name))
                )
            )
        self.disks.create_disks(spec(swap_mb=1), self.image((0, b'x')))
        self.assertEqual(['fsync', 'rename'] * 2, done)
        done.clear()
        self.disks.retain_disks(UUID, copy=True)
        self.assertEqual(['fsync', 'fsync', 'rename'], done)

    def test_disk_usage(self):
        self.disks.create_disks(spec(), self.image((0, b'x' * MIB)))
        self.assertGreaterEqual(self.disks.bytes_used(UUID), MIB)
        self.assertLess(self.disks.bytes_used(UUID), 2 * MIB)


class ImagesInUseTest(DisksTestCase):
    """The backing files in the headers of disks."""

    def overlay(self, base, folder=UUID, name='disk', relative=False):
        """Create an overlay with qemu-img."""
        os.makedirs(os.path.join(self.place, folder), exist_ok=True)
        path = self.path(name, folder)
        named = os.path.relpath(base, os.path.dirname(path))
        subprocess.run(
            [
                *('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw'),
                *('-b', named if relative else base, path),
            ],
            check=True,
        )

    def test_all_disks_of_all_guests(self):
        base = self.image((0, b'data'), size=MIB)
        bases = [f'{base}-{number}' for number in range(4)]
        for path in bases:
            copy_sparse(base, path)
        self.overlay(bases[0])
        self.overlay(bases[1], f'{OTHER}_resize')
        self.overlay(bases[2], f'.{OTHER}.part', relative=True)
        self.overlay(bases[3], 'not-a-guest')
        self.disks.create_disks(spec(OTHER), base)
        self.assertEqual(set(bases[:3]), self.disks.images_in_use())

    def test_invalid_headers(self):
        self.disks.create_disks(spec(), None)
        for head in (
            b'',
            b'QFI',
            b'QFI\xfb' + bytes(16),
            b'QFI\xfb' + b'\xff' * 16,
            struct.pack('>4sIQI4s', b'QFI\xfb', 3, 20, 4, b'a\0b '),
            struct.pack('>4sIQI', b'QFI\xfb', 3, 0, 9),
        ):
            with open(self.path(), 'wb') as file:
                file.write(head)
            self.assertEqual(set(), self.disks.images_in_use(), head)

    def test_a_disk_that_gets_another_name_meanwhile(self):
        base = self.image((0, b'data'), size=MIB)
        self.overlay(base)
        real, calls = disks.os.listdir, []

        def listdir(path):
            found = real(path)
            calls.append(path)
            if len(calls) == 1:
                self.disks.retain_disks(UUID)
            return found

        with mock.patch.object(disks.os, 'listdir', listdir):
            self.assertEqual({base}, self.disks.images_in_use())

    def test_a_directory_that_cannot_be_read(self):
        os.rmdir(self.place)
        with open(self.place, 'wb'):
            self.assertRaises(exception.DiskFailed, self.disks.images_in_use)


class KernelTest(DisksTestCase):
    """A kernel beside the disks."""

    def test_kernel_is_copied_once(self):
        kernel = self.image((0, b'first'))
        image = {'kernel_id': 'k'}
        made = spec(kernel=kernel, ramdisk=kernel, image=image)
        self.disks.create_disks(made, None)
        self.image((0, b'later'))
        self.disks.create_disks(made, None)
        for name in ('kernel', 'ramdisk'):
            with open(self.path(name), 'rb') as file:
                self.assertEqual(b'first', file.read())
        self.assertEqual(
            (self.path('kernel'), None),
            (
                self.disks.kernel_boot(made).kernel,
                self.disks.kernel_boot(made).ramdisk,
            ),
        )
        image = {'kernel_id': 'k', 'ramdisk_id': 'r'}
        boot = self.disks.kernel_boot(spec(image=image))
        self.assertEqual(self.path('ramdisk'), boot.ramdisk)
        self.assertIsNone(self.disks.kernel_boot(spec()))


class CopyTest(DisksTestCase):
    """Files with holes."""

    def check(self, *pieces, size=0, to=0):
        source = self.image(*pieces, size=size)
        path = os.path.join(self.directory, 'copy')
        with open(path, 'wb') as file:
            file.write(b'something of before' * 1000)
        copy_sparse(source, path, to)
        with open(source, 'rb') as old, open(path, 'rb') as new:
            old_text, new_text = old.read(), new.read()
        self.assertEqual(max(len(old_text), to), len(new_text))
        self.assertEqual(old_text, new_text[: len(old_text)])
        self.assertEqual(b'', new_text[len(old_text) :].strip(b'\0'))
        return cost(path)

    def test_nothing(self):
        self.assertEqual(0, self.check())
        self.assertEqual(0, self.check(to=MIB))

    def test_only_holes(self):
        self.assertEqual(0, self.check(size=10 * MIB))
        self.assertEqual(0, self.check(size=10 * MIB, to=11 * MIB))

    def test_data_first_in_between_and_last(self):
        data = os.urandom(3 * MIB + 17)
        self.check((0, data))
        self.check((5 * MIB, data))
        self.check((0, data), (20 * MIB, data), (40 * MIB, b'z'))
        self.assertLess(self.check((20 * MIB, b'x'), size=40 * MIB), MIB)

    def test_file_shrinks_during_copy(self):
        source = self.image((0, b'x' * (9 * MIB)))
        path = os.path.join(self.directory, 'copy')
        real = os.pread

        def shorter(*args):
            os.truncate(source, 4 * MIB)
            return real(*args)

        self.useFixture(fixtures.MockPatchObject(os, 'pread', shorter))
        copy_sparse(source, path)
        self.assertEqual(4 * MIB, len(self.read(path).rstrip(b'\0')))


class KeptTest(DisksTestCase):
    """The artifacts in the directory, also after a crash."""

    def make(self, *names):
        for name in names:
            os.makedirs(os.path.join(self.disks.directory, name))

    def test_names(self):
        self.make(UUID, f'{OTHER}_resize', 'lost+found', 'not-a-uuid_resize')
        self.make(f'.{OTHER}.deleting')
        self.assertEqual(
            {
                UUID: DiskArtifacts(has_partial_disks=True),
                OTHER: DiskArtifacts(
                    has_retained_disks=True, has_partial_disks=True
                ),
            },
            self.disks.list_artifacts(),
        )
        self.disks.create_disks(spec(), None)
        self.assertEqual(
            DiskArtifacts(has_disks=True), self.disks.list_artifacts()[UUID]
        )
        self.make(f'.{UUID}.part', f'{UUID}/disk.config')
        self.assertEqual(
            DiskArtifacts(
                has_disks=True, has_partial_disks=True, has_config_drive=True
            ),
            self.disks.list_artifacts()[UUID],
        )

    def test_all_of_it_can_be_removed(self):
        self.make(f'{UUID}_resize', f'.{UUID}.part', f'.{UUID}.deleting', UUID)
        self.disks.remove_disks(UUID)
        self.assertEqual(
            {UUID: DiskArtifacts(has_retained_disks=True)},
            self.disks.list_artifacts(),
        )
        self.disks.discard_disks(UUID)
        self.assertEqual({}, self.disks.list_artifacts())

    def test_a_directory_that_cannot_be_read(self):
        os.rmdir(self.disks.directory)
        error = self.assertRaises(
            exception.DiskFailed, self.disks.list_artifacts
        )
        self.assertIn('No such file', str(error))


class FailureTest(DisksTestCase):
    """Errors have the text of the operating system."""

    def assert_fails(self, words, call, *args):
        error = self.assertRaises(exception.DiskFailed, call, *args)
        self.assertIn(words, str(error))
        self.assertIn(UUID, str(error))

    def test_the_image_is_missing(self):
        self.assert_fails(
            'No such file', self.disks.create_disks, spec(), '/no/image'
        )
        self.assertFalse(self.disks.has_disks(UUID))

    def test_the_disk_is_full(self):
        self.disks.create_disks(spec(swap_mb=1), None)

        def full(*args):
            raise OSError(28, 'No space left on device')

        self.useFixture(fixtures.MockPatchObject(disks, 'copy_sparse', full))
        for call, args in (
            (self.disks.retain_disks, (UUID, True)),
            (self.disks.copy_from, (UUID, self.disks.guest_directory(UUID))),
        ):
            self.assert_fails('No space left', call, *args)
        self.assertFalse(self.disks.has_retained_disks(UUID))
        self.assertTrue(self.disks.has_disks(UUID))

    def test_removal_not_permitted(self):
        def refuse(*args):
            raise PermissionError(13, 'Permission denied')

        self.disks.create_disks(spec(), None)
        with fixtures.MockPatchObject(os, 'rename', refuse):
            for call in (
                self.disks.remove_disks,
                self.disks.retain_disks,
            ):
                self.assert_fails('Permission denied', call, UUID)
        self.assertTrue(self.disks.has_disks(UUID))

    def test_no_such_peer(self):
        records = EmbeddedStore(self.directory)
        own = EmbeddedDisks(records, 'a')
        own.create_disks(spec(), None)
        error = self.assertRaises(
            exception.DiskFailed, own.send_disks, UUID, Peer('z', ''), {}
        )
        self.assertIn('z is not an embedded host', str(error))
        self.assertFalse(os.path.exists(os.path.join(self.directory, 'z')))

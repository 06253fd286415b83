# SPDX-License-Identifier: Apache-2.0
"""The Debian image: how it is built, and its disk.

What apt and mmdebstrap say is acted here by scripts of these names; that a
Debian comes of it and boots is seen in ``tests/cloudimage``.
"""

import io
import os
import struct
import subprocess
import tarfile

import fixtures

from minova import exception
from minova import subprocesses as machine
from minova.rig import boot_disk
from minova.rig import image
from minova.rig import packages
from minova.rig import subprocesses
from tests import base

_MIB = 1 << 20
_TARGETS = """\
http://tools.test/debian bookworm main Tools
http://near.test/debian/ bookworm main Debian
http://near.test/debian/ bookworm-updates main Debian
http://near.test/debian/ bookworm-updates main Debian
http://near.test/debian/ bookworm-backports main Debian
http://near.test/debian/ bookworm contrib Debian
http://near.test/security/ bookworm-security main Debian-Security
"""


class ProgramsTestCase(base.TestCase):
    """A PATH with the programs of the test only."""

    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.directory, 'bin')
        os.mkdir(self.bin)
        self.useFixture(fixtures.MockPatchObject(machine, 'PATH', self.bin))
        self.act('apt-get', f'printf %s "{_TARGETS}"')

    def act(self, name, script):
        """Create a program with this name."""
        path = os.path.join(self.bin, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n{script}\n')
        os.chmod(path, 0o755)


class PackagesTest(ProgramsTestCase):
    """Packages come from the sources of this machine's apt."""

    def test_sources(self):
        self.assertEqual('bookworm', packages.release())
        signed = 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring'
        self.assertEqual(
            [
                f'{signed}.gpg] http://near.test/{rest} main'
                for rest in (
                    'debian/ bookworm',
                    'debian/ bookworm-updates',
                    'security/ bookworm-security',
                )
            ],
            packages.sources(),
        )

    def test_a_machine_without_lists(self):
        self.act('apt-get', 'true')
        error = self.assertRaises(exception.ConfigInvalid, packages.sources)
        self.assertIn('run apt-get update', str(error))

    def test_how_they_are_reached(self):
        said = (
            'APT::Architecture "amd64"\n'
            'Acquire::http::Proxy "http://proxy.test:3142"\n'
            'Acquire::Languages "none"\n'
            'Acquire::Check-Valid-Until "false"\n'
        )
        self.act('apt-config', f"printf '%s' '{said}'")
        self.assertEqual(
            [
                'Acquire::http::Proxy "http://proxy.test:3142"',
                'Acquire::Check-Valid-Until "false"',
            ],
            packages.apt_options(),
        )


class ImageTest(ProgramsTestCase):
    """The image is built once, or an error says why not."""

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.directory, 'image')
        self.act('apt-config', 'true')
        for name in ('fakeroot', 'mke2fs', 'newuidmap', 'qemu-img', 'tar'):
            self.act(name, 'exit 3')

    def test_missing_programs_are_named(self):
        error = self.assertRaises(
            exception.ConfigInvalid, image.build, self.folder
        )
        self.assertIn('mmdebstrap is missing (Debian package', str(error))
        self.assertFalse(os.path.exists(self.folder))

    def test_existing_image_is_reused(self):
        os.mkdir(self.folder)
        path = image.image_path(self.folder)
        with open(path, 'wb'):
            self.assertEqual(path, image.build(self.folder))
        self.assertRegex(path, r'/debian-bookworm-[0-9a-f]{8}\.qcow2$')

    def test_why_there_is_none(self):
        log = os.path.join(self.folder, 'debian.log')
        emitted = os.path.join(self.directory, 'told')
        lines = (
            f'for word; do printf "%s\\n" "$word"; done > {emitted}',
            f'/bin/cat >> {emitted}',
            f'printf "I: begun\\nE: no mirror\\nE: so it failed\\n" > {log}',
            'exit 25',
        )
        self.act('mmdebstrap', '\n'.join(lines))
        error = self.assertRaises(
            exception.ConfigInvalid, image.build, self.folder
        )
        self.assertIn('image failed: no mirror (log:', str(error))
        self.assertIn(log, str(error))
        self.assertEqual(['debian.log'], os.listdir(self.folder))
        with open(emitted, encoding='utf-8') as file:
            words = file.read().splitlines()
        self.assertIn(f'--logfile={log}', words)
        self.assertIn('bookworm', words)
        self.assertEqual(packages.sources(), words[-3:])

    def test_a_user_without_subordinate_ids(self):
        self.act(
            'mmdebstrap',
            f'echo E: failed to parse /etc/subuid > {self.folder}/debian.log; '
            'exit 25',
        )
        error = self.assertRaises(
            exception.ConfigInvalid, image.build, self.folder
        )
        self.assertIn('/etc/subuid; add subordinate', str(error))


class BootDiskTest(base.TestCase):
    """The disk as a BIOS and Linux read it."""

    def test_where_everything_is(self):
        tar = os.path.join(self.directory, 'tar')
        with tarfile.open(tar, 'w') as file:
            entry = tarfile.TarInfo('etc/hello')
            entry.size, entry.uid, entry.gid = 5, 7, 8
            entry.mode = 0o4751
            file.addfile(entry, io.BytesIO(b'there'))
        disk = os.path.join(self.directory, 'disk')
        core = b'core' * 5000
        boot_disk.write_disk(disk, tar, b'\xeb' * 512, core, 24 * _MIB)
        self.assertEqual(24 * _MIB, os.path.getsize(disk))
        with open(disk, 'rb') as file:
            head = file.read(_MIB)
        self.assertEqual(b'\xeb' * 440 + bytes(6), head[:446])
        active, kind, first, count = struct.unpack('<B3xB3xII', head[446:462])
        self.assertEqual((0x80, 0x83), (active, kind))
        self.assertEqual((2048, 23 * 2048), (first, count))
        self.assertEqual(bytes(48) + b'\x55\xaa', head[462:512])
        self.assertEqual(core, head[512:].rstrip(b'\0'))
        self.assertEqual('there', self.inspect(disk, 'cat /etc/hello'))
        shown = self.inspect(disk, 'stat /etc/hello')
        self.assertRegex(shown, r'Mode: +04751')
        self.assertRegex(shown, r'User: +7 +Group: +8')
        probe = [
            subprocesses.find('blkid'),
            '-p',
            '-s',
            'LABEL',
            '-o',
            'value',
        ]
        self.assertEqual(
            'debian\n',
            subprocess.check_output([*probe, f'-O{_MIB}', disk], text=True),
        )

    def test_disk_too_small(self):
        disk = os.path.join(self.directory, 'disk')
        error = self.assertRaises(
            exception.ConfigInvalid,
            boot_disk.write_disk,
            *(disk, 'tar', b'', bytes(_MIB), 24 * _MIB),
        )
        self.assertIn('too many for the space before', str(error))

    def inspect(self, disk, request):
        return subprocess.run(
            [
                subprocesses.find('debugfs'),
                '-R',
                request,
                f'{disk}?offset={_MIB}',
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

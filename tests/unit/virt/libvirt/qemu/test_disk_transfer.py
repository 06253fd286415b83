# SPDX-License-Identifier: Apache-2.0
"""Disk transfers between hosts, with and without shared storage."""

import json
import os
import signal
import stat
import subprocess
import sys
from unittest import mock

from minova import exception
from minova.conf import CONF
from minova.objects.transfer_ticket import TransferTicket
from minova.virt import host_contents
from minova.virt.driver import Peer
from minova.virt.host_contents import DiskArtifacts
from minova.virt.libvirt.plain_files import PlainFileBackend
from minova.virt.libvirt.qemu.disk_transfer import TransferableDisks
from minova.virt.libvirt.qemu.overlay_checks import BaseImage
from minova.virt.libvirt.qemu.overlay_checks import OverlayChecker
from minova.virt.transfer import receiver
from tests import base
from tests.unit.virt import test_driver
from tests.unit.virt.libvirt.embedded.test_driver_crashes import CrashPoint
from tests.unit.virt.rigs import Rig
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

A, B = Peer('a', '127.0.0.1'), Peer('b', '127.0.0.1')
IMAGE = '22222222-3333-4444-8555-666666666666'
MIB = 1 << 20


def open_disks(directory, host, shared=False, cache=None):
    """Return the disks of a host, with all files below a directory."""
    CONF.set_override('transfer_port', 0, 'compute')
    CONF.set_override('state_path', os.path.join(directory, host))
    os.makedirs(CONF.state_path, exist_ok=True)
    place = 'shared' if shared else os.path.join(host, 'instances')
    cache = cache or os.path.join(directory, host, 'image-cache')
    overlays = OverlayChecker(cache) if os.path.isdir(cache) else None
    return TransferableDisks(
        os.path.join(directory, place), PlainFileBackend(), host, overlays
    )


class RemoteTestCase(base.TestCase):
    """Two hosts; the first has the disks of a guest."""

    shared = False

    def setUp(self):
        super().setUp()
        self.hosts = {}
        self.addCleanup(self.close)
        for host in 'ab':
            self.open(host)

    def open(self, host):
        self.hosts[host] = open_disks(self.directory, host, self.shared)

    def close(self):
        for disks in self.hosts.values():
            disks.close()

    def restart(self, host):
        self.hosts[host].close()
        self.open(host)

    @property
    def a(self):
        return self.hosts['a']

    @property
    def b(self):
        return self.hosts['b']

    def path(self, host, name='disk', folder=UUID):
        return os.path.join(self.hosts[host].directory, folder, name)

    def made(self, content=b'token', **values):
        self.a.create_disks(spec(root_gb=1, swap_mb=1, **values), None)
        self.write('a', content)

    def write(self, host, content, at=12345):
        with open(self.path(host), 'r+b') as file:
            file.seek(at)
            file.write(content)

    def read(self, host, folder=UUID, size=5, at=12345):
        with open(self.path(host, folder=folder), 'rb') as file:
            file.seek(at)
            return file.read(size)

    def create_ticket(self, **values):
        return self.b.prepare_disk_transfer(spec(**values))

    def send_disks(self, transfer_ticket):
        return list(self.a.send_disks(UUID, B, transfer_ticket))

    def names(self, host):
        return sorted(os.listdir(self.hosts[host].directory))

    def assert_refused(self, words, call, *args):
        error = self.assertRaises(exception.DiskFailed, call, *args)
        self.assertIn(words, str(error))
        self.assertIn(UUID, str(error))


class SeparateStorageTest(RemoteTestCase):
    """Hosts without shared storage."""

    def test_the_way_of_a_resize(self):
        self.made()
        transfer_ticket = self.create_ticket()
        self.a.check_can_send_disks(UUID, B, transfer_ticket)
        self.send_disks(transfer_ticket)
        self.a.retain_disks(UUID)
        self.b.commit_received_disks(UUID)
        self.assertEqual(b'token', self.read('b'))
        self.assertEqual(b'token', self.read('a', f'{UUID}_resize'))
        self.assertEqual([UUID], self.names('b'))
        self.assertEqual([f'{UUID}_resize'], self.names('a'))
        self.assertEqual(
            ['disk', 'disk.swap', 'host'],
            sorted(os.listdir(self.b.guest_directory(UUID))),
        )
        # Back again: the very same.
        self.write('b', b'other')
        self.b.remove_disks(UUID)
        self.a.restore_disks(UUID)
        self.assertEqual(b'token', self.read('a'))
        self.assertEqual([], self.names('b'))

    def test_to_and_fro(self):
        self.made()
        self.send_disks(self.create_ticket())
        self.a.retain_disks(UUID)
        self.b.commit_received_disks(UUID)
        self.a.discard_disks(UUID)
        self.write('b', b'later')
        transfer_ticket = self.a.prepare_disk_transfer(
            spec(operation='operation-2')
        )
        list(self.b.send_disks(UUID, A, transfer_ticket))
        self.b.retain_disks(UUID)
        self.a.commit_received_disks(UUID)
        self.b.discard_disks(UUID)
        self.assertEqual(b'later', self.read('a'))
        self.assertTrue(self.a.has_disks(UUID))
        self.assertEqual([], self.names('b'))

    def test_both_start_again_on_the_way(self):
        self.made()
        self.write('a', os.urandom(9 * MIB), at=0)
        transfer_ticket = self.create_ticket()
        go = self.a.send_disks(UUID, B, transfer_ticket)
        for _ in range(5):
            next(go)
        self.restart('b')
        self.assertRaises(exception.DiskTransferInterrupted, list, go)
        self.restart('a')
        # Of the same operation it is the same, at the same port.
        self.assertEqual(transfer_ticket, self.create_ticket())
        self.send_disks(transfer_ticket)
        self.b.commit_received_disks(UUID)
        self.assertEqual(
            self.read('a', size=9 * MIB, at=0),
            self.read('b', size=9 * MIB, at=0),
        )

    def test_other_operation_starts_over(self):
        self.made()
        first = self.create_ticket()
        go = self.a.send_disks(UUID, B, first)
        next(go)
        second = self.create_ticket(operation='operation-2')
        self.assertNotEqual(first.token, second.token)
        self.assert_refused('transfer ticket', list, go)
        self.send_disks(second)
        self.b.commit_received_disks(UUID)

    def test_removal_revokes_the_ticket(self):
        self.made()
        transfer_ticket = self.create_ticket()
        go = self.a.send_disks(UUID, B, transfer_ticket)
        next(go)
        self.assertEqual(
            DiskArtifacts(has_partial_disks=True),
            self.b.list_artifacts()[UUID],
        )
        self.b.remove_disks(UUID)
        self.assertEqual({}, self.b.list_artifacts())
        self.assertEqual([], self.names('b'))
        self.assert_refused('transfer ticket', list, go)
        self.assert_refused(
            'transfer ticket',
            self.a.check_can_send_disks,
            UUID,
            B,
            transfer_ticket,
        )
        self.assertEqual([], self.names('b'))

    def test_accepted_disks_are_not_written_any_more(self):
        self.made()
        transfer_ticket = self.create_ticket()
        self.send_disks(transfer_ticket)
        self.b.commit_received_disks(UUID)
        self.write('a', b'other')
        self.assert_refused(
            'transfer ticket', self.send_disks, transfer_ticket
        )
        self.assertEqual(b'token', self.read('b'))

    def test_partial_disks_are_not_committed(self):
        self.made()
        go = self.a.send_disks(UUID, B, self.create_ticket())
        for _ in range(3):
            next(go)
        go.close()
        self.assert_refused(
            'did not arrive', self.b.commit_received_disks, UUID
        )
        # Nor something older that has the name.
        self.b.create_disks(spec(), None)
        self.assert_refused(
            'did not arrive', self.b.commit_received_disks, UUID
        )

    def test_something_older_is_replaced(self):
        self.made()
        self.b.create_disks(spec(), None)
        self.write('b', b'older')
        self.send_disks(self.create_ticket())
        self.b.commit_received_disks(UUID)
        self.assertEqual(b'token', self.read('b'))
        self.assertEqual([UUID], self.names('b'))

    def test_token_file_mode(self):
        self.create_ticket()
        mode = os.stat(self.b.incoming_directory(UUID)).st_mode
        self.assertEqual(0o700, stat.S_IMODE(mode))

    def test_no_endpoint(self):
        self.made()
        ticket = self.create_ticket().replace(endpoint=None)
        for call in (self.a.check_can_send_disks, self.a.send_disks):
            self.assert_refused(
                'b receives no disks over the network',
                lambda c=call: list(c(UUID, B, ticket) or ()),
            )

    def test_the_port_is_remembered(self):
        before = self.create_ticket().endpoint.port
        self.assertNotEqual(0, before)
        self.restart('b')
        self.assertEqual(before, self.create_ticket().endpoint.port)

    def test_the_port_is_taken(self):
        self.config(
            group='compute', transfer_port=self.create_ticket().endpoint.port
        )
        error = self.assertRaises(
            exception.ConfigInvalid,
            TransferableDisks,
            self.directory,
            PlainFileBackend(),
            'c',
        )
        self.assertIn('transfer_port', str(error))
        self.assertIn('in use', str(error))


class KilledTest(RemoteTestCase):
    """The destination is a process that is killed."""

    CODE = """
import sys
from minova.conf import CONF
CONF([], project='minova', default_config_files=[])
from tests.unit.virt.libvirt.qemu.test_disk_transfer import open_disks
from tests.unit.virt.rigs import spec
import json
disks = open_disks(sys.argv[1], 'b')
ticket = disks.prepare_disk_transfer(spec())
print(json.dumps(ticket.to_wire()), flush=True)
sys.stdin.read()
"""

    def setUp(self):
        super().setUp()
        self.hosts.pop('b').close()

    def start(self):
        """Start the destination; return process and ticket."""
        process = subprocess.Popen(
            [sys.executable, '-c', self.CODE, self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        ticket = json.loads(process.stdout.readline())
        return process, TransferTicket.from_wire(ticket)

    def test_killed_again_and_again(self):
        self.made()
        self.write('a', os.urandom(20 * MIB), at=0)
        for steps in (2, 12):
            process, transfer_ticket = self.start()
            go = self.a.send_disks(UUID, B, transfer_ticket)
            for _ in range(steps):
                next(go)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertRaises(exception.DiskTransferInterrupted, list, go)
            self.assertFalse(
                os.path.exists(
                    os.path.join(self.directory, 'b', 'instances', UUID)
                )
            )
        process, again = self.start()
        self.assertEqual(transfer_ticket, again)
        self.send_disks(again)
        process.kill()
        process.wait()
        self.open('b')
        self.b.commit_received_disks(UUID)
        self.assertEqual(
            self.read('a', size=20 * MIB, at=0),
            self.read('b', size=20 * MIB, at=0),
        )

    def test_the_source_is_killed(self):
        self.made()
        self.write('a', os.urandom(20 * MIB), at=0)
        self.open('b')
        transfer_ticket = self.create_ticket()
        code = (
            'import json, sys, time\n'
            'from minova.conf import CONF\n'
            "CONF([], project='minova', default_config_files=[])\n"
            'from tests.unit.virt.libvirt.qemu '
            'import test_disk_transfer as t\n'
            "disks = t.open_disks(sys.argv[1], 'a')\n"
            'ticket = t.TransferTicket.from_wire(json.loads(sys.argv[2]))\n'
            'go = disks.send_disks(t.UUID, t.B, ticket)\n'
            'for step in range(9):\n'
            '    next(go)\n'
            "print('here', flush=True)\n"
            'time.sleep(60)\n'
        )
        self.hosts.pop('a').close()
        with subprocess.Popen(
            [
                sys.executable, '-c', code, self.directory,
                json.dumps(transfer_ticket.to_wire()),
            ],
            stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            self.assertEqual(b'here\n', process.stdout.readline())
            process.kill()
        self.open('a')
        self.assertFalse(self.b.has_disks(UUID))
        self.send_disks(transfer_ticket)
        self.b.commit_received_disks(UUID)
        self.assertEqual(
            self.read('a', size=20 * MIB, at=0),
            self.read('b', size=20 * MIB, at=0),
        )


class SharedTest(RemoteTestCase):
    """Hosts with shared storage."""

    shared = True

    def sent(self):
        self.made()
        transfer_ticket = self.create_ticket()
        self.a.check_can_send_disks(UUID, B, transfer_ticket)
        self.send_disks(transfer_ticket)
        self.a.retain_disks(UUID)
        return transfer_ticket

    def test_shared_disks_are_not_sent(self):
        self.patch(receiver.Receiver, 'accept_manifest', None)
        self.sent()
        self.assertTrue(self.b.has_disks(UUID))

    def test_the_way_of_a_resize(self):
        self.sent()
        self.b.commit_received_disks(UUID)
        self.assertEqual([UUID, f'{UUID}_resize'], self.names('a'))
        self.write('b', b'other')
        self.assertEqual(b'token', self.read('a', f'{UUID}_resize'))

    def test_each_sees_its_own(self):
        self.sent()
        self.b.commit_received_disks(UUID)
        self.assertEqual(
            {UUID: DiskArtifacts(has_retained_disks=True)},
            self.a.list_artifacts(),
        )
        self.assertEqual(
            {UUID: DiskArtifacts(has_disks=True)}, self.b.list_artifacts()
        )
        self.assertEqual(
            [False, True, True, False],
            [
                self.a.has_disks(UUID),
                self.b.has_disks(UUID),
                self.a.has_retained_disks(UUID),
                self.b.has_retained_disks(UUID),
            ],
        )
        self.assert_refused('host b', self.a.require_disks, UUID)

    def test_two_destinations_in_turn(self):
        self.made()
        first = self.create_ticket()
        self.open('c')
        second = self.hosts['c'].prepare_disk_transfer(spec())
        self.assertNotEqual(first.token, second.token)
        list(self.a.send_disks(UUID, Peer('c', ''), second))
        self.a.retain_disks(UUID)
        self.hosts['c'].commit_received_disks(UUID)
        self.assert_refused('host c', self.b.require_disks, UUID)
        self.b.remove_disks(UUID)
        self.assertTrue(self.hosts['c'].has_disks(UUID))
        self.assertEqual([UUID, f'{UUID}_resize'], self.names('a'))

    def test_hosts_keep_each_others_disks(self):
        self.sent()
        self.b.commit_received_disks(UUID)
        self.a.remove_disks(UUID)
        self.b.discard_disks(UUID)
        self.assertEqual([UUID, f'{UUID}_resize'], self.names('a'))

    def test_confirmed(self):
        self.sent()
        self.b.commit_received_disks(UUID)
        self.a.discard_disks(UUID)
        self.assertEqual([UUID], self.names('a'))
        self.b.remove_disks(UUID)
        self.assertEqual([], self.names('a'))

    def test_reverted(self):
        self.sent()
        self.b.commit_received_disks(UUID)
        self.write('b', b'other')
        self.b.remove_disks(UUID)
        self.a.restore_disks(UUID)
        self.assertEqual(b'token', self.read('a'))
        self.assertEqual(
            {UUID: DiskArtifacts(has_disks=True)}, self.a.list_artifacts()
        )
        self.assertEqual({}, self.b.list_artifacts())

    def test_restored_before_commit(self):
        self.sent()
        self.a.restore_disks(UUID)
        self.b.remove_disks(UUID)
        self.assertEqual(b'token', self.read('a'))
        self.assertTrue(self.a.has_disks(UUID))
        self.assertEqual([UUID], self.names('a'))

    def test_a_destination_that_gives_up_leaves_the_disks(self):
        self.made()
        self.create_ticket()
        self.b.remove_disks(UUID)
        self.assertEqual(b'token', self.read('a'))
        self.assertEqual([UUID], self.names('a'))

    def test_cut_short_anywhere(self):
        """The source is killed at each effect and repeats the call."""
        for number in range(100):
            self.made()
            transfer_ticket = self.create_ticket()
            killer = CrashPoint(number)
            with killer.at_work():
                self.send_disks(transfer_ticket)
                self.a.retain_disks(UUID)
            # Somewhere there is the content, under a name that counts.
            kept = [
                self.read('a', folder)
                for folder in (UUID, f'{UUID}_resize')
                if os.path.exists(self.path('a', folder=folder))
            ]
            self.assertIn(b'token', kept)
            self.send_disks(transfer_ticket)
            self.a.retain_disks(UUID)
            self.b.commit_received_disks(UUID)
            self.assertEqual(b'token', self.read('b'))
            self.assertEqual(b'token', self.read('a', f'{UUID}_resize'))
            self.assertEqual([UUID, f'{UUID}_resize'], self.names('a'))
            self.b.remove_disks(UUID)
            self.a.restore_disks(UUID)
            self.assertEqual(b'token', self.read('a'))
            self.a.remove_disks(UUID)
            self.assertEqual([], self.names('a'))
            if not killer.dead:
                self.assertGreater(number, 5)
                return
        self.fail('there is no end to it')

    def test_restored_from_anywhere(self):
        """The source is killed at each effect and restores."""
        for number in range(100):
            self.made()
            transfer_ticket = self.create_ticket()
            killer = CrashPoint(number)
            with killer.at_work():
                self.send_disks(transfer_ticket)
                self.a.retain_disks(UUID)
            self.a.restore_disks(UUID)
            self.b.remove_disks(UUID)
            self.assertEqual(b'token', self.read('a'))
            self.assertTrue(self.a.has_disks(UUID))
            self.assertFalse(self.b.has_disks(UUID))
            self.a.remove_disks(UUID)
            self.assertEqual([], self.names('a'))
            if not killer.dead:
                return
        self.fail('there is no end to it')

    def test_disks_of_another_host_are_not_made_again(self):
        self.made()
        self.assert_refused('host a', self.b.create_disks, spec(), None)
        self.assertEqual(b'token', self.read('a'))

    def test_a_probe_that_is_not_seen_does_no_harm(self):
        self.made()
        ticket = self.create_ticket()
        probe = ticket.endpoint.probe.replace(token='another')
        transfer_ticket = ticket.replace(
            endpoint=ticket.endpoint.replace(probe=probe)
        )
        self.assert_refused(
            'both hosts share storage', self.send_disks, transfer_ticket
        )
        self.assertEqual(b'token', self.read('a'))
        self.assertTrue(self.a.has_disks(UUID))
        self.b.remove_disks(UUID)
        self.assertEqual([UUID], self.names('a'))


class OverlayTest(RemoteTestCase):
    """Root disks that are overlays of images."""

    def open(self, host):
        cache = os.path.join(self.directory, host, 'image-cache')
        os.makedirs(cache, exist_ok=True)
        super().open(host)

    def cached(self, host, name=IMAGE):
        return os.path.join(self.directory, host, 'image-cache', name)

    def qemu(self, *words):
        return subprocess.run(
            ['qemu-img', *words], check=True, capture_output=True, text=True
        ).stdout

    def image(self, host='a', content=b'image', kind='raw', name=IMAGE):
        raw = os.path.join(self.directory, 'raw')
        with open(raw, 'wb') as file:
            file.write(content.ljust(MIB, b'\0'))
            file.truncate(8 * MIB)
        self.qemu('convert', '-O', kind, raw, self.cached(host, name))
        return self.cached(host, name)

    def overlay(self, backing=None, kind='raw'):
        self.a.create_disks(spec(), None)
        os.unlink(self.path('a'))
        self.qemu(
            'create', '-q', '-f', 'qcow2', '-b', backing or self.cached('a'),
            '-F', kind, self.path('a'), '16M',
        )  # fmt: skip
        subprocess.run(
            ['qemu-io', '-c', 'write -P 0x41 5M 4k', self.path('a')],
            check=True,
            capture_output=True,
        )

    def flat(self, path):
        """Return the content that a guest reads from a disk."""
        flat = os.path.join(self.directory, 'flat')
        self.qemu('convert', '-O', 'raw', path, flat)
        with open(flat, 'rb') as file:
            return file.read()

    def header(self, path):
        return json.loads(self.qemu('info', '--output=json', path))

    def check(self, kind='raw'):
        self.overlay(kind=kind)
        wanted = self.flat(self.path('a'))
        self.assertIn(b'image', wanted)
        self.assertIn(b'A' * 4096, wanted)
        transfer_ticket = self.create_ticket()
        self.a.check_can_send_disks(UUID, B, transfer_ticket)
        self.send_disks(transfer_ticket)
        self.a.retain_disks(UUID)
        self.b.commit_received_disks(UUID)
        # It stands on nothing of the source any more.
        os.rename(self.cached('a'), self.cached('a') + '.gone')
        self.assertEqual(wanted, self.flat(self.path('b')))
        header = self.header(self.path('b'))
        self.assertEqual(self.cached('b'), header['backing-filename'])
        self.assertEqual(kind, header['backing-filename-format'])
        self.assertEqual(
            [IMAGE], os.listdir(os.path.dirname(self.cached('b')))
        )
        self.qemu('check', self.path('b'))

    def test_the_base_goes_along(self):
        self.image()
        self.check()

    def test_a_qcow2_base(self):
        self.image(kind='qcow2')
        self.check('qcow2')

    def test_the_base_is_there(self):
        self.image()
        self.image('b')
        before = os.stat(self.cached('b')).st_ino
        self.check()
        self.assertEqual(before, os.stat(self.cached('b')).st_ino)

    def test_another_image_of_that_name(self):
        self.image()
        self.image('b', b'other')
        self.overlay()
        self.assert_refused(
            'differs from the image', self.send_disks, self.create_ticket()
        )
        self.assertFalse(self.b.has_disks(UUID))

    def test_no_base(self):
        self.a.create_disks(spec(), None)
        os.unlink(self.path('a'))
        self.qemu('create', '-q', '-f', 'qcow2', self.path('a'), '16M')
        self.send_disks(self.create_ticket())
        self.b.commit_received_disks(UUID)
        self.assertNotIn('backing-filename', self.header(self.path('b')))

    def test_a_base_that_is_no_image(self):
        secret = os.path.join(self.directory, 'secret')
        with open(secret, 'wb') as file:
            file.write(b's' * MIB)
        self.overlay(backing=secret)
        transfer_ticket = self.create_ticket()
        for call in (self.a.check_can_send_disks, self.a.send_disks):
            self.assert_refused(
                'not in the image cache',
                lambda c=call: list(c(UUID, B, transfer_ticket) or ()),
            )
        self.assertFalse(self.b.has_disks(UUID))

    def test_a_base_that_was_not_announced(self):
        """A malicious source cannot make the destination read a file."""
        self.image()
        self.overlay()
        self.a._overlays = None
        self.assert_refused(
            'not in the manifest', self.send_disks, self.create_ticket()
        )
        self.assertFalse(self.b.has_disks(UUID))

    def send_unchecked(self, overlays=None):
        """Send the disks as a source that checks nothing."""
        self.a._overlays = overlays
        self.send_disks(self.create_ticket())
        self.b.commit_received_disks(UUID)

    def test_external_data_file(self):
        """A malicious source cannot make the destination read a file."""
        secret = os.path.join(self.directory, 'secret')
        with open(secret, 'wb') as file:
            file.write(b's' * MIB)
        self.a.create_disks(spec(), None)
        os.unlink(self.path('a'))
        option = f'data_file={secret}.copy,data_file_raw=on'
        self.qemu(
            *('create', '-q', '-f', 'qcow2', '-o', option),
            *(self.path('a'), '1M'),
        )
        os.rename(secret, f'{secret}.copy')
        self.assert_refused('external data file', self.send_unchecked)
        self.assertEqual(self.shared, self.b.has_disks(UUID))

    def test_unsafe_headers(self):
        for offset, value, text in (
            (72, (1 << 2).to_bytes(8, 'big'), 'external data file'),
            (72, (1 << 1).to_bytes(8, 'big'), 'corrupt'),
            (72, (1 << 40).to_bytes(8, 'big'), 'unknown features'),
            (32, (1).to_bytes(4, 'big'), 'encrypted'),
            (4, (9).to_bytes(4, 'big'), 'not valid'),
            (100, (1 << 31).to_bytes(4, 'big'), 'not valid'),
            (112, b'DATA' + (8).to_bytes(4, 'big'), 'external data file'),
        ):
            self.a.create_disks(spec(), None)
            os.unlink(self.path('a'))
            self.qemu('create', '-q', '-f', 'qcow2', self.path('a'), '1M')
            with open(self.path('a'), 'r+b') as file:
                file.seek(offset)
                file.write(value)
            self.assert_refused(text, self.send_unchecked)
            self.assertEqual(self.shared, self.b.has_disks(UUID))
            self.b.remove_disks(UUID)
            self.a.remove_disks(UUID)
            self.a.discard_disks(UUID)

    def test_base_with_external_data_file(self):
        image = self.image(kind='qcow2')
        self.overlay(kind='qcow2')
        with open(image, 'r+b') as file:
            file.seek(72)
            file.write((1 << 2).to_bytes(8, 'big'))
        checker = mock.Mock(
            names=('disk',),
            cache=os.path.dirname(image),
            find_base=lambda path: BaseImage(IMAGE, 'qcow2'),
        )
        self.assert_refused('external data file', self.send_unchecked, checker)
        self.assertFalse(os.path.exists(self.cached('b')))

    def test_raw_base_that_is_qcow2(self):
        self.image(kind='qcow2')
        self.overlay(kind='qcow2')
        checker = mock.Mock(
            names=('disk',),
            cache=os.path.dirname(self.cached('a')),
            find_base=lambda path: BaseImage(IMAGE, 'raw'),
        )
        self.assert_refused('is qcow2, not raw', self.send_unchecked, checker)
        self.assertFalse(os.path.exists(self.cached('b')))

    def test_the_disk_is_no_qcow2(self):
        self.made()
        self.assert_refused('qcow2', self.send_disks, self.create_ticket())

    def test_half_a_base_is_removed_with_the_rest(self):
        self.image(content=os.urandom(MIB))
        self.overlay()
        go = self.a.send_disks(UUID, B, self.create_ticket())
        next(go)
        next(go)
        self.assertNotEqual([], os.listdir(os.path.dirname(self.cached('b'))))
        self.b.remove_disks(UUID)
        self.assertEqual([], os.listdir(os.path.dirname(self.cached('b'))))


class SharedOverlayTest(OverlayTest):
    """The same with shared instances and separate caches."""

    shared = True

    def test_the_disk_is_no_qcow2(self):
        self.made()
        self.assert_refused('qcow2', self.send_disks, self.create_ticket())
        self.assertEqual(b'token', self.read('a', f'{UUID}_resize'))

    def test_a_base_that_was_not_announced(self):
        """No base is sent; the disk changes its owner."""
        self.image()
        self.overlay()
        self.a._overlays = None
        self.send_disks(self.create_ticket())
        self.assertTrue(self.b.has_disks(UUID))

    def test_restored_disks_use_own_base(self):
        self.image()
        self.overlay()
        wanted = self.flat(self.path('a'))
        self.send_disks(self.create_ticket())
        self.a.retain_disks(UUID)
        self.b.commit_received_disks(UUID)
        self.b.remove_disks(UUID)
        self.a.restore_disks(UUID)
        self.assertEqual(
            self.cached('a'), self.header(self.path('a'))['backing-filename']
        )
        self.assertEqual(wanted, self.flat(self.path('a')))


class DisksOnly:
    """A driver that consists of disks."""

    def __init__(self, disks):
        self.disks = disks

    def __getattr__(self, name):
        return getattr(self.disks, name)

    def define(self, spec):
        """Do nothing: there are no guests."""

    def list_host_contents(self):
        return host_contents.build([], self.disks.list_artifacts())


class RemoteRig(Rig):
    """Hosts without shared storage."""

    migration_seconds = ('libvirt', 'embedded_migration_seconds')

    def build(self):
        self.opened = {}
        self.addCleanup(self.close)

    def close(self):
        for driver in self.opened.values():
            driver.close()

    def open(self, host):
        self.opened[host] = DisksOnly(open_disks(self.place, host))
        return self.opened[host]

    def crash(self, driver):
        driver.close()

    def path(self, host, uuid, retained=False):
        name = f'{uuid}_resize' if retained else uuid
        return os.path.join(self.place, host, 'instances', name, 'disk')

    def write(self, host, uuid, token):
        with open(self.path(host, uuid), 'r+b') as file:
            file.write(token.encode())

    def read(self, host, uuid, retained=False):
        with open(self.path(host, uuid, retained), 'rb') as file:
            return file.read(100).rstrip(b'\0').decode()

    def write_ephemeral(self, host, uuid, token):
        with open(f'{self.path(host, uuid)}.ephemeral', 'r+b') as file:
            file.write(token.encode())

    def read_ephemeral(self, host, uuid):
        with open(f'{self.path(host, uuid)}.ephemeral', 'rb') as file:
            return file.read(100).rstrip(b'\0').decode()

    def size_gb(self, host, uuid):
        return os.path.getsize(self.path(host, uuid)) / (1 << 30)


class RemoteContract(test_driver.Disks):
    """The contract of disks."""

    def rig_class(self):
        rig = RemoteRig()
        rig.place = self.directory
        return rig


class RemoteContractTest(RemoteContract, test_driver.ContractTestCase):
    """Each call once."""


class RemoteRepeatedTest(RemoteContract, test_driver.ContractTestCase):
    """A crash after each call, and the call again."""

    repeating = True

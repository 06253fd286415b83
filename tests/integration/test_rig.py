# SPDX-License-Identifier: Apache-2.0
"""The hosts of a rig, with libvirt, QEMU and the counting guest."""

import contextlib
import io
import os
import re
import signal
import tempfile

import libvirt

from minova import clock
from minova.cmd import rig
from minova.rig import guest
from minova.rig import hosts
from minova.rig import subprocesses
from minova.virt import qemu_version
from tests import base
from tests.fixtures.rig import KNOWN
from tests.fixtures.servers import process

UUID = '6f1e7c2e-1111-4222-8333-abcdefabcdef'
_COUNT = re.compile(r'COUNT (\d+) boot=(\S+) memory=(\S+) disk=(\S+)\r?\n')
_DOMAIN = """
<domain type='qemu'>
  <name>counter</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{made.kernel}</kernel>
    <initrd>{made.ramdisk}</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>{qemu}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{one.directory}/disks/{uuid}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'>
      <source path='{one.directory}/disks/console'/>
    </serial>
  </devices>
</domain>
"""


class RigTest(base.TestCase):
    """Two hosts under the commands of minova-rig."""

    def setUp(self):
        super().setUp()
        # A fixture's directory has a path that is too long for sockets.
        made = tempfile.TemporaryDirectory(prefix='rig')
        self.addCleanup(made.cleanup)
        self.directory = made.name
        self.addCleanup(hosts.down, self.directory)

    def run_it(self, *words):
        """Run minova-rig in this process; return exit code and output."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = rig.main(['--directory', self.directory, *words])
        return code, out.getvalue() + err.getvalue()

    def open(self, one):
        connection = libvirt.open(one.uri)
        self.addCleanup(connection.close)
        return connection

    def wait_for(self, true):
        until = clock.monotonic() + 60
        while not (found := true()):
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.1)
        return found

    def counts(self, one):
        """Return the lines of the guest at a host."""
        path = os.path.join(one.directory, 'disks', 'console')
        if not os.path.exists(path):
            return []
        with open(path, encoding='utf-8', errors='replace') as file:
            return _COUNT.findall(file.read())

    def make_disk(self, one):
        path = os.path.join(one.directory, 'disks', UUID)
        subprocesses.run('qemu-img', 'create', '-f', 'qcow2', path, '16M')

    def xml(self, one, made, qemu):
        return _DOMAIN.format(
            uuid=UUID,
            made=made,
            one=one,
            qemu=qemu,
            command_line=guest.COMMAND_LINE,
        )

    # -- the tests -----------------------------------------------------------

    def test_up_and_down(self):
        code, said = self.run_it('status')
        self.assertEqual(1, code)
        self.assertIn(f'The directory {self.directory} has no hosts', said)
        code, said = self.run_it('up')
        self.assertEqual(0, code, said)
        pids = [
            hosts.find_libvirtd(one)
            for one in hosts.list_hosts(self.directory)
        ]
        self.assertEqual(2, len(set(pids)))
        # A repeated command changes nothing; a third host keeps the others.
        code, said = self.run_it('up', '--hosts', '3')
        self.assertEqual(0, code, said)
        found = hosts.list_hosts(self.directory)
        self.assertEqual(pids, [hosts.find_libvirtd(one) for one in found[:2]])
        names = [self.open(one).getHostname() for one in found]
        self.assertEqual(['host1', 'host2', 'host3'], names)
        code, said = self.run_it('status')
        self.assertEqual(0, code)
        self.assertIn('host3  up, 0 guests at 127.0.0.13', said)
        code, said = self.run_it('down')
        self.assertEqual(
            (0, '3 hosts are stopped and removed.\n'), (code, said)
        )
        self.assertEqual([], process.users_of(self.directory))
        self.assertEqual(['capabilities'], os.listdir(self.directory))
        self.assertEqual(
            (0, '0 hosts are stopped and removed.\n'), self.run_it('down')
        )

    def test_accounts_of_its_own(self):
        # The machine may have no account for the uid of a host.
        (one,) = hosts.up(self.directory, 1, KNOWN)
        pid = hosts.find_libvirtd(one)
        with open(f'/proc/{pid}/root/etc/passwd') as file:
            self.assertIn(f'rig:x:1000:1000::{one.directory}:', file.read())
        with open(f'/proc/{pid}/root/etc/group') as file:
            self.assertIn('rig:x:1000:', file.read())
        with open('/etc/passwd') as file:
            self.assertNotIn(one.directory, file.read())

    def test_a_guest_that_counts(self):
        one, other = hosts.up(self.directory, 2, KNOWN)
        made = guest.build(os.path.join(self.directory, 'guest'))
        self.assertEqual(made, guest.build(os.path.dirname(made.kernel)))
        code, qemu = self.run_it('qemu')
        self.assertEqual(0, code, qemu)
        self.assertGreaterEqual(
            qemu_version.get_version(qemu.strip()),
            qemu_version.MIN_SAFE_VERSION,
        )
        self.make_disk(one)
        domain = self.open(one).defineXML(self.xml(one, made, qemu.strip()))
        domain.create()
        self.wait_for(lambda: len(self.counts(one)) > 2)
        _, boot, memory, disk = self.counts(one)[-1]
        # The libvirtd is killed; the guest is found again.
        os.kill(hosts.find_libvirtd(one), signal.SIGKILL)
        self.wait_for(lambda: hosts.find_libvirtd(one) is None)
        hosts.start(one)
        domain = self.open(one).lookupByUUIDString(UUID)
        self.assertTrue(domain.isActive())
        # Live migration with the disk.
        self.make_disk(other)
        # Libvirt has replaced q35 by the machine version.
        there = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE).replace(
            one.directory, other.directory
        )
        domain.migrateToURI3(
            other.peer_uri,
            {
                libvirt.VIR_MIGRATE_PARAM_DEST_XML: there,
                libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: there,
            },
            libvirt.VIR_MIGRATE_LIVE
            | libvirt.VIR_MIGRATE_PEER2PEER
            | libvirt.VIR_MIGRATE_PERSIST_DEST
            | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
            | libvirt.VIR_MIGRATE_NON_SHARED_DISK,
        )
        self.wait_for(lambda: len(self.counts(other)) > 2)
        number, *tokens = self.counts(other)[-1]
        self.assertEqual([boot, memory, disk], tokens)
        self.assertGreater(int(number), int(self.counts(one)[-1][0]))
        self.assertEqual([], hosts.find_guests(one))
        # The guest shuts down on ACPI and boots from the same disk.
        domain = self.open(other).lookupByUUIDString(UUID)
        domain.shutdown()
        self.wait_for(lambda: not domain.isActive())
        domain.create()
        self.wait_for(
            lambda: self.counts(other) and (self.counts(other)[-1][1] != boot)
        )
        _, _, newer, same = self.counts(other)[-1]
        self.assertNotEqual(memory, newer)
        self.assertEqual(disk, same)
        (pid,) = hosts.find_guests(other)
        hosts.down(self.directory)
        self.assertFalse(process.is_alive(pid))

    def test_a_path_that_is_too_long_for_sockets(self):
        self.directory = os.path.join(self.directory, 'x' * 70)
        code, said = self.run_it('up')
        self.assertEqual(1, code)
        self.assertIn('is too long for the path of a socket', said)
        self.assertEqual([], hosts.list_hosts(self.directory))

# SPDX-License-Identifier: Apache-2.0
"""Real guests: libvirt, QEMU, a guest that counts, and services as processes.

What the guest says on its console shows that it is the same guest, with the
same memory and disk, wherever it was moved. The hosts are those of a rig.
"""

import hashlib
import os
import subprocess

import libvirt
from testtools import content

from minova.conf import CONF
from minova.db import engine
from minova.rig import guest
from minova.rig import hosts
from minova.virt.libvirt import programs
from minova.virt.libvirt import qcow2
from tests import base
from tests.fixtures import certificates
from tests.fixtures import processes
from tests.fixtures import servers
from tests.fixtures.processes import Cluster
from tests.fixtures.rig import Rig
from tests.fixtures.screens import look
from tests.fixtures.user import User
from tests.integration import test_allinone

_MIB = 1 << 20


class QemuTestCase(base.TestCase):
    """Two hosts, RabbitMQ, MariaDB, and the services."""

    time_limit = 400
    shared = False
    tls = False

    def setUp(self):
        super().setUp()
        name = self.id().rpartition('.')[2][:40]
        self.rig = self.useFixture(self.make_rig())
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, name)
        database = servers.shared(servers.MariaDB)
        self.addCleanup(database.drop, name)
        url = database.url(name)
        self.manage = processes.sync(self.directory, url)
        self.cluster = self.useFixture(
            Cluster(broker.vhost(name), url, self.directory)
        )
        self.addOnException(self._show_logs)
        self.database = engine.connect(CONF, url)
        self.addCleanup(self.database.dispose)
        self.cluster.start('conductor', 'c0', wait=False)
        self.computes = {
            host: self.start_compute(host, wait=False)
            for host in self.rig.hosts
        }
        api = self.cluster.start_api()
        for name, service in self.cluster.services.items():
            if not name.startswith('api'):
                service.wait_for('is ready.')
        self.user = User(f'{api.url}/v2.1', 'admin:admin')
        self.user.flavor('small', 96)
        self.user.flavor('big', 128, disk=2)
        self.user.flavor('roomy', 160)

    def make_rig(self):
        return Rig(shared=self.shared, tls=self.tls)

    def start_compute(self, host, wait=True, **more):
        options = self.rig.options(host)
        for group, values in more.items():
            options.setdefault(group, {}).update(values)
        return self.cluster.start('compute', host, wait=wait, **options)

    def _show_logs(self, exc_info):
        for name, service in self.cluster.services.items():
            log = content.text_content(service.said()[-20000:])
            self.addDetailUniqueName(name, log)

    def make_image(self, words=''):
        """Make the image of the guest that counts."""
        made = self.rig.guest
        parts = {}
        for part, path in (('kernel', made.kernel), ('ramdisk', made.ramdisk)):
            with open(path, 'rb') as file:
                parts[f'{part}_id'] = self.user.image(file.read())
        command_line = f'{guest.COMMAND_LINE} {words}'.strip()
        self.user.image(bytes(_MIB), os_command_line=command_line, **parts)

    def boot(self, words='', **more):
        """Return a server that counts, and the host that it is on."""
        self.make_image(words)
        uuid = self.user.boot(**more)
        host = self.user.host(uuid)
        self.rig.wait_for_count(host, uuid)
        return uuid, host

    def other(self, host):
        (found,) = set(self.rig.hosts) - {host}
        return found

    def live_migrate(self, uuid):
        """Move a server; return where it is then."""
        before = self.user.host(uuid)
        self.user.live_migrate(uuid)
        self.user.wait(uuid, 'ACTIVE', 120)
        host = self.user.host(uuid)
        self.assertNotEqual(before, host)
        return host

    def wait_for(self, true, seconds=90):
        until = base.clock.monotonic() + seconds
        while not true():
            if base.clock.monotonic() > until:
                self.fail('it never came true')
            base.clock.sleep(0.05)

    def assert_nothing_left(self):
        self.assertEqual({}, {n: f for n, f in self.rig.files().items() if f})

    def assert_runs_once(self, uuid, host):
        self.assertEqual([host], self.rig.runners(uuid))


class LifeTest(QemuTestCase):
    """What users do to a guest."""

    def test_from_create_to_delete(self):
        uuid, host = self.boot()
        first = self.rig.counts(host, uuid)[-1]
        # It switches itself off when it is asked, and has its disk again.
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        self.assertEqual([], self.rig.runners(uuid))
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        second = self.rig.wait_for_count(host, uuid)
        self.assertEqual(first.disk, second.disk)
        self.assertNotEqual(first.memory, second.memory)
        # Paused it counts no more.
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
        self.assertEqual([], self.rig.runners(uuid))
        self.assert_nothing_left()

    def test_asleep_and_repaired(self):
        uuid, host = self.boot()
        first = self.rig.counts(host, uuid)[-1]
        # Asleep it is no process; awake it goes on where it was.
        self.user.act(uuid, 'suspend')
        self.user.wait(uuid, 'SUSPENDED')
        self.assertEqual([], self.rig.runners(uuid))
        self.user.act(uuid, 'resume')
        self.user.wait(uuid, 'ACTIVE')
        awake = self.rig.wait_for_count(host, uuid)
        self.assertEqual(
            (first.boot, first.memory), (awake.boot, awake.memory)
        )
        # Rescued it starts from another disk, then from its own again.
        self.user.act(uuid, 'rescue', {})
        self.user.wait(uuid, 'RESCUE')
        self.assertNotEqual(
            first.disk, self.rig.wait_for_count(host, uuid).disk
        )
        self.user.act(uuid, 'unrescue')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(first.disk, self.rig.wait_for_count(host, uuid).disk)
        # What it said is told.
        told = self.user.ask(
            'POST',
            f'/servers/{uuid}/action',
            {'os-getConsoleOutput': {'length': 3}},
        )
        self.assertIn('COUNT', told['output'])
        self._look(uuid)
        self._events(uuid, host, first.disk)
        self.user.delete(uuid)
        self.assert_nothing_left()

    def _look(self, uuid):
        """Its screen is seen through the proxy."""
        proxy = self.cluster.start('novncproxy', 'proxy', vnc={'port': 0})
        url = self.user.ask(
            'POST',
            f'/servers/{uuid}/remote-consoles',
            {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
        )['remote_console']['url']
        host, _, port = proxy.newest_url().rpartition('/')[2].partition(':')
        browser = look(url, (host, int(port)), open_timeout=30)
        self.addCleanup(browser.close)
        self.assertEqual(b'RFB 003.008\n', browser.recv(timeout=10))

    def _events(self, uuid, host, disk):
        """What happens to it is seen, also by a libvirtd that is new."""
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
        self.assertEqual([], self.rig.files()[host])
        self.user.delete(uuid)
        self.assert_nothing_left()


class ResizeTest(QemuTestCase):
    """Between hosts that share nothing; the disks are sent."""

    def content(self, host, uuid):
        """Return what a disk holds as the guest sees it."""
        folder = os.path.join(self.rig.instances(host), uuid)
        flat = os.path.join(self.directory, 'flat')
        programs.run(
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
        info = qcow2.info(
            os.path.join(self.rig.instances(there), uuid, 'disk'), 'qcow2'
        )
        self.assertEqual(2 << 30, info['virtual-size'])
        self.assertEqual([f'{uuid}_resize'], self.rig.files()[here])
        # Back: the very same disk, and nothing is left there.
        self.user.act(uuid, 'revertResize')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(here, self.user.host(uuid))
        self.assertEqual(before.disk, self.rig.wait_for_count(here, uuid).disk)
        self.assertEqual([], self.rig.files()[there])
        # Again, by a migration of a server that is off; and stay.
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        content = self.content(here, uuid)
        self.user.act(uuid, 'migrate')
        self.user.wait(uuid, 'VERIFY_RESIZE')
        self.assertEqual(content, self.content(there, uuid))
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'SHUTOFF')
        self.wait_for(lambda: not self.rig.files()[here])
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            before.disk, self.rig.wait_for_count(there, uuid).disk
        )
        # Its config drive came along, and moves with a guest that runs, also
        # when it would be made of something else now.
        drive = os.path.join(uuid, 'disk.config')
        with open(os.path.join(self.rig.instances(there), drive), 'rb') as f:
            data = f.read()
        self.user.ask(
            'POST', f'/servers/{uuid}/metadata', {'metadata': {'new': 'word'}}
        )
        self.live_migrate(uuid)
        with open(os.path.join(self.rig.instances(here), drive), 'rb') as f:
            self.assertEqual(data, f.read())
        self.user.delete(uuid)
        self.assert_nothing_left()


class SharedTest(QemuTestCase):
    """Hosts that see one directory: nothing is copied."""

    shared = True

    def test_moves(self):
        uuid, here = self.boot()
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        path = os.path.join(self.rig.instances(here), uuid, 'disk')
        inode = os.stat(path).st_ino
        self.assertEqual(there, self.live_migrate(uuid))
        after = self.rig.wait_for_count(there, uuid)
        self.assertEqual(
            (before.boot, before.memory, before.disk),
            (after.boot, after.memory, after.disk),
        )
        self.assertEqual(inode, os.stat(path).st_ino)
        self.assert_runs_once(uuid, there)
        # What is asked for and cannot be is said.
        self.user.live_migrate(uuid, block=True)
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(there, self.user.host(uuid))
        (last, *_) = self.user.ask(
            'GET', f'/servers/{uuid}/os-instance-actions'
        )['instanceActions']
        self.assertEqual('live-migration', last['action'])
        self.assertIn('is on shared storage', last['message'])
        # Cold: the disk is given, and a copy kept for a way back.
        self.user.resize(uuid, 'big')
        self.user.wait(uuid, 'VERIFY_RESIZE')
        self.assertEqual(here, self.user.host(uuid))
        self.assertEqual(before.disk, self.rig.wait_for_count(here, uuid).disk)
        self.user.act(uuid, 'revertResize')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(there, self.user.host(uuid))
        self.assertEqual(
            before.disk, self.rig.wait_for_count(there, uuid).disk
        )
        self.user.delete(uuid)
        self.assert_nothing_left()


class TlsTest(QemuTestCase):
    """What is sent of a guest that moves is encrypted."""

    tls = True

    def start_compute(self, host, wait=True, **more):
        tls = {'libvirt': {'migration_tls': True}}
        return super().start_compute(host, wait, **tls)

    def test_certificates(self):
        uuid, here = self.boot()
        there = self.other(here)
        self.assertEqual(there, self.live_migrate(uuid))
        self.rig.wait_for_count(there, uuid)
        # Of an authority that nobody here trusts: it stays where it is.
        certificates.write(self.rig.hosts[here], certificates.Authority())
        self.user.live_migrate(uuid)
        self.user.wait(uuid, 'ACTIVE', 120)
        self.assertEqual(there, self.user.host(uuid))
        self.rig.wait_for_count(there, uuid)
        self.assert_runs_once(uuid, there)
        self.wait_for(lambda: not self.rig.files()[here])
        told = subprocess.check_output(
            [*self.manage, 'timeline', uuid], text=True
        )
        self.assertIn('certificate', told)


class KillTest(QemuTestCase):
    """What is killed while a guest moves, in the order of the chain."""

    #: Slow enough to be seen under way.
    slowly = {'libvirt': {'migration_bandwidth': 4}}

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(host, wait, **(more or self.slowly))

    def begin(self, uuid):
        """Begin to move a guest; return when both hosts have it."""
        here = self.user.host(uuid)
        self.assert_runs_once(uuid, here)
        self.before = self.rig.counts(here, uuid)[-1]
        self.user.live_migrate(uuid)
        self.wait_for(lambda: len(self.rig.runners(uuid)) == 2)
        return here, self.other(here)

    def restart(self, *hosts):
        for host in hosts:
            service = self.computes[host]
            ready = service.said().count('is ready.')
            service.start()
            service.wait_for('is ready.', ready + 1)

    def assert_is_at(self, uuid, host):
        """It is the same guest, is there alone, and nothing else is left."""
        self.user.wait(uuid, 'ACTIVE', 180)
        self.assertEqual(host, self.user.host(uuid))
        count = self.rig.wait_for_count(host, uuid)
        self.assertEqual(
            (self.before.boot, self.before.memory, self.before.disk),
            (count.boot, count.memory, count.disk),
        )
        self.assertGreater(count.number, self.before.number)
        self.assert_runs_once(uuid, host)
        self.wait_for(lambda: not self.rig.files()[self.other(host)])

    def test_services(self):
        uuid, _ = self.boot()
        # The source's, in the middle of it.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.restart(here)
        self.assert_is_at(uuid, there)
        # The destination's; it is needed in the end only.
        here, there = self.begin(uuid)
        self.computes[there].kill()
        self.wait_for(lambda: self.rig.runners(uuid) == [there])
        self.restart(there)
        self.assert_is_at(uuid, there)
        # Both, until libvirt has done it alone.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.computes[there].kill()
        self.wait_for(lambda: self.rig.runners(uuid) == [there])
        self.restart(here, there)
        self.assert_is_at(uuid, there)

    def test_hypervisors(self):
        uuid, _ = self.boot()
        # The guest that is coming.
        here, there = self.begin(uuid)
        self.rig.kill_guest(there, uuid)
        self.assert_is_at(uuid, here)
        # The libvirtd that sends; its guest runs on and is found again.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(here)
        self.rig.start_libvirtd(here)
        self.assert_is_at(uuid, here)
        # The one that receives.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(there)
        self.rig.start_libvirtd(there)
        self.assert_is_at(uuid, here)
        # Nothing: on request it ends, and after that it can move.
        here, there = self.begin(uuid)
        moves = self.user.ask('GET', f'/servers/{uuid}/migrations')
        (move,) = moves['migrations']
        self.user.ask('DELETE', f'/servers/{uuid}/migrations/{move["id"]}')
        self.assert_is_at(uuid, here)
        here, there = self.begin(uuid)
        self.assert_is_at(uuid, there)

    def test_forced(self):
        uuid, _ = self.boot('minova.dirty=8', flavor='roomy')
        _, there = self.begin(uuid)
        (move,) = self.user.ask('GET', f'/servers/{uuid}/migrations')[
            'migrations'
        ]
        self.user.ask(
            'POST',
            f'/servers/{uuid}/migrations/{move["id"]}/action',
            {'force_complete': None},
        )
        self.assert_is_at(uuid, there)
        self.assertEqual('yes', self.rig.wait_for_count(there, uuid).kept)

    def test_the_guest_itself(self):
        uuid, _ = self.boot()
        here, there = self.begin(uuid)
        self.rig.kill_guest(here, uuid)
        self.wait_for(lambda: self.rig.runners(uuid) == [])
        self.user.wait(uuid, 'SHUTOFF', 120)
        self.assertEqual(here, self.user.host(uuid))
        self.wait_for(lambda: not self.rig.files()[there])
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            self.before.disk, self.rig.wait_for_count(here, uuid).disk
        )


class ConvergeTest(QemuTestCase):
    """A guest changes its memory faster than it can be copied."""

    #: MiB that it changes each second, and MiB/s that may be copied.
    dirty, copied = 24, 12

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(
            host, wait, libvirt={'migration_bandwidth': self.copied} | more
        )

    def restart(self, **options):
        """Let the computes have other options."""
        for host, service in self.computes.items():
            service.terminate()
            self.computes[host] = self.start_compute(host, **options)

    def begin(self):
        self.uuid, self.here = self.boot(
            f'minova.dirty={self.dirty}', flavor='roomy'
        )
        self.there = self.other(self.here)
        self.before = self.rig.counts(self.here, self.uuid)[-1]
        self.user.live_migrate(self.uuid)

    def assert_arrives(self):
        self.user.wait(self.uuid, 'ACTIVE', 240)
        self.assertEqual(self.there, self.user.host(self.uuid))
        count = self.rig.wait_for_count(self.there, self.uuid)
        self.assertEqual(
            (self.before.boot, self.before.memory, 'yes'),
            (count.boot, count.memory, count.kept),
        )
        self.assert_runs_once(self.uuid, self.there)

    def ask(self, host, question):
        """Ask libvirt about the guest; {} where it is not."""
        opened = libvirt.open(self.rig.hosts[host].uri)
        try:
            return question(opened.lookupByUUIDString(self.uuid))
        except libvirt.libvirtError:
            return {}
        finally:
            opened.close()

    def test_it_is_slowed_down(self):
        self.begin()
        self.wait_for(
            lambda: self.ask(self.here, lambda one: one.jobStats()).get(
                'auto_converge_throttle', 0
            )
        )
        self.assert_arrives()

    def test_it_goes_on_there_before_all_is_there(self):
        self.restart(migration_auto_converge=False, migration_post_copy=True)
        self.begin()
        # By itself it does not come to an end.
        self.wait_for(
            lambda: (
                self.ask(self.here, lambda one: one.jobStats()).get(
                    'memory_iteration', 0
                )
                > 4
            )
        )
        (move,) = self.user.ask('GET', f'/servers/{self.uuid}/migrations')[
            'migrations'
        ]
        self.user.ask(
            'POST',
            f'/servers/{self.uuid}/migrations/{move["id"]}/action',
            {'force_complete': None},
        )
        self.wait_for(
            lambda: (
                self.ask(self.there, lambda one: one.state())
                == [
                    libvirt.VIR_DOMAIN_RUNNING,
                    libvirt.VIR_DOMAIN_RUNNING_POSTCOPY,
                ]
            )
        )
        self.assert_arrives()


class AllInOneTest(test_allinone.AllInOneTestCase):
    """Real hosts below the data directory; they outlive the process."""

    time_limit = 300

    def test_guests_are_real(self):
        place = os.path.join(self.data, 'rig')
        self.addCleanup(hosts.down, place)
        service = self.start('--hypervisor=qemu')
        self.assertIn(f'minova-rig --directory {place} down', service.said())
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
        # Nobody looks after it for a while, and it is found again.
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
            one.name for one in hosts.known(place) for _ in hosts.guests(one)
        ]

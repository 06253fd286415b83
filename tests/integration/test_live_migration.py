# SPDX-License-Identifier: Apache-2.0
"""Real guests move while they run: how, and what is broken meanwhile."""

import os
import subprocess

import libvirt

from minova.virt.libvirt import events
from tests.fixtures import certificates
from tests.integration.qemu import QemuTestCase


class SharedTest(QemuTestCase):
    """Hosts that see one directory: nothing is copied."""

    shared = True

    def test_shared_storage(self):
        uuid, here = self.boot()
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        path = os.path.join(self.rig.instances_path(here), uuid, 'disk')
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
        (last, *_) = self.user.request(
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
        tls = {'libvirt': {'live_migration_with_native_tls': True}}
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
        self.wait_for(lambda: not self.rig.guest_directories()[here])
        emitted = subprocess.check_output(
            [*self.manage, 'timeline', uuid], text=True
        )
        self.assertIn('certificate', emitted)


class LiveMigrationTestCase(QemuTestCase):
    """Moves that are looked at, and can be told to go faster."""

    def query_job(self, host, uuid, question):
        """Ask a host's libvirt about a guest; None where it is not."""
        opened = libvirt.open(self.rig.hosts[host].live_migration_uri)
        try:
            return question(opened.lookupByUUIDString(uuid))
        except libvirt.libvirtError:
            return None
        finally:
            opened.close()

    def job_value(self, host, uuid, name):
        """Return a figure of the move, as the source's libvirt has it."""
        figures = self.query_job(host, uuid, lambda domain: domain.jobStats())
        return (figures or {}).get(name, 0)

    def lower_bandwidth_limit(self, host, uuid):
        """Let a move that was to be seen under way come to its end soon."""
        # What is said before memory is sent does not count.
        self.wait_for(
            lambda: (
                self.job_value(host, uuid, 'memory_processed') > 0
                or host not in self.rig.hosts_running(uuid)
            )
        )
        # MiB/s
        self.query_job(
            host, uuid, lambda domain: domain.migrateSetMaxSpeed(1000)
        )


class KillTest(LiveMigrationTestCase):
    """What is killed while a guest moves, in the order of the chain."""

    #: Slow enough to be seen under way.
    slowly = {'libvirt': {'live_migration_bandwidth': 4}}

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(host, wait, **(more or self.slowly))

    def begin(self, uuid):
        """Begin to move a guest; return when both hosts have it."""
        here = self.user.host(uuid)
        self.assert_runs_once(uuid, here)
        self.before = self.rig.counts(here, uuid)[-1]
        self.user.live_migrate(uuid)
        self.wait_for(lambda: len(self.rig.hosts_running(uuid)) == 2)
        return here, self.other(here)

    def end_of_migration(self, uuid):
        """Return what is said of how a guest's last move ended."""
        path = f'/os-migrations?instance_uuid={uuid}'

        def status():
            moves = self.user.request('GET', path)['migrations']
            return max(moves, key=lambda move: move['id'])['status']

        # The source may still clean up.
        self.wait_for(lambda: status() in ('completed', 'error', 'cancelled'))
        return status()

    def restart(self, *hosts):
        for host in hosts:
            service = self.computes[host]
            ready = service.log_text().count('is ready.')
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
        self.wait_for(
            lambda: not self.rig.guest_directories()[self.other(host)]
        )

    def test_services(self):
        uuid, _ = self.boot()
        # The source's, in the middle of it.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.restart(here)
        self.lower_bandwidth_limit(here, uuid)
        self.assert_is_at(uuid, there)
        # The destination's; it is needed in the end only.
        here, there = self.begin(uuid)
        self.computes[there].kill()
        self.lower_bandwidth_limit(here, uuid)
        self.wait_for(lambda: self.rig.hosts_running(uuid) == [there])
        self.restart(there)
        self.assert_is_at(uuid, there)
        # Both, until libvirt has done it alone.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.computes[there].kill()
        self.lower_bandwidth_limit(here, uuid)
        self.wait_for(lambda: self.rig.hosts_running(uuid) == [there])
        self.restart(here, there)
        self.assert_is_at(uuid, there)

    def test_hypervisors(self):
        uuid, _ = self.boot()
        # The guest that is coming.
        here, there = self.begin(uuid)
        self.rig.kill_guest(there, uuid)
        self.assert_is_at(uuid, here)
        self.assertEqual('error', self.end_of_migration(uuid))
        # The libvirtd that sends; its guest runs on and is found again. When
        # somebody has asked meanwhile nobody knows what came of the move: it
        # is begun anew, unless what is left of it there is in the way.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(here)
        self.rig.start_libvirtd(here)
        self.user.wait(uuid, 'ACTIVE', 180)
        moved = self.end_of_migration(uuid) == 'completed'
        self.assert_is_at(uuid, there if moved else here)
        # The one that receives.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(there)
        self.rig.start_libvirtd(there)
        self.assert_is_at(uuid, here)
        # Nothing: on request it ends, and after that it can move.
        here, there = self.begin(uuid)
        self.user.request('DELETE', self.migration(uuid))
        self.assert_is_at(uuid, here)
        here, there = self.begin(uuid)
        self.lower_bandwidth_limit(here, uuid)
        self.assert_is_at(uuid, there)
        self.assertEqual('completed', self.end_of_migration(uuid))

    def test_forced(self):
        uuid, _ = self.boot('minova.dirty=8', flavor='roomy')
        here, there = self.begin(uuid)
        self.force(uuid)
        # It stands still, and is only copied from then on.
        paused = libvirt.VIR_DOMAIN_PAUSED
        self.wait_for(
            lambda: (
                self.query_job(here, uuid, lambda d: d.state()[0]) == paused
            )
        )
        self.lower_bandwidth_limit(here, uuid)
        self.assert_is_at(uuid, there)
        self.assertEqual('yes', self.rig.wait_for_count(there, uuid).kept)

    def test_the_guest_itself(self):
        uuid, _ = self.boot()
        here, there = self.begin(uuid)
        self.rig.kill_guest(here, uuid)
        self.wait_for(lambda: self.rig.hosts_running(uuid) == [])
        self.user.wait(uuid, 'SHUTOFF', 120)
        self.assertEqual(here, self.user.host(uuid))
        self.wait_for(lambda: not self.rig.guest_directories()[there])
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            self.before.disk, self.rig.wait_for_count(here, uuid).disk
        )


class ConvergeTest(LiveMigrationTestCase):
    """A guest changes its memory faster than it can be copied."""

    #: MiB/s that may be copied.
    copied = 12

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(
            host,
            wait,
            libvirt={'live_migration_bandwidth': self.copied} | more,
        )

    def restart(self, **options):
        """Let the computes have other options."""
        for host, service in self.computes.items():
            service.terminate()
            self.computes[host] = self.start_compute(host, **options)

    def begin(self, dirty):
        """Begin to move a guest that changes so many MiB each second."""
        self.uuid, self.here = self.boot(
            f'minova.dirty={dirty}', flavor='roomy'
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

    def wait_for_figure(self, name, more_than):
        self.wait_for(
            lambda: self.job_value(self.here, self.uuid, name) > more_than
        )

    def test_auto_converge(self):
        self.begin(24)
        self.wait_for_figure('auto_converge_throttle', 0)
        self.assert_arrives()

    def wait_for_console(self, host):
        """Return where what happens to guests of a host is noted."""
        events.event_loop.acquire()
        self.addCleanup(events.event_loop.release)
        opened = libvirt.open(self.rig.hosts[host].live_migration_uri)
        self.addCleanup(opened.close)
        received = []
        number = opened.domainEventRegisterAny(
            None,
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lambda _, domain, event, detail, __: received.append(
                (event, detail)
            ),
            None,
        )
        self.addCleanup(opened.domainEventDeregisterAny, number)
        return received

    def test_post_copy(self):
        self.restart(
            live_migration_permit_auto_converge=False,
            live_migration_permit_post_copy=True,
        )
        # So many that it cannot come to an end by itself.
        self.begin(96)
        received = self.wait_for_console(self.here)
        self.wait_for_figure('memory_iteration', 2)
        self.force(self.uuid)
        self.assert_arrives()
        stood = libvirt.VIR_DOMAIN_EVENT_SUSPENDED
        behind = libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY
        self.assertIn((stood, behind), received)

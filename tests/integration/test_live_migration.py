# SPDX-License-Identifier: Apache-2.0
"""Live migration of real guests, with and without faults."""

import os
import subprocess

import libvirt

from minova.virt.libvirt import events
from tests.fixtures import certificates
from tests.integration.qemu import QemuTestCase


class SharedTest(QemuTestCase):
    """Hosts with a shared directory: no disk is copied."""

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
        # An impossible request is refused with its reason.
        self.user.live_migrate(uuid, block=True)
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(there, self.user.host(uuid))
        (last, *_) = self.user.request(
            'GET', f'/servers/{uuid}/os-instance-actions'
        )['instanceActions']
        self.assertEqual('live-migration', last['action'])
        self.assertIn('is on shared storage', last['message'])
        # Cold migration: the disk is sent and a copy is retained.
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
    """The migration stream is encrypted."""

    tls = True

    def start_compute(self, host, wait=True, **more):
        tls = {'libvirt': {'live_migration_with_native_tls': True}}
        return super().start_compute(host, wait, **tls)

    def test_certificates(self):
        uuid, here = self.boot()
        there = self.other(here)
        self.assertEqual(there, self.live_migrate(uuid))
        self.rig.wait_for_count(there, uuid)
        # With a certificate of another authority the guest stays.
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
    """Progress and tuning of running migrations."""

    def query_job(self, host, uuid, question):
        """Read a guest from a host's libvirt; None if it is not there."""
        opened = libvirt.open(self.rig.hosts[host].uri)
        try:
            return question(opened.lookupByUUIDString(uuid))
        except libvirt.libvirtError:
            return None
        finally:
            opened.close()

    def job_value(self, host, uuid, name):
        """Return a statistic of the migration from the source's libvirt."""
        figures = self.query_job(host, uuid, lambda domain: domain.jobStats())
        return (figures or {}).get(name, 0)

    def lower_bandwidth_limit(self, host, uuid):
        """Remove the bandwidth limit so that the migration ends soon."""
        # The limit has no effect before memory is sent.
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
    """Processes that are killed during a migration, in flow order."""

    #: Slow enough to be observed.
    slowly = {'libvirt': {'live_migration_bandwidth': 4}}

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(host, wait, **(more or self.slowly))

    def begin(self, uuid):
        """Begin a live migration; return when both hosts have the guest."""
        here = self.user.host(uuid)
        self.assert_runs_once(uuid, here)
        self.before = self.rig.counts(here, uuid)[-1]
        self.user.live_migrate(uuid)
        self.wait_for(lambda: len(self.rig.hosts_running(uuid)) == 2)
        return here, self.other(here)

    def end_of_migration(self, uuid):
        """Return the fault text of the last migration."""
        path = f'/os-migrations?instance_uuid={uuid}'

        def status():
            migrations = self.user.request('GET', path)['migrations']
            return max(migrations, key=lambda migration: migration['id'])[
                'status'
            ]

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
        """The guest is the same, runs only there, and left nothing behind."""
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
        # The compute of the source, midway.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.restart(here)
        self.lower_bandwidth_limit(here, uuid)
        self.assert_is_at(uuid, there)
        # The compute of the destination; it is needed only at the end.
        here, there = self.begin(uuid)
        self.computes[there].kill()
        self.lower_bandwidth_limit(here, uuid)
        self.wait_for(lambda: self.rig.hosts_running(uuid) == [there])
        self.restart(there)
        self.assert_is_at(uuid, there)
        # Both computes, until libvirt has finished.
        here, there = self.begin(uuid)
        self.computes[here].kill()
        self.computes[there].kill()
        self.lower_bandwidth_limit(here, uuid)
        self.wait_for(lambda: self.rig.hosts_running(uuid) == [there])
        self.restart(here, there)
        self.assert_is_at(uuid, there)

    def test_hypervisors(self):
        uuid, _ = self.boot()
        # The incoming guest process.
        here, there = self.begin(uuid)
        self.rig.kill_guest(there, uuid)
        self.assert_is_at(uuid, here)
        self.assertEqual('error', self.end_of_migration(uuid))
        # The libvirtd of the source; the guest keeps running and is found
        # again. If a call failed meanwhile the outcome is uncertain: the
        # migration restarts unless leftovers at the destination prevent it.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(here)
        self.rig.start_libvirtd(here)
        self.user.wait(uuid, 'ACTIVE', 180)
        completed = self.end_of_migration(uuid) == 'completed'
        self.assert_is_at(uuid, there if completed else here)
        # The libvirtd of the destination.
        here, there = self.begin(uuid)
        self.rig.kill_libvirtd(there)
        self.rig.start_libvirtd(there)
        self.assert_is_at(uuid, here)
        # No fault: an abort works, and a later migration too.
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
        # The guest is paused and copied without further changes.
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
    """The guest writes memory faster than the migration copies it."""

    #: The bandwidth limit in MiB/s.
    copied = 12

    def start_compute(self, host, wait=True, **more):
        return super().start_compute(
            host,
            wait,
            libvirt={'live_migration_bandwidth': self.copied} | more,
        )

    def restart(self, **options):
        """Restart the computes with other options."""
        for host, service in self.computes.items():
            service.terminate()
            self.computes[host] = self.start_compute(host, **options)

    def begin(self, dirty):
        """Begin to migrate a guest that writes this many MiB a second."""
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
        """Return the log file of the guest events of a host."""
        events.event_loop.acquire()
        self.addCleanup(events.event_loop.release)
        opened = libvirt.open(self.rig.hosts[host].uri)
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
        # So many that the migration cannot converge.
        self.begin(96)
        received = self.wait_for_console(self.here)
        self.wait_for_figure('memory_iteration', 2)
        self.force(self.uuid)
        self.assert_arrives()
        stood = libvirt.VIR_DOMAIN_EVENT_SUSPENDED
        behind = libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY
        self.assertIn((stood, behind), received)

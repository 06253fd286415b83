# SPDX-License-Identifier: Apache-2.0
"""The cloud on embedded libvirt hosts: user actions, end to end.

Only the broker and, inside libvirt, the machines are replaced.
"""

import os
from xml.etree import ElementTree

from minova import states
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import begin
from minova.objects.operation_params import CreateParams
from minova.objects.step_args import LiveMigrateArgs
from minova.states import PowerState
from minova.virt import loader
from minova.virt.libvirt.embedded import live_migration
from tests import base
from tests.fixtures.cloud import Cloud
from tests.unit.images import base as images_base

IMAGE = '22222222-3333-4444-8555-666666666666'
KERNEL = '33333333-4444-4555-8666-777777777777'
RAMDISK = '44444444-5555-4666-8777-888888888888'
CONTENT = b'boot sector' + bytes(5000) + b'the rest'
DATA = {IMAGE: CONTENT, KERNEL: b'the kernel', RAMDISK: b'its ramdisk'}


class FewImages:
    """An image service with a few images."""

    def show(self, context, image_id):
        return images_base.image(id=image_id, size=len(DATA[image_id]))

    def download(self, context, image_id, path):
        with open(path, 'wb') as file:
            file.write(DATA[image_id])


class EmbeddedCloud(Cloud):
    """Embedded hosts instead of fake ones."""

    def driver(self, host):
        """Return the driver that the configuration selects."""
        return loader.load_driver(host)

    def start_compute(self, host):
        """Start the compute of a host, with images."""
        service = self.compute_service(host, images=FewImages())
        service.start()
        self.register_compute(host, service)
        return service

    def boot_image(self, image, **values):
        """Create an instance from an image; return its uuid."""
        context = self.context()
        instance = begin.new_instance(
            context,
            self.flavor(),
            display_name='server',
            hostname='server',
            reservation_id='r-1',
            image_ref=image,
            **values,
        )
        begun = self.database.write(
            lambda c: begin.create(
                c, context, instance, 'api.api', CreateParams()
            )
        )
        self.waker.wake(context, begun.wakeups)
        self.settle(instance.uuid)
        return instance.uuid

    def restart_compute(self, host):
        """Restart the compute of a host."""
        self.stop(self.computes[host])
        self.start_compute(host)
        self.wait_registered(host)


class EmbeddedHostsTest(base.TestCase):
    """Two embedded hosts."""

    def setUp(self):
        super().setUp()
        self.config(group='compute', compute_driver='libvirt')
        self.config(
            group='libvirt',
            connection_uri='test:///',
            embedded_migration_seconds=0.2,
        )
        self.cloud = self.useFixture(EmbeddedCloud())

    # -- reading -------------------------------------------------------------

    def driver(self, host):
        return self.cloud.computes[host].driver

    def guest(self, uuid):
        """Return the hosts where the guest runs, and the guest there."""
        found = [
            (host, guest)
            for host in 'ab'
            if (guest := self.driver(host).guest(uuid)) is not None
            and guest.power in (PowerState.RUNNING, PowerState.PAUSED)
        ]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else (None, None)

    def definition(self, uuid):
        """Return the libvirt domain on the instance's host."""
        host = self.cloud.instance(uuid).host
        opened = self.driver(host).connection.get()
        return opened.lookupByUUIDString(uuid)

    def disk(self, host, uuid, aside=False):
        return os.path.join(
            self.directory,
            'embedded',
            host,
            'instances',
            f'{uuid}_resize' if aside else uuid,
            'disk',
        )

    def assert_ended(self, uuid, vm_state, host=None):
        instance = self.cloud.settle(uuid)
        self.assertEqual(vm_state, instance.vm_state)
        self.assertIsNone(instance.task_state)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual(('done', None), (last.state, last.error))
        if host is not None:
            self.assertEqual(host, instance.host)
        return instance

    def assert_runs(self, uuid, vm_state=states.ACTIVE):
        """The guest runs on its host with the last definition."""
        instance = self.assert_ended(uuid, vm_state)
        host, guest = self.guest(uuid)
        self.assertEqual(instance.host, host)
        self.assertEqual(PowerState.RUNNING, guest.power)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        return host, guest

    def assert_off(self, uuid, vm_state):
        instance = self.assert_ended(uuid, vm_state)
        self.assertEqual((None, None), self.guest(uuid))
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)

    def assert_nowhere(self, uuid):
        for host in 'ab':
            self.assertIsNone(self.driver(host).guest(uuid))
            for aside in (False, True):
                self.assertFalse(os.path.exists(self.disk(host, uuid, aside)))

    def booted(self):
        """Return an instance, its host and the other one."""
        uuid = self.cloud.boot()
        host, _ = self.assert_runs(uuid)
        return uuid, host, 'b' if host == 'a' else 'a'

    def mark_disk(self, uuid, text=b'written by the guest'):
        """Write to the disk of the guest."""
        host = self.cloud.instance(uuid).host
        with open(self.disk(host, uuid), 'r+b') as file:
            file.seek(100000)
            file.write(text)

    def marked(self, host, uuid):
        with open(self.disk(host, uuid), 'rb') as file:
            file.seek(100000)
            return file.read(100).rstrip(b'\0')

    # -- a user's day --------------------------------------------------------

    def test_hosts_are_known_by_names_of_their_own(self):
        rows = self.cloud.read(hosts.list_hosts)
        self.assertEqual({'a', 'b'}, {row.hypervisor_hostname for row in rows})
        self.assertEqual({'TEST'}, {row.hypervisor_type for row in rows})

    def test_create_and_delete(self):
        uuid, host, _ = self.booted()
        domain = self.definition(uuid)
        self.assertEqual(1, domain.maxVcpus())
        self.assertEqual(512 * 1024, domain.maxMemory())
        _, guest = self.guest(uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual(last.id, guest.operation)
        self.assertEqual(1 << 30, os.path.getsize(self.disk(host, uuid)))
        self.cloud.delete(uuid)
        self.assert_ended(uuid, states.DELETED)
        self.assert_nowhere(uuid)

    def test_create_from_an_image(self):
        uuid = self.cloud.boot_image(IMAGE)
        host, _ = self.assert_runs(uuid)
        with open(self.disk(host, uuid), 'rb') as file:
            self.assertEqual(CONTENT, file.read(len(CONTENT)))
        self.assertEqual(1 << 30, os.path.getsize(self.disk(host, uuid)))

    def test_kernel_beside_the_disk(self):
        meta = {'kernel_id': KERNEL, 'ramdisk_id': RAMDISK}
        uuid = self.cloud.boot_image(
            IMAGE, kernel_id=KERNEL, ramdisk_id=RAMDISK, image_meta=meta
        )
        host = self.cloud.instance(uuid).host
        self.assert_kernel(host, uuid)
        # The files follow the disks.
        self.cloud.resize(uuid, self.cloud.flavor(name='big', root_gb=3))
        instance = self.assert_ended(uuid, states.RESIZED)
        self.assertNotEqual(host, instance.host)
        self.assert_kernel(instance.host, uuid)

    def assert_kernel(self, host, uuid):
        folder = os.path.dirname(self.disk(host, uuid))
        root = ElementTree.fromstring(self.definition(uuid).XMLDesc())
        for tag, name, image in (
            ('kernel', 'kernel', KERNEL),
            ('initrd', 'ramdisk', RAMDISK),
        ):
            path = os.path.join(folder, name)
            self.assertEqual(path, root.findtext(f'os/{tag}'))
            with open(path, 'rb') as file:
                self.assertEqual(DATA[image], file.read())

    def test_image_cache_expiry(self):
        self.config(
            group='compute',
            image_cache_max_age=1,
            image_cache_manager_interval=1,
        )
        for host in 'ab':
            self.cloud.restart_compute(host)
        for _ in range(2):
            self.assert_runs(self.cloud.boot_image(IMAGE))
            folder = os.path.join(self.directory, 'image-cache')
            self.assertTrue(os.path.isdir(folder))
            # These hosts copy images and use no backing files.
            cached = os.path.join(folder, IMAGE)
            self.cloud.wait_for(lambda c=cached: not os.path.exists(c))

    def test_stop_and_start(self):
        uuid, _, _ = self.booted()
        boot = self.guest(uuid)[1].boot
        self.cloud.begin('stop', uuid)
        self.assert_off(uuid, states.STOPPED)
        self.cloud.begin('start', uuid)
        _, guest = self.assert_runs(uuid)
        self.assertEqual(boot + 1, guest.boot)

    def test_pause_and_unpause(self):
        uuid, _, _ = self.booted()
        self.cloud.begin('pause', uuid)
        self.assert_ended(uuid, states.PAUSED)
        self.assertEqual(PowerState.PAUSED, self.guest(uuid)[1].power)
        self.cloud.begin('unpause', uuid)
        self.assert_runs(uuid)

    def test_both_reboots(self):
        uuid, _, _ = self.booted()
        boot = self.guest(uuid)[1].boot
        for number, kind in enumerate(('reboot_soft', 'reboot_hard'), 1):
            self.cloud.begin(kind, uuid)
            _, guest = self.assert_runs(uuid)
            self.assertEqual(boot + number, guest.boot)

    def test_a_guest_that_switches_itself_off(self):
        uuid, _, _ = self.booted()
        self.definition(uuid).shutdown()
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.STOPPED
        )
        self.assert_off(uuid, states.STOPPED)

    # -- migrations ----------------------------------------------------------

    def test_live_migration(self):
        uuid, source, dest = self.booted()
        self.mark_disk(uuid)
        boot = self.guest(uuid)[1].boot
        self.cloud.begin('live_migrate', uuid)
        host, guest = self.assert_runs(uuid)
        self.assertEqual((dest, boot), (host, guest.boot))
        self.assertEqual(b'written by the guest', self.marked(dest, uuid))
        self.assertFalse(os.path.exists(self.disk(source, uuid)))
        self.assertIsNone(self.driver(source).guest(uuid))
        self.assertEqual('completed', self.cloud.last_migration(uuid).status)
        # The API shows the mode of the migration.
        last = self.cloud.operations(uuid)[-1]
        steps = self.cloud.read(operations.list_steps, last.id)
        agreed = [
            step.args.migrate_data
            for step in steps
            if isinstance(step.args, LiveMigrateArgs)
        ]
        self.assertEqual(
            {live_migration.SIMULATION_NOTICE},
            {one.simulation_notice for one in agreed},
        )
        self.assertIn('simulated live migration', self.log.output)
        # Back to the first host.
        self.cloud.begin('live_migrate', uuid)
        host, guest = self.assert_runs(uuid)
        self.assertEqual((source, boot), (host, guest.boot))

    def test_live_migration_of_a_paused_guest(self):
        uuid, _, dest = self.booted()
        self.cloud.begin('pause', uuid)
        self.cloud.begin('live_migrate', uuid)
        self.assert_ended(uuid, states.PAUSED, dest)
        self.assertEqual(dest, self.guest(uuid)[0])

    def test_abort(self):
        self.config(group='libvirt', embedded_migration_seconds=3600)
        uuid, source, dest = self.booted()
        boot = self.guest(uuid)[1].boot
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.driver(source).migration_status(uuid).state == 'running'
            )
        )
        self.cloud.begin('abort_live_migrate', uuid)
        self.assertEqual('cancelled', self.cloud.last_migration(uuid).status)
        host, guest = self.guest(uuid)
        self.assertEqual((source, boot), (host, guest.boot))
        self.assertEqual([], self.driver(dest).guests())
        self.assertFalse(os.path.exists(self.disk(dest, uuid)))

    def test_the_source_restarts_in_a_live_migration(self):
        self.config(group='libvirt', embedded_migration_seconds=1.5)
        uuid, source, dest = self.booted()
        boot = self.guest(uuid)[1].boot
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.driver(source).migration_status(uuid).state == 'running'
            )
        )
        self.cloud.restart_compute(source)
        self.cloud.settle(uuid)
        host, guest = self.assert_runs(uuid)
        self.assertEqual((dest, boot), (host, guest.boot))

    def test_the_destination_restarts_in_a_live_migration(self):
        self.config(group='libvirt', embedded_migration_seconds=1.5)
        uuid, source, dest = self.booted()
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.driver(source).migration_status(uuid).state == 'running'
            )
        )
        self.cloud.restart_compute(dest)
        self.cloud.settle(uuid)
        self.assertEqual(dest, self.assert_runs(uuid)[0])

    def resized(self):
        uuid, source, dest = self.booted()
        self.mark_disk(uuid)
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big)
        host, _ = self.assert_runs(uuid, states.RESIZED)
        self.assertEqual(dest, host)
        return uuid, source, dest

    def test_resize_and_confirm(self):
        uuid, source, dest = self.resized()
        self.assertEqual(5 << 30, os.path.getsize(self.disk(dest, uuid)))
        self.assertEqual(b'written by the guest', self.marked(dest, uuid))
        self.assertEqual(1024 * 1024, self.definition(uuid).maxMemory())
        self.assertTrue(os.path.exists(self.disk(source, uuid, aside=True)))
        self.cloud.confirm(uuid)
        host, _ = self.assert_runs(uuid)
        self.assertEqual(dest, host)
        self.assertFalse(os.path.exists(self.disk(source, uuid, aside=True)))
        self.assertIsNone(self.driver(source).guest(uuid))

    def test_resize_and_revert(self):
        uuid, source, dest = self.resized()
        self.mark_disk(uuid, b'of no use now')
        self.cloud.revert(uuid)
        host, _ = self.assert_runs(uuid)
        self.assertEqual(source, host)
        self.assertEqual(b'written by the guest', self.marked(source, uuid))
        self.assertEqual(1 << 30, os.path.getsize(self.disk(source, uuid)))
        self.assertEqual(512 * 1024, self.definition(uuid).maxMemory())
        self.assertIsNone(self.driver(dest).guest(uuid))
        self.assertFalse(os.path.exists(self.disk(dest, uuid)))

    def test_resize_on_the_same_host(self):
        self.config(group='scheduler', allow_resize_to_same_host=True)
        uuid, host, _ = self.booted()
        self.mark_disk(uuid)
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big, host=host)
        self.assert_runs(uuid, states.RESIZED)
        self.mark_disk(uuid, b'of no use now')
        self.cloud.revert(uuid)
        self.assertEqual(host, self.assert_runs(uuid)[0])
        self.assertEqual(b'written by the guest', self.marked(host, uuid))
        self.assertEqual(1 << 30, os.path.getsize(self.disk(host, uuid)))

    # -- restarts ------------------------------------------------------------

    def test_guests_outlive_their_compute(self):
        runs, paused, off = (self.cloud.boot(host='a') for _ in range(3))
        self.cloud.begin('pause', paused)
        self.cloud.begin('stop', off)
        uuids = (runs, paused, off)
        before = [self.driver('a').guest(uuid) for uuid in uuids]
        emitted = [len(self.cloud.notifications(uuid)) for uuid in uuids]
        self.cloud.restart_compute('a')
        self.assertEqual(
            before, [self.driver('a').guest(uuid) for uuid in uuids]
        )
        self.assertEqual(3, len(self.driver('a').guests()))
        # The first comparison after the start corrects no power state.
        self.cloud.computes['a'].reconciler.reconcile()
        self.assertEqual(
            emitted, [len(self.cloud.notifications(u)) for u in uuids]
        )
        self.cloud.begin('unpause', paused)
        self.cloud.begin('start', off)
        for uuid in uuids:
            self.assert_runs(uuid)

    def test_requests_while_compute_is_down(self):
        uuid, host, _ = self.booted()
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.begin('reboot_hard', uuid, wait=False)
        self.cloud.start_compute(host)
        self.cloud.settle(uuid)
        _, guest = self.assert_runs(uuid)
        self.assertEqual(2, guest.boot)

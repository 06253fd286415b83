# SPDX-License-Identifier: Apache-2.0
"""Live migration between QEMU hosts: checks, errors and libvirt calls."""

import os
from unittest import mock
from xml.etree import ElementTree

import fixtures
import libvirt

from minova import clock
from minova import exception
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.live_migrate_data import QemuDestination
from minova.objects.live_migrate_data import QemuMigrateData
from minova.objects.live_migrate_data import StorageProbe
from minova.virt import qemu_version
from minova.virt.driver import Peer
from minova.virt.libvirt import spice
from minova.virt.libvirt.qemu import live_migration
from minova.virt.libvirt.qemu import live_migration_checks
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu.disk_ownership import OWNER_FILE
from tests import base
from tests.unit.virt.libvirt.fake_libvirt import Domain
from tests.unit.virt.libvirt.fake_libvirt import EMULATOR
from tests.unit.virt.libvirt.fake_libvirt import HostsTestCase
from tests.unit.virt.libvirt.fake_libvirt import refusal
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

_GIB = 1 << 30
OLD, NEW = 7_002_000, 10_000_002


def destination(**values):
    """Return the description of a QEMU destination."""
    made = {
        'virt_type': 'qemu',
        'emulator': '',
        'qemu_version': NEW,
        'instances_path': '/instances',
        'image_cache_path': '/images',
        'vnc_listen': '127.0.0.1',
        'inbound_address': '192.0.2.1',
        'probe': StorageProbe(name='.probe-b', token='token'),
        'has_disks': False,
        'missing_base': None,
        'config_drive_digest': None,
        'free_bytes': 1 << 40,
        'disk_over_commit': False,
        'firmware': None,
        'has_spice': False,
    }
    return QemuDestination(**(made | values))


def qemu_data(**values):
    """Return how a guest migrates between two QEMU hosts."""
    made = {
        'destination': destination(),
        'disks': [],
        'mode': 'live',
        'tls': False,
        'config_drive': None,
        'incremental': False,
    }
    return QemuMigrateData(**(made | values))


class ModeTest(base.TestCase):
    """The mode of a migration, or its rejection."""

    def mode(self, here=NEW, there=NEW, kind='qemu', dest='qemu'):
        self.useFixture(
            fixtures.MockPatchObject(
                qemu_version, 'get_version', lambda path: here
            )
        )
        text = (
            f"<domain type='{kind}'><devices><emulator>{EMULATOR}"
            '</emulator></devices></domain>'
        )
        return live_migration_checks._migration_mode(
            ElementTree.fromstring(text),
            'b',
            destination(virt_type=dest, qemu_version=there),
        )

    def test_sound_at_both_ends(self):
        self.assertEqual('live', self.mode())
        self.assertEqual('live', self.mode(here=10_000_000))

    def test_an_old_one_at_either_end(self):
        for ends in ({'here': OLD}, {'there': OLD}, {'here': 9_999_999}):
            error = self.assertRaises(
                exception.MigrationPreCheckError, self.mode, **ends
            )
            self.assertIn('tcg_migration_policy', str(error))

    def test_tcg_migration_policy(self):
        for setting, mode in (
            ('pause', 'pause'),
            ('post-copy', 'post-copy'),
            ('trust', 'live'),
        ):
            self.config(group='libvirt', tcg_migration_policy=setting)
            self.assertEqual(mode, self.mode(here=OLD))
            self.assertEqual('live', self.mode())

    def test_kvm_is_not_affected(self):
        self.assertEqual('live', self.mode(OLD, OLD, 'kvm', 'kvm'))

    def test_guests_stay_on_what_they_run_on(self):
        for kinds in (('kvm', 'qemu'), ('qemu', 'kvm')):
            error = self.assertRaises(
                exception.MigrationPreCheckError, self.mode, NEW, NEW, *kinds
            )
            self.assertIn(f'virt_type {kinds[0]}', str(error))


class FlagsTest(base.TestCase):
    """The parameters that libvirt gets for migrate data."""

    ALWAYS = (
        libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    )
    LIVE = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_AUTO_CONVERGE

    def assert_flags(self, more, block_migration=True, **values):
        self.assertEqual(
            self.ALWAYS | more,
            live_migration._flags(qemu_data(**values), block_migration),
        )

    def test_disks(self):
        whole = libvirt.VIR_MIGRATE_NON_SHARED_DISK
        self.assert_flags(self.LIVE | whole)
        self.assert_flags(self.LIVE | whole, incremental=False)
        self.assert_flags(
            self.LIVE | libvirt.VIR_MIGRATE_NON_SHARED_INC, incremental=True
        )
        self.assert_flags(
            self.LIVE | libvirt.VIR_MIGRATE_UNSAFE, block_migration=False
        )

    def test_modes(self):
        whole = libvirt.VIR_MIGRATE_NON_SHARED_DISK
        self.assert_flags(whole, mode='pause')
        copy = self.LIVE | libvirt.VIR_MIGRATE_POSTCOPY | whole
        self.assert_flags(copy, mode='post-copy')
        self.config(group='libvirt', live_migration_permit_post_copy=True)
        self.assert_flags(copy)
        self.assert_flags(whole, mode='pause')
        self.config(
            group='libvirt',
            live_migration_permit_post_copy=False,
            live_migration_permit_auto_converge=False,
        )
        self.assert_flags(libvirt.VIR_MIGRATE_LIVE | whole)

    def test_tls(self):
        whole = libvirt.VIR_MIGRATE_NON_SHARED_DISK
        self.assert_flags(
            self.LIVE | whole | libvirt.VIR_MIGRATE_TLS, tls=True
        )


class DowntimeTest(base.TestCase):
    def test_steps(self):
        self.config(
            group='libvirt',
            live_migration_downtime=500,
            live_migration_downtime_delay=10,
        )
        for seconds, downtime in (
            (0, 50),
            (9.9, 50),
            (10, 100),
            (89, 450),
            (90, 500),
            (1e6, 500),
        ):
            self.assertEqual(downtime, live_migration._downtime(seconds))

    def test_at_once(self):
        self.config(
            group='libvirt',
            live_migration_downtime=500,
            live_migration_downtime_delay=0,
        )
        self.assertEqual(500, live_migration._downtime(0))

    def test_never_none(self):
        self.config(group='libvirt', live_migration_downtime=1)
        self.assertEqual(1, live_migration._downtime(0))


class LiveMigrationTestCase(HostsTestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MockPatchObject(
                qemu_version, 'get_version', lambda path: self.versions[path]
            )
        )

    def check(self, block=None, cpu_info=None, disk_over_commit=False):
        """Check at both hosts; return the migrate data."""
        answer = self.b.live_migration.check_can_live_migrate_destination(
            spec(),
            LiveMigrateSource(host='a', cpu_info=cpu_info or {}),
            block,
            disk_over_commit,
        )
        return self.a.live_migration.check_can_live_migrate_source(
            UUID, answer, block
        )

    def share(self, images=True):
        """Share the directories of a with b."""
        host_config = self.a.host_config
        other = os.path.join(self.directory, 'b', 'images')
        paths = (
            host_config.instances_path,
            host_config.image_cache_path if images else other,
        )
        self.b = self.open('b', paths=paths)

    def assert_refused(self, text, call, *words, kind=None, **more):
        error = self.assertRaises(
            kind or exception.MigrationPreCheckError, call, *words, **more
        )
        self.assertIn(text, str(error))


class DestinationCheckTest(LiveMigrationTestCase):
    def test_a_guest_is_still_there(self):
        self.b.boot()
        self.assert_refused(
            f'b still has a guest {UUID}',
            self.b.live_migration.check_can_live_migrate_destination,
            spec(),
            LiveMigrateSource(host='a', cpu_info={}),
            None,
            False,
        )

    def test_libvirt_refuses(self):
        self.b.connection.opened.getDomainCapabilities = mock.Mock(
            side_effect=refusal(libvirt.VIR_ERR_NO_SUPPORT, 'no such arch')
        )
        self.assert_refused('no such arch', self.check)

    def test_no_filters(self):
        self.b.connection.opened.nwfilterLookupByName = mock.Mock(
            side_effect=refusal(libvirt.VIR_ERR_NO_SUPPORT)
        )
        nic = {
            'mac': 'fa:16:3e:00:00:01',
            'label': 'private',
            'bridge': 'br0',
            'addresses': [],
        }
        check = self.b.live_migration.check_can_live_migrate_destination
        source = LiveMigrateSource(host='a', cpu_info={})
        self.assert_refused(
            'network private needs filters, and libvirt at',
            check,
            spec(nics=(nic,)),
            source,
            None,
            False,
        )
        nic['port_security_enabled'] = False
        check(spec(nics=(nic,)), source, None, False)

    def test_emulated_processors_are_not_compared(self):
        self.a.boot()
        self.check(cpu_info={'model': 'Skylake', 'arch': 'x86_64'})
        self.assertEqual([], self.b.connection.opened.compared)


class ProcessorTest(LiveMigrationTestCase):
    virt_type = 'kvm'
    TOLD = {
        'arch': 'x86_64',
        'model': 'Skylake',
        'vendor': 'Intel',
        'topology': {'sockets': 1, 'cores': 2, 'threads': 1, 'cells': 1},
        'features': ['avx2', 'vmx'],
    }

    def test_compatible_processor(self):
        self.a.boot()
        opened = self.b.connection.opened
        for result in (
            libvirt.VIR_CPU_COMPARE_IDENTICAL,
            libvirt.VIR_CPU_COMPARE_SUPERSET,
        ):
            opened.compares = result
            self.check(cpu_info=self.TOLD)
        cpu = ElementTree.fromstring(opened.compared[0])
        self.assertEqual('Skylake', cpu.findtext('model'))
        self.assertEqual('x86_64', cpu.findtext('arch'))
        self.assertEqual('Intel', cpu.findtext('vendor'))
        self.assertEqual(
            {'sockets': '1', 'cores': '2', 'threads': '1'},
            cpu.find('topology').attrib,
        )
        self.assertEqual(
            ['avx2', 'vmx'], [one.get('name') for one in cpu.iter('feature')]
        )

    def test_incompatible_processor(self):
        for result in (
            libvirt.VIR_CPU_COMPARE_INCOMPATIBLE,
            libvirt.VIR_CPU_COMPARE_ERROR,
        ):
            self.b.connection.opened.compares = result
            self.assert_refused(
                'the processor of b lacks',
                self.check,
                kind=exception.InvalidCPUInfo,
                cpu_info=self.TOLD,
            )

    def test_unknown_processor(self):
        self.a.boot()
        self.b.connection.opened.compares = libvirt.VIR_CPU_COMPARE_ERROR
        self.assertEqual('live', self.check(cpu_info={}).qemu.mode)


class SourceCheckTest(LiveMigrationTestCase):
    def test_guest_missing_or_off(self):
        self.assert_refused('does not run on a', self.check)
        self.a.boot()
        self.a.domain.power = (libvirt.VIR_DOMAIN_SHUTOFF, 0)
        self.assert_refused('does not run on a', self.check)

    def test_block(self):
        self.a.boot(ephemeral_gb=1)
        for block in (None, True):
            agreed = self.check(block)
            self.assertTrue(agreed.block_migration)
            self.assertEqual(
                ('b', 'a'), (agreed.dest_host, agreed.source_host)
            )
            self.assertEqual(
                [('disk', 'qcow2'), ('disk.ephemeral', 'raw')],
                [(disk.name, disk.format) for disk in agreed.qemu.disks],
            )
        self.assert_refused(
            'is not on shared storage: b does not share',
            self.check,
            False,
            kind=exception.InvalidLocalStorage,
        )

    def test_shared(self):
        self.share()
        self.a.boot()
        for block in (None, False):
            self.assertFalse(self.check(block).block_migration)
        self.assert_refused(
            'is on shared storage: a and b share',
            self.check,
            True,
            kind=exception.InvalidSharedStorage,
        )

    def test_disks_are_still_there(self):
        self.a.boot()
        self.b.disks.create_disks(spec(), None)
        self.assert_refused(f'b still has disks of {UUID}', self.check)
        # Also those of a third host with which b has its directory.
        self.b.disks.set_owner(UUID, 'c')
        self.assert_refused(f'b still has disks of {UUID}', self.check)

    def test_disk_full(self):
        self.a.boot(ephemeral_gb=1)
        self.useFixture(
            fixtures.MockPatchObject(
                live_migration_checks.shutil,
                'disk_usage',
                return_value=mock.Mock(free=_GIB),
            )
        )
        # The one is a whole GiB and nothing is in it.
        with mock.patch.object(Domain, 'blockInfo', return_value=[_GIB]):
            self.assert_refused(
                f'the disks of {UUID} need {2 * _GIB} bytes, b has {_GIB} '
                'bytes free',
                self.check,
            )
            self.check(disk_over_commit=True)
        self.useFixture(
            fixtures.MockPatchObject(
                live_migration_checks.shutil,
                'disk_usage',
                return_value=mock.Mock(free=1),
            )
        )
        self.assert_refused(
            'b has 1 bytes free', self.check, disk_over_commit=True
        )

    def test_destination_names_no_program(self):
        self.a.boot()
        answer = self.b.live_migration.check_can_live_migrate_destination(
            spec(), LiveMigrateSource(host='a', cpu_info={}), None, False
        )
        for address in ('h/x?command=/bin/sh&netcat=', 'root@h', '-oX=y'):
            bad = answer.replace(
                qemu=answer.qemu.replace(inbound_address=address)
            )
            error = self.assertRaises(
                exception.MigrationPreCheckError,
                self.a.live_migration.check_can_live_migrate_source,
                UUID,
                bad,
                None,
            )
            self.assertIn('neither an IP address nor', str(error))

    def test_preparation_changes_no_decision(self):
        self.config(group='libvirt', live_migration_with_native_tls=True)
        self.a.boot()
        agreed = self.check()
        other = agreed.replace(
            block_migration=False,
            qemu=agreed.qemu.replace(
                destination=destination(inbound_address='192.0.2.66'),
                disks=[],
                mode='post-copy',
                tls=False,
                incremental=True,
            ),
        )
        self.assertEqual(
            agreed.replace(qemu=agreed.qemu.replace(incremental=True)),
            agreed.with_preparation(other),
        )

    def test_source_decides_tls(self):
        self.a.boot()
        self.assertFalse(self.check().qemu.tls)
        self.config(group='libvirt', live_migration_with_native_tls=True)
        self.assertTrue(self.check().qemu.tls)


class SpiceTest(LiveMigrationTestCase):
    """A guest keeps its SPICE server, or does not migrate."""

    def boot_with_spice(self):
        self.a.boot()
        root = ElementTree.fromstring(self.a.domain.definition)
        spice.add_spice(root.find('devices'), '127.0.0.1')
        self.a.domain.definition = ElementTree.tostring(root, 'unicode')

    def test_destination_without(self):
        self.boot_with_spice()
        for enabled in (False, True):
            self.config('spice', enabled=enabled)
            self.assert_refused(
                'the guest has a SPICE server, and QEMU of b has no SPICE; '
                'install it there',
                self.check,
            )

    def test_destination_with(self):
        """Its own option is about guests that start there."""
        self.boot_with_spice()
        self.b.connection.opened.capabilities = (
            f'<c><path>{EMULATOR}</path><devices><graphics>'
            "<enum name='type'><value>spice</value></enum>"
            '</graphics></devices></c>'
        )
        self.assertTrue(self.check().qemu.destination.has_spice)

    def test_guest_without(self):
        self.a.boot()
        self.assertFalse(self.check().qemu.destination.has_spice)


class PreLiveMigrationTest(LiveMigrationTestCase):
    """Preparation and rollback at the destination."""

    def image(self, host, name='image-1'):
        path = os.path.join(host.host_config.image_cache_path, name)
        with open(path, 'wb') as file:
            file.write(b'x' * 4096)
        return path

    def boot_over_image(self):
        """Run a guest on a whose disk is an overlay of an image."""
        path = self.image(self.a)
        wanted = spec(image={'disk_format': 'raw'}, swap_mb=1)
        self.a.disks.create_disks(wanted, path)
        self.a.boot(image={'disk_format': 'raw'}, swap_mb=1)
        return wanted

    def over_image(self):
        """The same, with migrate data."""
        wanted = self.boot_over_image()
        sizes = {'disk': _GIB, 'disk.swap': 1 << 20}
        with mock.patch.object(
            Domain,
            'blockInfo',
            lambda _, path: [sizes[os.path.basename(path)]],
        ):
            return wanted, self.check()

    def test_over_the_same_image(self):
        wanted, agreed = self.over_image()
        path = self.image(self.b)
        prepare = self.b.live_migration.pre_live_migration
        self.assertTrue(prepare(wanted, agreed, path).qemu.incremental)
        folder = self.b.disks.guest_directory(UUID)
        disk = os.path.join(folder, 'disk')
        self.assertEqual(_GIB, qcow2.virtual_size(disk, 'qcow2'))
        self.assertEqual(
            path, qcow2.image_info(disk, 'qcow2')['full-backing-filename']
        )
        swap = os.path.join(folder, 'disk.swap')
        self.assertEqual(1 << 20, os.path.getsize(swap))
        self.assertEqual('b', self.b.disks.get_owner(UUID))
        # Asked again it finds what it has made.
        before = os.stat(disk).st_ino
        self.assertTrue(prepare(wanted, agreed, path).qemu.incremental)
        self.assertEqual(before, os.stat(disk).st_ino)
        self.assertEqual(
            {'console.log', 'disk', 'disk.swap', OWNER_FILE},
            set(os.listdir(folder)),
        )

    def test_plan_names_other_files(self):
        wanted, agreed = self.over_image()
        disk = agreed.qemu.disks[0]
        outside = os.path.join(self.directory, 'outside')
        os.mkdir(outside)
        before = sorted(os.listdir(self.b.host_config.instances_path))
        for change, text in (
            ({'name': '../../../outside/x'}, 'no disk'),
            ({'name': f'{outside}/x'}, 'no disk'),
            ({'name': OWNER_FILE}, 'no disk'),
            ({'name': 'disk.config'}, 'no disk'),
            ({'name': ''}, 'no disk'),
            ({'size': 0}, 'would have 0 bytes'),
            ({'size': -1}, 'would have -1 bytes'),
            ({'size': _GIB + 1}, 'at most'),
            ({'name': 'disk.swap', 'format': 'raw', 'size': 1 << 62}, 'most'),
            ({'format': 'raw'}, 'has the format qcow2'),
        ):
            plan = agreed.replace(
                qemu=agreed.qemu.replace(disks=[disk.replace(**change)])
            )
            error = self.assertRaises(
                exception.GuestMigrationFailed,
                self.b.live_migration.pre_live_migration,
                wanted,
                plan,
            )
            self.assertIn(text, str(error))
        for disks in ([], [disk, disk]):
            plan = agreed.replace(qemu=agreed.qemu.replace(disks=disks))
            self.assertRaises(
                exception.GuestMigrationFailed,
                self.b.live_migration.pre_live_migration,
                wanted,
                plan,
            )
        self.assertEqual([], os.listdir(outside))
        self.assertEqual(
            before, sorted(os.listdir(self.b.host_config.instances_path))
        )

    def test_over_another_image_or_none(self):
        wanted, agreed = self.over_image()
        for image in (None, self.image(self.b, 'image-2')):
            made = self.b.live_migration.pre_live_migration(
                wanted, agreed, image
            )
            self.assertFalse(made.qemu.incremental)
            disk = os.path.join(self.b.disks.guest_directory(UUID), 'disk')
            emitted = qcow2.image_info(disk, 'qcow2')
            self.assertNotIn('backing-filename', emitted)
            self.assertEqual(_GIB, emitted['virtual-size'])
            self.b.live_migration.rollback_live_migration_at_destination(
                UUID, agreed
            )
            self.assertFalse(
                os.path.exists(self.b.disks.guest_directory(UUID))
            )

    def test_shared(self):
        self.share()
        wanted, agreed = self.over_image()
        made = self.b.live_migration.pre_live_migration(wanted, agreed)
        binding = made.qemu.cpu_binding
        self.assertEqual(
            agreed.replace(qemu=agreed.qemu.replace(cpu_binding=binding)), made
        )
        self.assertIsNone(binding['placement'])
        self.assertEqual('a', self.b.disks.get_owner(UUID))

    def test_shared_without_the_image(self):
        # What b would find is found out before anything is begun.
        self.share()
        self.boot_over_image()
        path = os.path.join(self.a.host_config.image_cache_path, 'image-1')
        os.unlink(path)
        before = os.listdir(self.a.host_config.instances_path)
        for block in (None, False):
            self.assert_refused(
                f'b shares the disk but lacks its image {path}',
                self.check,
                block,
            )
        self.assertCountEqual(
            [*before, '.probe-b'],
            os.listdir(self.a.host_config.instances_path),
        )
        self.assertEqual('a', self.b.disks.get_owner(UUID))

    def test_shared_with_host_without_probe(self):
        self.share()
        self.boot_over_image()
        answer = self.b.live_migration.check_can_live_migrate_destination(
            spec(), LiveMigrateSource(host='a', cpu_info={}), None, False
        )
        self.assertIsNone(answer.qemu.missing_base)
        agreed = self.a.live_migration.check_can_live_migrate_source(
            UUID, answer, None
        )
        self.assertFalse(agreed.block_migration)

    def test_shared_without_the_image_any_more(self):
        self.share()
        wanted, agreed = self.over_image()
        os.unlink(os.path.join(self.a.host_config.image_cache_path, 'image-1'))
        self.assert_refused(
            'must also share [compute] image_cache_directory',
            self.b.live_migration.pre_live_migration,
            wanted,
            agreed,
            kind=exception.DiskMissing,
        )

    def test_shared_and_gone(self):
        wanted, agreed = self.over_image()
        self.assert_refused(
            'b does not see',
            self.b.live_migration.pre_live_migration,
            wanted,
            agreed.replace(block_migration=False),
            kind=exception.DiskMissing,
        )

    def test_shared_disks_are_never_removed(self):
        self.share()
        _, agreed = self.over_image()
        self.b.connection.opened.domain = Domain('<domain/>')
        # Whosever they are said to be.
        self.b.disks.set_owner(UUID, 'b')
        self.b.live_migration.rollback_live_migration_at_destination(
            UUID, agreed
        )
        self.assertIn(('undefine',), self.b.domain.calls)
        self.assertEqual([True, True], self.a.has('disk', 'disk.swap'))


class UnderWayTest(LiveMigrationTestCase):
    """A migration at the source, from start to end."""

    def setUp(self):
        super().setUp()
        self.a.boot()
        self.agreed = self.check()
        self.domain = self.a.domain
        self.domain.ends = clock.event()
        self.addCleanup(self.domain.ends.set)

    def begin(self):
        self.a.live_migration.start_live_migration(
            UUID, Peer('b', ''), self.agreed
        )

    def state(self):
        return self.a.live_migration.migration_status(UUID).state

    def end(self):
        """Let libvirt's call return; return the status."""
        self.domain.ends.set()
        for _ in range(200):
            if self.state() != 'running':
                break
            clock.sleep(0.02)
        return self.a.live_migration.migration_status(UUID)

    def started(self):
        return [one for one in self.domain.calls if one[0] == 'migrate']

    def test_migration_completes(self):
        self.assertEqual('none', self.state())
        self.begin()
        # Before libvirt has a job the thread stands for it.
        self.assertEqual('running', self.state())
        self.domain.job = {
            'type': libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            'memory_total': 10,
            'memory_processed': 4,
            'memory_remaining': 6,
            'disk_total': 3,
        }
        going = self.a.live_migration.migration_status(UUID)
        self.assertEqual(
            ('running', 10, 4, 6, 3, 0),
            (
                going.state,
                going.memory_total,
                going.memory_processed,
                going.memory_remaining,
                going.disk_total,
                going.disk_processed,
            ),
        )
        self.begin()
        self.domain.job = {'type': libvirt.VIR_DOMAIN_JOB_NONE}
        self.assertEqual('completed', self.end().state)
        (emitted,) = self.started()
        _, uri, words, flags = emitted
        self.assertEqual('qemu+tls://192.0.2.1/system', uri)
        self.assertEqual(live_migration._flags(self.agreed.qemu, True), flags)
        self.assertEqual(
            'tcp://192.0.2.1', words[libvirt.VIR_MIGRATE_PARAM_URI]
        )
        self.assertEqual(
            '192.0.2.1', words[libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS]
        )
        self.assertNotIn(libvirt.VIR_MIGRATE_PARAM_BANDWIDTH, words)
        for name in (
            libvirt.VIR_MIGRATE_PARAM_DEST_XML,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML,
        ):
            self.assertIn(
                f'{self.b.host_config.instances_path}/{UUID}/disk', words[name]
            )
            self.assertNotIn(self.a.host_config.instances_path, words[name])

    def test_bandwidth(self):
        self.config(group='libvirt', live_migration_bandwidth=7)
        self.begin()
        self.end()
        (emitted,) = self.started()
        self.assertEqual(7, emitted[2][libvirt.VIR_MIGRATE_PARAM_BANDWIDTH])

    def test_migration_fails(self):
        self.domain.errors['migrate'] = refusal(
            libvirt.VIR_ERR_OPERATION_FAILED, 'the other side is gone'
        )
        self.begin()
        ended = self.end()
        self.assertEqual(
            ('failed', 'the other side is gone'), (ended.state, ended.error)
        )

    def test_migration_is_aborted(self):
        self.domain.errors['migrate'] = refusal(
            libvirt.VIR_ERR_OPERATION_ABORTED
        )
        self.begin()
        self.a.live_migration.abort_migration(UUID)
        self.assertIn(('abortJob',), self.domain.calls)
        self.assertEqual('cancelled', self.end().state)

    def test_started_by_a_previous_process(self):
        self.domain.job = {'type': libvirt.VIR_DOMAIN_JOB_BOUNDED}
        self.assertEqual('running', self.state())
        self.begin()
        self.assertEqual([], self.started())
        self.domain.errors['jobStats'] = refusal(
            libvirt.VIR_ERR_OPERATION_INVALID
        )
        self.assertEqual('none', self.state())
        self.domain.errors['jobStats'] = refusal(libvirt.VIR_ERR_NO_DOMAIN)
        self.assertEqual('none', self.state())
        self.a.connection.opened.domain = None
        self.assertEqual('none', self.state())

    def test_status_unknown(self):
        self.domain.errors['jobStats'] = refusal(
            libvirt.VIR_ERR_RPC, 'cut off'
        )
        error = self.assertRaises(exception.GuestFailed, self.state)
        self.assertIn('cut off', str(error))

    def test_stopped_guest_does_not_migrate(self):
        self.domain.power = (libvirt.VIR_DOMAIN_SHUTOFF, 0)
        self.assertRaises(exception.GuestMigrationFailed, self.begin)
        self.assertEqual('none', self.state())

    def test_abort_without_migration(self):
        self.domain.errors['abortJob'] = refusal(
            libvirt.VIR_ERR_OPERATION_INVALID
        )
        self.a.live_migration.abort_migration(UUID)
        self.domain.errors['abortJob'] = refusal(libvirt.VIR_ERR_RPC, 'away')
        error = self.assertRaises(
            exception.GuestFailed, self.a.live_migration.abort_migration, UUID
        )
        self.assertIn('away', str(error))
        self.a.connection.opened.domain = None
        self.a.live_migration.abort_migration(UUID)

    def test_tune_migration(self):
        for seconds in (0, 1, 10, 11):
            self.a.live_migration.tune_migration(UUID, self.agreed, seconds)
        self.assertEqual(
            [('downtime', 50), ('downtime', 100)], self.domain.calls
        )
        # It is no move of this process: libvirt's job alone counts.
        self.assertEqual('none', self.state())

    def test_tune_migration_switches_to_post_copy_once(self):
        agreed = self.agreed.replace(
            qemu=self.agreed.qemu.replace(mode='post-copy')
        )
        self.domain.errors['post-copy'] = refusal(
            libvirt.VIR_ERR_OPERATION_INVALID
        )
        self.a.live_migration.tune_migration(UUID, agreed, 1)
        del self.domain.errors['post-copy']
        for seconds in (2, 3):
            self.a.live_migration.tune_migration(UUID, agreed, seconds)
        self.assertEqual(2, self.domain.calls.count(('post-copy',)))

    def test_other_job_is_no_migration(self):
        self.domain.job = {
            'type': libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            'operation': libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE,
        }
        self.assertEqual(
            'none', self.a.live_migration.migration_status(UUID).state
        )

    def test_force(self):
        force = self.a.live_migration.force_complete
        force(UUID)
        self.assertEqual([], self.domain.calls)
        self.domain.job = {'type': libvirt.VIR_DOMAIN_JOB_UNBOUNDED}
        force(UUID)
        self.assertEqual([('suspend',)], self.domain.calls)
        self.domain.power = (libvirt.VIR_DOMAIN_PAUSED, 1)
        force(UUID)
        self.assertEqual([('suspend',)], self.domain.calls)
        self.config(group='libvirt', live_migration_permit_post_copy=True)
        force(UUID)
        self.assertEqual([('suspend',)], self.domain.calls)
        self.domain.power = (libvirt.VIR_DOMAIN_RUNNING, 1)
        force(UUID)
        self.assertEqual([('suspend',), ('post-copy',)], self.domain.calls)
        self.domain.errors['post-copy'] = refusal(
            libvirt.VIR_ERR_OPERATION_INVALID, 'not enabled'
        )
        error = self.assertRaises(exception.GuestFailed, force, UUID)
        self.assertIn('not enabled', str(error))

# SPDX-License-Identifier: Apache-2.0
"""The audit of hosts: planted guests and disks are found and repaired."""

from minova import clock
from minova import exception
from minova import images
from minova.audit import confirmed_scan
from minova.audit import repair
from minova.db.queries import hosts
from tests.fixtures.newer_methods import NewerMethods
from tests.functional import test_snapshot
from tests.functional.audit_base import AuditTestCase
from tests.functional.audit_base import UNKNOWN_ID


class GuestRulesTest(AuditTestCase):
    """Guests and disks that a host should not have."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')

    def test_no_findings(self):
        self.assert_clean()
        code, out = self.run_audit()
        self.assertEqual(0, code)
        self.assertEqual(
            'The queues were not checked: only a rabbit:// transport_url '
            'reports consumers.\n'
            '2 of 2 hosts were checked. Found: 0, repaired: 0.\n',
            out,
        )

    def test_a_guest_that_runs_twice(self):
        self.copy('guests', self.uuid)
        self.copy('disks', self.uuid)
        self.assertEqual(['a', 'b'], self.cloud.world.running(self.uuid))
        self.assert_repaired('duplicate_guest')
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        self.assertEqual([], self.holds('b', self.uuid))
        last = self.cloud.operations(self.uuid)[-1]
        self.assertEqual(
            ('cleanup_stale_guest', 'done'), (last.kind, last.state)
        )

    def test_a_guest_that_is_off(self):
        self.copy('guests', self.uuid, power=4)
        self.assert_repaired('stray_guest')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_a_guest_of_an_offloaded_server(self):
        image = '155d900f-4e14-4e4c-a73d-069cbf4541e6'
        self.copy('guests', self.uuid, power=4)
        self.copy('disks', self.uuid)
        for kind in ('guests', 'disks'):
            self.store.delete(f'a/{kind}/{self.uuid}')
        self.change(
            self.uuid,
            host=None,
            vm_state='shelved_offloaded',
            shelved_image_id=image,
        )
        self.cloud.database.write(lambda c: hosts.release(c, self.uuid, 'a'))
        self.assert_repaired('stray_guest')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_disks_of_all_kinds(self):
        self.copy('disks', self.uuid)
        record = self.store.get(f'b/disks/{self.uuid}')
        self.store.put(f'b/retained/{self.uuid}', record)
        self.assert_repaired('stray_disks')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_copies_of_a_disk(self):
        self.store.put(f'a/snapshots/{self.uuid}', {'image': 'content'})
        self.assert_repaired('stray_snapshots')
        self.assertIsNone(self.store.get(f'a/snapshots/{self.uuid}'))

    def test_image_of_a_snapshot_that_gave_up(self):
        new = test_snapshot.image(self.uuid, **images.SNAPSHOT_PROPERTIES)
        self.cloud.images.reserve(images.NewImage(**new.as_dict()))
        self.assert_repaired('partial_image')
        self.assertEqual([], self.cloud.images.list_unfinished())

    def test_image_service_that_does_not_reply(self):
        def fail():
            raise exception.Unavailable(what='Glance', reason='refused')

        self.patch(self.cloud.images, 'list_unfinished', fail)
        code, text = self.run_audit()
        self.assertEqual(1, code)
        self.assertIn('The images were not checked: Glance', text)
        self.assertIn('refused', text)

    def test_host_without_an_image_service(self):
        def fail():
            raise exception.ConfigInvalid(reason='auth_type is not set')

        self.patch(images, 'load', fail)
        code, text = self.run_audit()
        self.assertEqual(0, code)
        self.assertIn('The images were not checked: ', text)
        self.assertIn('auth_type is not set', text)

    def test_retained_disks_on_own_host(self):
        record = self.store.get(f'a/disks/{self.uuid}')
        self.store.put(f'a/retained/{self.uuid}', record)
        self.assert_repaired('stray_retained_disks')
        self.assertEqual(['guests', 'disks'], self.holds('a', self.uuid))
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_stale_incoming_reservation(self):
        self.store.put(f'b/incoming/{self.uuid}', {'source': 'a'})
        self.assert_repaired('stray_incoming')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_reservation_without_instance(self):
        kept = {'addresses': ['10.0.0.5']}
        # The own host of the instance keeps the addresses.
        self.store.put(f'a/reserved/{self.uuid}', kept)
        self.assert_clean()
        self.store.put(f'b/reserved/{self.uuid}', kept)
        self.assert_repaired('stray_reservation')
        self.assertIsNotNone(self.store.get(f'a/reserved/{self.uuid}'))
        self.cloud.delete(self.uuid)
        self.assert_clean()
        self.assertIsNone(self.store.get(f'a/reserved/{self.uuid}'))
        self.store.put(f'a/reserved/{self.uuid}', kept)
        self.assert_repaired('stray_reservation')
        self.store.put(f'b/reserved/{UNKNOWN_ID}', kept)
        self.assert_left('unknown_reservation')
        self.assertEqual(
            [('unknown_reservation', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assert_clean()

    def test_leftovers_of_deleted_instance(self):
        records = {
            kind: self.store.get(f'a/{kind}/{self.uuid}')
            for kind in ('guests', 'disks')
        }
        self.cloud.delete(self.uuid)
        self.assert_clean()
        for kind, record in records.items():
            self.store.put(f'b/{kind}/{self.uuid}', record)
        self.assert_repaired('guest_of_deleted')
        self.store.put(f'a/disks/{self.uuid}', records['disks'])
        self.assert_repaired('disks_of_deleted')

    def test_the_only_guest_is_never_removed(self):
        # The guest has migrated; the database does not know it.
        self.set_migration('guests', 'disks', uuid=self.uuid)
        self.assert_left('disks_missing', 'stray_guest')
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_the_guest_that_runs_is_not_removed_for_one_that_is_off(self):
        self.copy('guests', self.uuid)
        self.copy('disks', self.uuid)
        self.cloud.begin('stop', self.uuid)
        code, out = self.run_audit('--repair', '--host', 'b')
        self.assertEqual(1, code)
        self.assertIn('stray_guest', out)
        self.assertIn('copy its disks before you remove it', out)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_unknown_guest(self):
        self.copy('guests', self.uuid, as_=UNKNOWN_ID)
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assert_left('unknown_guest')
        self.assertEqual(['guests', 'disks'], self.holds('b', UNKNOWN_ID))
        self.assertEqual(
            [('unknown_guest', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assertEqual([], self.holds('b', UNKNOWN_ID))
        self.assert_clean()
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_unknown_disks(self):
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assert_left('unknown_disks')
        self.assertEqual(
            [('unknown_disks', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assert_clean()

    def test_changed_unowned_guest_is_kept(self):
        self.copy('guests', self.uuid, as_=UNKNOWN_ID)
        stale = self.assertRaises(
            exception.Stale, self.destroy_unowned, generation=99
        )
        self.assertIn(UNKNOWN_ID, str(stale))
        self.assertEqual(['guests'], self.holds('b', UNKNOWN_ID))

    def destroy_unowned(self, generation):
        self.cloud.computes_client.for_host('b').destroy_unknown_guest(
            self.cloud.context(),
            instance_uuid=UNKNOWN_ID,
            generation=generation,
        )

    def test_a_guest_is_missing(self):
        self.store.delete(f'a/guests/{self.uuid}')
        self.assert_left('guest_missing')
        self.cloud.begin('reboot_hard', self.uuid)
        self.assert_clean()

    def test_power_differs(self):
        self.change(self.uuid, power_state=4)
        code, out = self.run_audit()
        self.assertEqual(0, code)
        self.assertIn('The guest is RUNNING, the database has SHUTDOWN.', out)

    def test_a_host_that_does_not_answer(self):
        self.stop_compute('b')
        code, out = self.run_audit()
        self.assertEqual(1, code)
        self.assertIn('warning: host_not_checked\n  host:      b\n', out)
        self.assertIn('1 of 2 hosts were checked', out)
        code, out = self.run_audit('--offline')
        self.assertEqual(0, code)
        self.assertEqual('No host was checked. Found: 0, repaired: 0.\n', out)

    def test_a_host_that_is_too_old(self):
        self.useFixture(NewerMethods('list_host_contents'))
        self.config(group='upgrade_levels', compute='1.0')
        code, out = self.run_audit('--host', 'a')
        self.assertEqual(1, code)
        self.assertIn('it came with version 1.1', out)

    def test_selected_instances_only(self):
        self.copy('guests', self.uuid, power=4)
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assertEqual(
            [('stray_guest', False)], self.found('--instance', self.uuid)
        )
        self.assertEqual([], self.found('--host', 'a'))
        self.assertEqual(2, len(self.found('--host', 'b')))

    def test_concurrent_change_is_no_finding(self):
        self.copy('guests', self.uuid, power=4)

        scan_once, scans = confirmed_scan.Auditor._scan_once, []

        def scan(auditor):
            # An operation begins and ends between the two scans.
            if scans:
                self.cloud.begin('pause', self.uuid)
            scans.append(scan_once(auditor))
            return scans[-1]

        self.patch(confirmed_scan.Auditor, '_scan_once', scan)
        self.assertEqual([], self.found())
        for one in scans:
            self.assertEqual(['stray_guest'], [f.name for f in one.findings])

    def auditor(self, read_queues, computes=None, seconds=60.0):
        return confirmed_scan.Auditor(
            self.cloud.database,
            computes or self.cloud.computes_client,
            read_queues,
            0.1,
            seconds,
        )

    def test_without_a_broker_no_host_is_asked(self):
        def read(names):
            raise exception.Unavailable(what='The broker', reason='refused')

        class Computes:
            def for_host(self, host):
                raise AssertionError('a host is asked')

        scan = self.auditor(read, Computes()).scan()
        self.assertEqual([], scan.checked_hosts)
        self.assertEqual({'a', 'b'}, set(scan.unchecked_hosts))
        for reason in (scan.broker_error, *scan.unchecked_hosts.values()):
            self.assertEqual(
                'The broker is unavailable at this time: refused', reason
            )
        self.assertEqual(
            ['host_not_checked'] * 2, [one.name for one in scan.findings]
        )

    def test_host_that_never_answers(self):
        clients, released = self.cloud.computes_client, clock.event()
        self.addCleanup(released.set)

        class Computes:
            def for_host(self, host):
                if host == 'b':
                    released.wait()
                return clients.for_host(host)

        scan = self.auditor(lambda names: None, Computes(), 1.0).scan()
        self.assertEqual(['a'], scan.checked_hosts)
        self.assertEqual(
            {'b': 'the host did not answer within 1 s'}, scan.unchecked_hosts
        )
        self.assertEqual('', scan.broker_error)
        self.assertFalse(scan.has_checked_queues)

    def test_a_repair_that_comes_too_late_does_nothing(self):
        self.copy('guests', self.uuid, power=4)
        auditor = confirmed_scan.Auditor(
            self.cloud.database, self.cloud.computes_client, None, 0.1
        )
        (finding,) = auditor.scan().findings
        self.cloud.begin('pause', self.uuid)
        outcome = repair.Repairer(self.cloud.database, 'test').repair(finding)
        self.assertFalse(outcome.is_repaired)
        self.assertIn('Not repaired: ', outcome.text)
        self.assertEqual(['guests'], self.holds('b', self.uuid))

# SPDX-License-Identifier: Apache-2.0
"""minova-manage archive: archived rows, kept rows, and reads of both."""

import datetime

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova.db import tables
from minova.db.queries import archive
from minova.db.queries import ports
from tests.functional.ledger_base import LedgerTestCase
from tests.unit.cmd.test_manage import UNKNOWN_ID


class ArchiveTest(LedgerTestCase):
    """minova-manage archive."""

    def advance_days(self, days):
        """Advance the clock by some days."""
        moment = clock.now() + datetime.timedelta(days=days)
        self.patch(clock, 'now', lambda: moment)

    def archive(self, *words, age='30'):
        """Archive; return the number of rows by their printed names."""
        head, *lines = self.run_ok(
            'archive', '--older-than', age, *words
        ).splitlines()
        self.assertTrue(head.endswith(':'), head)
        return {
            name.strip(): int(count)
            for count, name in (line.strip().split(' ', 1) for line in lines)
        }

    def assert_whole(self, before, uuid=None):
        """All notifications can still be listed and verified."""
        lines = self.list_json()
        if before is not None:
            self.assertEqual(sorted(before), sorted(lines))
        file = self.write('log', '\n'.join(lines))
        self.run_ok('notifications', 'verify', file)

    def test_ended_rows_are_archived(self):
        self.make_history()
        emitted = self.list_json()
        before = self.sizes()
        self.assertEqual({0}, {archived for _, archived in before.values()})
        self.advance_days(31)
        would = self.archive('--dry-run')
        self.assertEqual(before, self.sizes())
        went = self.archive()
        self.assertEqual(
            {
                'notifications': len(emitted),
                'operations': 5,
                'steps': before['steps'][0],
                'deleted servers': 1,
                'faults of deleted servers': 0,
                'migrations of deleted servers': 0,
                'audits of usage': 0,
            },
            went,
        )
        self.assertEqual(would, went)
        self.assertEqual(
            {
                name: (0, count)
                for name, (count, _) in before.items()
                if name not in ('instances', 'migrations')
            }
            # The API shows the rows of the active server.
            | {'instances': (1, 1), 'migrations': (1, 0)},
            self.sizes(),
        )
        self.assert_whole(emitted)
        self.assertEqual({0}, set(self.archive().values()))

    def test_young_rows_stay(self):
        self.make_history()
        before = self.sizes()
        self.advance_days(29)
        self.assertEqual({0}, set(self.archive().values()))
        self.assertEqual(before, self.sizes())

    def test_before_a_moment(self):
        one, other = self.make_history()
        count = len(self.rows(one))
        moment = self.rows(other)[0].created_at
        out = self.run_ok('archive', '--before', moment.isoformat())
        self.assertIn(f'{moment:%Y-%m-%d %H:%M:%S} UTC', out)
        self.assertRegex(out, r'(?m)^ +2 operations$')
        self.assertEqual(count, self.sizes()['outbox'][1])
        self.assertEqual((2, 0), self.sizes()['instances'])

    def test_faults_and_migrations_follow_their_server(self):
        with self.cloud() as cloud:
            uuid = cloud.boot(host='a')
            cloud.begin('live_migrate', uuid)
            cloud.world.inject_fault('b', 'pause')
            cloud.begin('pause', uuid)
            self.assertEqual(3, self.archive(age='0')['operations'])
            self.assertEqual((1, 0), self.sizes()['faults'])
            self.assertEqual((1, 0), self.sizes()['migrations'])
            cloud.delete(uuid)
            went = self.archive(age='0')
        self.assertEqual(1, went['faults of deleted servers'])
        self.assertEqual(1, went['migrations of deleted servers'])
        self.assertEqual((0, 1), self.sizes()['instances'])

    def test_sequence_numbers_continue(self):
        with self.cloud() as cloud:
            uuid = cloud.boot()
            first = [row.seq for row in self.rows(uuid)]
            self.archive(age='0')
            self.assertEqual([], self.rows(uuid))
            cloud.begin('stop', uuid)
            emitted = [row.seq for row in self.rows(uuid)]
        self.assertEqual(first[-1] + 1, emitted[0])
        self.assertEqual(
            [*first, *emitted],
            [
                int(line.split()[0])
                for line in self.run_ok(
                    'notifications', 'list', '--instance', uuid
                ).splitlines()
            ],
        )
        self.assert_whole(None)

    def test_running_operations_stay(self):
        with self.cloud() as cloud:
            uuid = cloud.boot(host='a')
            cloud.stop(cloud.computes['a'])
            cloud.begin('stop', uuid, wait=False)
            cloud.wait_for(
                lambda: all(
                    row.published_at for row in cloud.notifications(uuid)
                )
            )
            before = self.sizes()
            # Only the notifications of the operation that has ended.
            went = self.archive(age='0')
            (going,) = [o for o in cloud.operations(uuid) if not o.finished_at]
            self.assertEqual(
                {going.id}, {row.operation_id for row in self.rows(uuid)}
            )
            self.assertEqual(0, went['operations'] + went['steps'])
            self.assertEqual(before['operations'], self.sizes()['operations'])
            cloud.start_compute('a')
            cloud.settle(uuid)
            self.assertEqual('stopped', cloud.instance(uuid).vm_state)
            self.assertEqual(2, self.archive(age='0')['operations'])

    def test_unpublished_rows_stay(self):
        one, other = self.make_history()
        self.unpublish(other, 3)
        self.advance_days(31)
        self.archive()
        self.assertEqual([], self.rows(one))
        self.assertEqual(
            list(range(3, len(self.rows(other)) + 3)),
            [row.seq for row in self.rows(other)],
        )
        # The server of the operation is kept, too.
        self.assertEqual((2, 0), self.sizes()['instances'])

    def test_unconfirmed_migration_stays(self):
        with self.cloud() as cloud:
            uuid = cloud.boot(host='a')
            cloud.resize(uuid, cloud.flavor('big', id=2, memory_mb=1024))
            self.assertEqual('resized', cloud.instance(uuid).vm_state)
            self.assertEqual(0, self.archive(age='0')['operations'])
            cloud.revert(uuid)
            self.assertEqual('active', cloud.instance(uuid).vm_state)
            self.assertEqual(3, self.archive(age='0')['operations'])
        self.assert_whole(None)

    def test_a_server_for_which_an_address_is_held_stays(self):
        with self.cloud() as cloud:
            uuid = cloud.boot()
            cloud.delete(uuid)
            port = ports.Port(
                clock.uuid4(),
                'network',
                uuid,
                'project',
                '10.0.0.5',
                'fa:16:3e:00:00:01',
                clock.now(),
            )
            database = cloud.database
            database.write(lambda c: ports.insert(c, [port]))
            # The audit could no longer find the owner.
            self.assertEqual(0, self.archive(age='0')['deleted servers'])
            database.write(lambda c: ports.release(c, uuid))
            self.assertEqual(1, self.archive(age='0')['deleted servers'])

    def test_timeline_reports_archived(self):
        one, other = self.make_history()
        self.advance_days(31)
        self.archive()
        for uuid, operations, more in (
            (one, 2, '.'),
            (other, 3, ', the deleted server itself.'),
        ):
            count = self.run_ok(
                'notifications', 'list', '--instance', uuid
            ).count(' archived ')
            self.assertRegex(
                self.run_ok('timeline', uuid),
                rf'\AIn the archive: {operations} operations that ended until '
                rf'\S+ \S+ UTC, {count} notifications{more}\n\Z',
            )
        self.run_refused(1, 'timeline', UNKNOWN_ID)

    def test_purge(self):
        one, other = self.make_history()
        emitted = self.list_json()
        before = self.sizes()
        self.advance_days(31)
        # Rows outside the archive are not purged.
        self.assertEqual({0}, set(self.archive('--purge').values()))
        self.assertEqual(before, self.sizes())
        went = self.archive()
        archived = self.sizes()
        self.assertEqual({0}, set(self.archive('--purge', age='32').values()))
        self.assertEqual(went, self.archive('--purge', '--dry-run'))
        self.assertEqual(archived, self.sizes())
        self.assertEqual(went, self.archive('--purge', '--batch', '2'))
        self.assertEqual(
            {0}, {archived for _, archived in self.sizes().values()}
        )
        code, out, err = self.run_manage(
            'notifications', 'list', '--instance', one
        )
        last = sum(1 for line in emitted if one in line)
        self.assertEqual((0, ''), (code, out))
        self.assertEqual(
            f'The notifications 1 to {last} were purged from the archive.\n',
            err,
        )
        self.run_refused(1, 'notifications', 'list', '--instance', other)

    def test_interrupted_and_continued(self):
        self.make_history()
        emitted = self.list_json()
        self.advance_days(31)
        whole = self.archive('--dry-run')
        transfer = archive._move_rows
        calls = []

        def fails(connection, table, *args):
            calls.append(table.name)
            if calls.count('operations') == 3:
                raise exception.Unavailable(what='The database', reason='gone')
            return transfer(connection, table, *args)

        self.patch(archive, '_move_rows', fails)
        code, out, err = self.run_manage(
            'archive', '--older-than', '30', '--batch', '1'
        )
        self.assertEqual(1, code)
        self.assertEqual(
            'minova-manage: The database is unavailable at this time: gone\n',
            err,
        )
        self.assertIn('Before the interruption', out)
        self.assertRegex(out, r'(?m)^ +2 operations$')
        sizes = self.sizes()
        self.assertEqual((3, 2), sizes['operations'])
        # An operation and its steps are in the same table set.
        for table, steps in (
            (tables.operations, tables.steps),
            (tables.archived_operations, tables.archived_steps),
        ):
            self.assertEqual(self.column(table.c.id),
                             self.column(steps.c.operation_id))  # fmt: skip
        self.assert_whole(emitted)
        self.patch(archive, '_move_rows', transfer)
        self.assertEqual(3, self.archive()['operations'])
        self.assertEqual(whole['steps'], self.sizes()['steps'][1])
        self.assert_whole(emitted)

    def column(self, column):
        return self.database.read(
            lambda c: set(c.execute(sa.select(column)).scalars())
        )

    def test_replay_from_the_archive(self):
        _, other = self.make_history()
        rows = self.rows(other)
        self.advance_days(31)
        self.archive()
        self.patch_bus()
        consumer = self.start_consumer()
        self.assertEqual(
            f'{len(rows)} notifications were replayed.\n',
            self.run_ok('notifications', 'replay', '--instance', other),
        )
        self.wait_for(lambda: len(consumer.received) == len(rows))
        self.assertEqual(
            [row.message_id for row in rows],
            [
                received[3]['message_id']
                for received in consumer.of_instance(other)
            ],
        )

    def test_invalid_arguments(self):
        for words in (
            [],
            ['--older-than', '-1'],
            ['--older-than', '1', '--before', '2026-01-01'],
            ['--before', 'long ago'],
            ['--older-than', '1', '--batch', '0'],
        ):
            code, out, _ = self.run_manage('archive', *words)
            self.assertEqual((2, ''), (code, out), words)

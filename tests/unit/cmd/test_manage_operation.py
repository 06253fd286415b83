# SPDX-License-Identifier: Apache-2.0
"""minova-manage operation: list, show, retry and abandon."""

import datetime
import re

from minova import clock
from minova.context import get_admin_context
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.engine import begin
from minova.objects.step_args import ResizeInstanceArgs
from tests.fixtures.cloud import Cloud
from tests.unit.cmd.test_manage import ManageTestCase
from tests.unit.cmd.test_manage import UNKNOWN_ID


class OperationTestCase(ManageTestCase):
    """A database with running operations and no services."""

    def begin(self, kind, uuid, **options):
        """Begin an operation that no service drives."""
        return begin.begin(
            self.database,
            get_admin_context(),
            kind,
            uuid,
            'api.api',
            **options,
        ).operation

    def leave(self, *kinds, host='a'):
        """Return open operations, each of an instance on a host that is down.

        The cloud's services are gone, but the database takes them to be up.
        """
        with Cloud() as cloud:
            uuids = [cloud.boot(host=host) for _ in kinds]
        self.database = self.open()
        made = []
        for kind, uuid in zip(kinds, uuids, strict=True):
            made.append(self.begin(kind, uuid))
        self.down(host)
        return made

    def down(self, host, down=True):
        """Force the service of a host down."""

        def work(connection):
            (found,) = hosts.list_services(connection, 'nova-compute', host)
            hosts.update_service(connection, found.id, {'forced_down': down})

        self.database.write(work)

    def write(self, name, text):
        # What is read of the clock of a service that has just ended.
        more = '[conductor]\nservice_down_time = 3600\n'
        return super().write(name, text + more)

    def wait_for_host(self, operation, since):
        """Set the wait reason, as the sweeper does."""
        values = {
            'wait_reason': 'host a to return for stop_instance (it is forced '
            'down)',
            'waiting_since': since,
        }
        self.update(operation, **values)

    def update(self, operation, **values):
        self.database.write(
            lambda c: operations.update(c, operation.id, values)
        )

    def step(self, operation, **values):
        """Return the first step, changed."""

        def work(connection):
            step = operations.list_steps(connection, operation.id)[0]
            if values:
                operations.update_step(connection, step, values)
            return step

        return self.database.write(work)

    def instance(self, operation):
        return self.database.read(
            lambda c: instances.get(c, operation.instance_uuid, deleted=True)
        )

    def sections(self, text):
        """Return the facts by name, and the lines of each other section."""
        facts, *others = text.removesuffix('\n').split('\n\n')
        named = dict(
            re.split('  +', line, maxsplit=1) for line in facts.splitlines()
        )
        return named, {
            section.splitlines()[0].split('  ')[0]: section.splitlines()[1:]
            for section in others
        }


class ListTest(OperationTestCase):
    """minova-manage operation list."""

    def listed(self, *words):
        """Return the cells of each row."""
        head, *rows = self.run_ok('operation', 'list', *words).splitlines()
        self.assertEqual(
            'OPERATION KIND STATE INSTANCE BEGAN (UTC) STEP HOST WAITS FOR',
            ' '.join(head.split()),
        )
        return [re.split('  +', row) for row in rows]

    def ids(self, *words):
        return [row[0] for row in self.listed(*words)]

    def test_list_open_operations(self):
        stop, pause = self.leave('stop', 'pause')
        noon = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        self.wait_for_host(stop, noon)
        rows = self.listed()
        self.assertEqual([stop.id, pause.id], [row[0] for row in rows])
        began = f'{stop.started_at:%Y-%m-%d %H:%M:%S}'
        waits = 'host a to return for stop_instance (it is forced down)'
        self.assertEqual(
            [
                stop.id,
                'stop',
                'running',
                stop.instance_uuid,
                began,
                'stop_instance',
                'a',
                f'{waits}, since 2026-01-31 12:00:00 UTC',
            ],
            rows[0],
        )
        self.assertEqual('-', rows[1][-1])
        self.assertEqual([stop.id], self.ids('--waiting'))
        self.assertEqual([stop.id], self.ids('--limit', '1'))
        self.assertEqual(
            [pause.id], self.ids('--instance', pause.instance_uuid)
        )
        self.assertEqual([stop.id, pause.id], self.ids('--host', 'a'))
        self.assertEqual([], self.ids('--host', 'b'))
        every = self.listed('--all')
        self.assertEqual(
            ['pause', 'stop', 'create', 'create'], [row[1] for row in every]
        )
        self.assertEqual('done', every[-1][2])
        self.assertEqual(4, len(self.ids('--all', '--host', 'a')))

    def test_cleanup_and_unwinding(self):
        (stop,) = self.leave('stop')
        self.update(stop, unwinding=True)
        self.assertEqual('undoing', self.listed()[0][2])
        self.update(stop, owns_instance=False)
        self.assertEqual('cleaning', self.listed()[0][2])

    def test_not_found(self):
        self.open()
        self.assertEqual([], self.ids())
        self.assertIn(
            'Compute host c could not be found.',
            self.run_refused(1, 'operation', 'list', '--host', 'c'),
        )
        self.assertIn(
            f'Instance {UNKNOWN_ID} could not be found.',
            self.run_refused(1, 'operation', 'list', '--instance', UNKNOWN_ID),
        )


class ShowTest(OperationTestCase):
    """minova-manage operation show."""

    def show(self, name):
        return self.sections(self.run_ok('operation', 'show', name))

    def test_show_waiting_for_host(self):
        (stop,) = self.leave('stop')
        self.step(
            stop,
            state='running',
            incarnation='an older start',
            started_at=stop.started_at,
        )
        noon = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        self.wait_for_host(stop, noon)
        facts, others = self.show(stop.id)
        self.assertEqual(stop.id, facts['operation'])
        self.assertEqual('running, owns its instance', facts['state'])
        self.assertEqual(
            f'{stop.instance_uuid} (active, task powering-off, on a)',
            facts['instance'],
        )
        self.assertEqual('{}', facts['parameters'])
        self.assertIn('host a to return', facts['waits for'])
        self.assertEqual('2026-01-31 12:00:00 UTC', facts['since'])
        (step,) = others['']
        self.assertRegex(step, r'^ +1  stop_instance +a +running .* 1$')
        what, late = others['Next']
        self.assertEqual(
            '  stop_instance: the step starts when the compute of a registers '
            'again',
            what,
        )
        self.assertRegex(late, 'if open at .*: the operation keeps waiting')
        self.assertEqual(
            f'  minova-manage operation abandon {stop.id}',
            others['Available commands'][0],
        )
        # The timeline has the same prediction.
        emitted = self.run_ok('timeline', stop.instance_uuid, '--kind', 'stop')
        self.assertIn('  since: 2026-01-31 12:00:00 UTC\n', emitted)
        self.assertIn(f'  next: {what.strip()}\n', emitted)

    def test_backoff(self):
        (stop,) = self.leave('stop')
        self.down('a', down=False)
        later = clock.now() + datetime.timedelta(hours=1)
        self.step(stop, attempts=2, not_before=later)
        _, others = self.show(stop.id)
        self.assertEqual(
            f'  stop_instance: attempt 3 at {later:%Y-%m-%d %H:%M:%S} UTC, '
            'at the next heartbeat of a',
            others['Next'][0],
        )
        self.assertEqual(
            f'  minova-manage operation retry {stop.id}',
            others['Available commands'][0],
        )

    def test_show_ended_operation(self):
        (stop,) = self.leave('stop')
        create = self.database.read(
            lambda c: operations.list_by_instance(c, stop.instance_uuid)
        )[-1]
        facts, others = self.show(create.request_id)
        self.assertEqual('done', facts['state'])
        self.assertIn('ended', facts)
        self.assertEqual([''], list(others))
        build = others[''][1]
        self.assertRegex(build, '2  build_and_run_instance +a +done ')

    def test_request_with_several_operations(self):
        first, second = self.leave('stop', 'pause')
        self.update(second, request_id=first.request_id)
        code, out, err = self.run_manage('operation', 'show', first.request_id)
        self.assertEqual(1, code)
        self.assertEqual(
            [first.id, second.id],
            [line.split()[0] for line in out.splitlines()[1:]],
        )
        self.assertEqual(
            f'minova-manage: {first.request_id} began 2 operations; repeat '
            'the command with the id of one of them.\n',
            err,
        )


class OperatorActionsTest(OperationTestCase):
    """minova-manage operation retry, abandon."""

    def test_retry(self):
        (stop,) = self.leave('stop')
        self.down('a', down=False)
        out = self.run_ok('operation', 'retry', stop.id)
        self.assertEqual(
            'No step waits for its next attempt.\n'
            'stop_instance: attempt 1 at the next heartbeat of a.\n',
            out,
        )
        later = clock.now() + datetime.timedelta(hours=1)
        self.step(stop, attempts=2, not_before=later)
        out = self.run_ok('operation', 'retry', stop.request_id)
        self.assertEqual(
            'Due now: stop_instance.\n'
            'stop_instance: attempt 3 at the next heartbeat of a.\n',
            out,
        )
        self.assertIsNone(self.step(stop).not_before)

    def test_abandon(self):
        (stop,) = self.leave('stop')
        self.step(
            stop,
            state='running',
            incarnation='an older start',
            started_at=stop.started_at,
        )
        code, out, err = self.run_manage(
            'operation', 'abandon', stop.id, '--reason', 'rack 4 burnt'
        )
        self.assertEqual(0, code)
        self.assertEqual(
            f'Operation {stop.id} stop instance={stop.instance_uuid} has '
            'ended: failed.\n'
            'The instance is in error; other operations can begin.\n'
            'Its guest or disks may be on: a.\n'
            'Check these hosts before you start the instance. A delete '
            'removes the guest and disks.\n'
            'Its allocations stay on: a.\n',
            out,
        )
        # The log has one line of it.
        self.assertRegex(err, r'\A[^\n]* WARNING [^\n]*rack 4 burnt[^\n]*\n\Z')
        instance = self.instance(stop)
        self.assertEqual(
            ('error', None), (instance.vm_state, instance.task_state)
        )
        self.assertEqual('preempted', self.step(stop).state)
        line = self.run_refused(1, 'operation', 'abandon', stop.id)
        self.assertRegex(line, f'{stop.id} stop .* has ended at .*: failed')
        line = self.run_refused(1, 'operation', 'retry', stop.id)
        self.assertRegex(line, 'has ended at .*: failed')
        facts, _ = self.sections(self.run_ok('operation', 'show', stop.id))
        self.assertIn('abandoned by an operator: rack 4', facts['error'])

    def test_abandon_running_step(self):
        (stop,) = self.leave('stop')
        self.down('a', down=False)
        (service,) = self.database.read(
            lambda c: hosts.list_services(c, 'nova-compute', 'a')
        )
        self.step(
            stop,
            state='running',
            incarnation=service.incarnation,
            started_at=stop.started_at,
        )
        line = self.run_refused(1, 'operation', 'abandon', stop.id)
        self.assertIn('host a is up and runs stop_instance', line)
        self.assertIn('--force', line)
        self.assertEqual('powering-off', self.instance(stop).task_state)
        _, others = self.sections(self.run_ok('operation', 'show', stop.id))
        self.assertEqual(
            f'  minova-manage operation abandon --force {stop.id}',
            others['Available commands'][0],
        )
        code, _, _ = self.run_manage(
            'operation', 'abandon', '--force', stop.id
        )
        self.assertEqual(0, code)
        self.assertEqual('error', self.instance(stop).vm_state)

    def test_not_found(self):
        self.open()
        for verb in ('show', 'retry', 'abandon'):
            self.assertEqual(
                'minova-manage: Operation req-1 could not be found.\n',
                self.run_refused(1, 'operation', verb, 'req-1'),
            )

    def test_invalid_arguments(self):
        for words, text in (
            ([], 'the following arguments are required: COMMAND'),
            (['show'], 'the following arguments are required: operation'),
            (['abandon'], 'the following arguments are required: operation'),
            (['list', '--limit', '0'], "'0' is not a number from 1 to"),
            (['list', '--limit', 'x'], "'x' is not a number from 1 to"),
            (['show', 'x', '--force'], 'unrecognized arguments: --force'),
        ):
            code, out, err = self.run_manage('operation', *words)
            self.assertEqual((2, ''), (code, out), words)
            self.assertIn(text, err.splitlines()[-1])

    def test_schema_is_missing(self):
        for words in (['list'], ['show', 'x'], ['retry', 'x']):
            line = self.run_refused(1, 'operation', *words)
            self.assertIn('run "minova-manage db sync"', line)


class SecretTest(OperationTestCase):
    """The arguments of a step may be secret."""

    def test_transfer_ticket_is_hidden(self):
        with Cloud() as cloud:
            uuid = cloud.boot(host='a')
            cloud.begin('migrate', uuid)
        self.database = self.open()
        found = self.database.read(
            lambda c: operations.list_by_instance(c, uuid)
        )[0]
        steps = self.database.read(
            lambda c: operations.list_steps(c, found.id)
        )
        tokens = {
            step.args.transfer_ticket.token
            for step in steps
            if isinstance(step.args, ResizeInstanceArgs)
        }
        self.assertEqual(1, len(tokens))
        shown = self.run_ok('operation', 'show', found.id)
        shown += self.run_ok('operation', 'list', '--all')
        shown += self.run_ok('timeline', uuid)
        self.assertIn('resize_instance', shown)
        for token in tokens:
            self.assertNotIn(token, shown)

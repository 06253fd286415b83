# SPDX-License-Identifier: Apache-2.0
"""The ledger of notifications: list, replay and verify."""

import io
import json
import sys
import tracemalloc
import uuid as uuids

from minova import exception
from minova.db.queries.ledger import Scope
from minova.notifications import verify
from minova.rpc import oslo_bus
from tests.functional.ledger_base import LedgerTestCase
from tests.unit.cmd.test_manage import UNKNOWN_ID


class ListTest(LedgerTestCase):
    """minova-manage notifications list."""

    def test_list_of_one_server(self):
        one, _ = self.make_history()
        rows = self.rows(one)
        lines = self.run_ok(
            'notifications', 'list', '--instance', one
        ).splitlines()
        self.assertEqual(
            [
                [
                    str(row.seq),
                    f'{row.created_at:%Y-%m-%d}',
                    f'{row.created_at:%H:%M:%S.%f}',
                    row.event_type,
                    row.publisher_id,
                    'published',
                    row.message_id,
                ]
                for row in rows
            ],
            [line.split() for line in lines],
        )

    def test_all_servers_as_it_happened(self):
        one, other = self.make_history()
        lines = [
            line.split()
            for line in self.run_ok('notifications', 'list').splitlines()
        ]
        for uuid in (one, other):
            self.assertEqual(
                [row.message_id for row in self.rows(uuid)],
                [line[-1] for line in lines if line[0] == uuid],
            )
        moments = [tuple(line[2:4]) for line in lines]
        self.assertEqual(sorted(moments), moments)

    def test_unpublished(self):
        one, _ = self.make_history()
        self.unpublish(one, 10)
        lines = self.run_ok(
            'notifications', 'list', '--unpublished'
        ).splitlines()
        self.assertEqual(
            [(str(row.seq), 'unpublished') for row in self.rows(one)[9:]],
            [(line.split()[1], line.split()[6]) for line in lines],
        )

    def test_a_period(self):
        one, _ = self.make_history()
        rows = self.rows(one)
        since, until = rows[2].created_at, rows[-1].created_at
        lines = self.run_ok(
            'notifications', 'list', '--instance', one,
            '--since', since.isoformat(), '--until', until.isoformat(),
        ).splitlines()  # fmt: skip
        self.assertEqual(
            [str(r.seq) for r in rows if since <= r.created_at < until],
            [line.split()[0] for line in lines],
        )
        self.assertNotEqual([], lines)

    def test_as_consumers_get_it(self):
        with self.cloud() as cloud:
            uuid = cloud.boot()
            received = cloud.consumer.of_instance(uuid)
        lines = [json.loads(line) for line in self.list_json()]
        self.assertEqual({'2.0'}, {line['oslo.version'] for line in lines})
        bodies = [json.loads(line['oslo.message']) for line in lines]
        self.assertEqual(
            received,
            [
                (
                    body['event_type'],
                    body['publisher_id'],
                    body['payload'],
                    {
                        'message_id': body['message_id'],
                        'timestamp': body['timestamp'],
                    },
                )
                for body in bodies
            ],
        )
        self.assertEqual('user', bodies[0]['_context_user_id'])

    def test_unknown_server(self):
        self.open()
        for command in (['list'], ['replay'], ['verify', '-']):
            line = self.run_refused(
                1, 'notifications', *command, '--instance', UNKNOWN_ID
            )
            self.assertIn('could not be found', line)

    def test_invalid_arguments(self):
        for words in (
            ['list', '--instance', 'x'],
            ['list', '--since', 'yesterday'],
            ['replay', '--all', '--to-queue', 'amq.gen'],
            ['replay', '--all', '--after', f'{UNKNOWN_ID}:x'],
        ):
            code, out, err = self.run_manage('notifications', *words)
            self.assertEqual((2, ''), (code, out), words)
            self.assertIn(words[-1], err.splitlines()[-1])


class ReplayTest(LedgerTestCase):
    """minova-manage notifications replay."""

    def setUp(self):
        super().setUp()
        self.patch_bus()

    def test_everything(self):
        one, other = self.make_history()
        total = len(self.rows(one)) + len(self.rows(other))
        self.assertEqual(
            f'{total} notifications would be replayed.\n',
            self.run_ok('notifications', 'replay', '--all', '--dry-run'),
        )
        consumer = self.start_consumer()
        self.assertEqual([], consumer.received)
        self.assertEqual(
            f'{total} notifications were replayed.\n',
            self.run_ok('notifications', 'replay', '--all'),
        )
        self.wait_for(lambda: len(consumer.received) == total)
        for uuid in (one, other):
            self.assertEqual(
                [
                    (r.event_type, r.publisher_id, r.payload, r.message_id)
                    for r in self.rows(uuid)
                ],
                [
                    (*h[:3], h[3]['message_id'])
                    for h in consumer.of_instance(uuid)
                ],
            )

    def test_only_some(self):
        one, other = self.make_history()
        consumer = self.start_consumer()
        rows = self.rows(other)
        since = rows[0].created_at.isoformat()
        for words, count in (
            (('--instance', other), len(rows)),
            (('--since', since), len(rows)),
            (('--since', since, '--until', since), 0),
        ):
            self.assertEqual(
                f'{count} notifications were replayed.\n',
                self.run_ok('notifications', 'replay', *words),
            )
        self.wait_for(lambda: len(consumer.received) == 2 * len(rows))
        self.assertEqual([], consumer.of_instance(one))

    def test_unpublished_rows_are_not_replayed(self):
        one, _ = self.make_history()
        self.unpublish(one, 8)
        left = len(self.rows(one)) - 7
        consumer = self.start_consumer()
        for words in (['--dry-run'], []):
            out = self.run_ok(
                'notifications', 'replay', '--instance', one, *words
            )
            self.assertRegex(out, r'\A7 notifications w')
            self.assertIn(
                f'\n{left} are unpublished and not replayed; the relay', out
            )
        self.wait_for(lambda: len(consumer.received) == 7)
        self.assertEqual(
            [row.message_id for row in self.rows(one)[:7]],
            [received[3]['message_id'] for received in consumer.received],
        )

    def test_interrupted_and_continued(self):
        one, other = sorted(self.make_history())
        total = len(self.rows(one)) + len(self.rows(other))
        consumer = self.start_consumer()
        publish = oslo_bus.OsloBus().publish.__func__
        sent = []

        def fails(bus, *args):
            if len(sent) == 5:
                raise exception.Unavailable(what='The broker', reason='gone')
            sent.append(args)
            publish(bus, *args)

        real = type(oslo_bus.OsloBus())
        self.patch(real, 'publish', fails)
        code, out, err = self.run_manage('notifications', 'replay', '--all')
        self.assertEqual(1, code)
        self.assertEqual(
            '5 notifications were replayed before the interruption.\n'
            f'To continue, add: --after {one}:5\n',
            out,
        )
        self.assertEqual(
            'minova-manage: The broker is unavailable at this time: gone\n',
            err,
        )
        self.patch(real, 'publish', publish)
        self.assertEqual(
            f'{total - 5} notifications were replayed.\n',
            self.run_ok(
                'notifications', 'replay', '--all', '--after', f'{one}:5'
            ),
        )
        self.wait_for(lambda: len(consumer.received) == total)
        self.assertEqual(
            [r.message_id for u in (one, other) for r in self.rows(u)],
            [received[3]['message_id'] for received in consumer.received],
        )

    def test_selection_is_required(self):
        line = self.refused_by('replay', 2, 'notifications', 'replay')
        self.assertIn('--all', line)

    def refused_by(self, name, code, *words):
        found, out, err = self.run_manage(*words)
        self.assertEqual((code, ''), (found, out))
        self.assertRegex(err, rf'\Aminova-manage notifications {name}: .+\n\Z')
        return err

    def test_unreachable_transport(self):
        self.make_history()
        self.patch(type(oslo_bus.OsloBus()), 'is_local', True)
        code, _, err = self.run_manage('notifications', 'replay', '--all')
        self.assertEqual(2, code)
        self.assertIn('limited to one process', err)


class VerifyTest(LedgerTestCase):
    """minova-manage notifications verify."""

    def setUp(self):
        super().setUp()
        self.one, self.other = self.make_history()
        self.lines = self.list_json()

    def bodies(self):
        return [json.loads(json.loads(x)['oslo.message']) for x in self.lines]

    def verify(self, lines, *words):
        """Return exit code and output over a log of these lines."""
        file = self.write('log', ''.join(f'{line}\n' for line in lines))
        code, out, err = self.run_manage(
            'notifications', 'verify', file, *words
        )
        self.assertEqual('', err)
        return code, out

    def found(self, lines, *words):
        """Return the findings of a log: server and number of each."""
        code, out = self.verify(lines, '--json', *words)
        report = json.loads(out)
        wrong = {
            kind: [(f['instance'], f['seq']) for f in report[kind]]
            for kind in ('missing', 'out_of_order', 'altered', 'unknown')
            if report[kind]
        }
        self.assertEqual((1, False) if wrong else (0, True),
                         (code, report['clean']))  # fmt: skip
        return report, wrong

    def of(self, uuid):
        """Return the line numbers of a server."""
        return [
            number
            for number, body in enumerate(self.bodies())
            if body['payload']['instance_id'] == uuid
        ]

    def test_clean(self):
        total = len(self.lines)
        code, out = self.verify(self.lines)
        self.assertEqual(0, code)
        self.assertEqual(
            f'{total} received, {total} emitted for 2 servers\n'
            'Nothing is missing, out of order, altered or unknown.\n',
            out,
        )

    def test_bare_bodies_and_empty_lines(self):
        bare = [json.dumps(body, indent=None) for body in self.bodies()]
        self.assertEqual(0, self.verify([*bare, ''])[0])

    def test_servers_may_be_mixed(self):
        mixed = [
            self.lines[n] for n in (*self.of(self.other), *self.of(self.one))
        ]
        self.assertEqual(0, self.verify(mixed)[0])

    def test_missing(self):
        own = self.of(self.other)
        gap = {own[2], own[3], own[6]}
        lines = [x for n, x in enumerate(self.lines) if n not in gap]
        code, out = self.verify(lines)
        self.assertEqual(1, code)
        self.assertIn(
            'missing: 3\n'
            f'  {self.other} numbers 3 to 4\n'
            f'  {self.other} number 7\n',
            out,
        )
        _, wrong = self.found(lines)
        self.assertEqual(
            {'missing': [(self.other, n) for n in (3, 4, 7)]}, wrong
        )

    def test_the_id_of_a_gap_is_known_beforehand(self):
        lines = [
            x for n, x in enumerate(self.lines) if n != self.of(self.one)[4]
        ]
        report, _ = self.found(lines)
        self.assertEqual(
            str(uuids.uuid5(uuids.UUID(self.one), '5')),
            report['missing'][0]['message_id'],
        )

    def test_unpublished_rows_are_not_missing(self):
        self.unpublish(self.one, 9)
        waiting = len(self.rows(self.one)) - 8
        lines = [
            x
            for n, x in enumerate(self.lines)
            if n not in self.of(self.one)[8:]
        ]
        code, out = self.verify(lines)
        self.assertEqual(0, code)
        self.assertIn(f'({waiting} not published yet)', out)

    def test_duplicates_are_no_error(self):
        again = [*self.lines, self.lines[0], self.lines[3]]
        code, out = self.verify(again)
        self.assertEqual(0, code)
        self.assertIn('(2 received twice or more)', out)

    def test_out_of_order(self):
        own = self.of(self.one)
        lines = list(self.lines)
        lines[own[3]], lines[own[4]] = lines[own[4]], lines[own[3]]
        report, wrong = self.found(lines)
        self.assertEqual({'out_of_order': [(self.one, 4)]}, wrong)
        self.assertEqual(own[4] + 1, report['out_of_order'][0]['line'])
        # A repeated notification counts at its first position.
        _, wrong = self.found([*self.lines, self.lines[own[0]]])
        self.assertEqual({}, wrong)

    def altered(self, number, **values):
        body = self.bodies()[number]
        payload = body['payload'] | values.pop('payload', {})
        return json.dumps(body | values | {'payload': payload})

    def test_altered(self):
        number = self.of(self.one)[5]
        for values in (
            {'payload': {'memory_mb': 1}},
            {'payload': {'instance_id': self.other}},
            {'event_type': 'compute.instance.exists'},
            {'timestamp': '2020-01-01 00:00:00.000000'},
        ):
            lines = list(self.lines)
            lines[number] = self.altered(number, **values)
            _, wrong = self.found(lines)
            self.assertEqual({'altered': [(self.one, 6)]}, wrong, values)
        # The order of keys makes no difference.
        body = self.bodies()[number]
        turned = dict(reversed(body['payload'].items()))
        lines[number] = json.dumps(body | {'payload': turned})
        self.assertEqual({}, self.found(lines)[1])

    def test_altered_when_it_came_again(self):
        number = self.of(self.one)[5]
        other = self.altered(number, payload={'memory_mb': 1})
        report, wrong = self.found([*self.lines, self.lines[number], other])
        self.assertEqual({'altered': [(self.one, 6)]}, wrong)
        self.assertEqual(len(self.lines) + 2, report['altered'][0]['line'])

    def test_unknown(self):
        strange = [
            self.altered(0, message_id=UNKNOWN_ID),
            self.altered(0, message_id='no uuid at all'),
        ]
        code, out = self.verify([*self.lines, *strange])
        self.assertEqual(1, code)
        end = len(self.lines)
        self.assertIn(
            'unknown: 2\n'
            f'  line {end + 1}: {UNKNOWN_ID}\n'
            f'  line {end + 2}: no uuid at all\n',
            out,
        )

    def test_only_one_server(self):
        words = ('--instance', self.other)
        code, out = self.verify(self.lines, *words)
        self.assertEqual(0, code)
        left = len(self.of(self.one))
        self.assertIn(f'({left} outside the scope)', out)
        # A notification that names another server counts as its sender's.
        number = self.of(self.other)[2]
        lines = list(self.lines)
        lines[number] = self.altered(number, payload={'instance_id': self.one})
        self.assertEqual(
            {'altered': [(self.other, 3)]}, self.found(lines, *words)[1]
        )
        strange = self.altered(
            number, message_id=UNKNOWN_ID, payload={'instance_id': self.other}
        )
        self.assertEqual(
            {'unknown': [(None, None)]},
            self.found([*self.lines, strange], *words)[1],
        )

    def test_only_a_period(self):
        rows = self.rows(self.other)
        since = rows[0].created_at.isoformat()
        words = ('--since', since)
        report, wrong = self.found(self.lines, *words)
        self.assertEqual({}, wrong)
        self.assertEqual(len(rows), report['notifications'])
        _, wrong = self.found(self.lines[: self.of(self.one)[-1]], *words)
        self.assertEqual(
            {'missing': [(self.other, row.seq) for row in rows]}, wrong
        )
        # Nothing is expected before the period.
        _, wrong = self.found(
            [x for n, x in enumerate(self.lines) if n != 1], *words
        )
        self.assertEqual({}, wrong)

    def test_many_findings_are_not_all_named(self):
        shuffled = [*self.lines[1::2], *self.lines[::2]]
        code, out = self.verify(shuffled)
        self.assertEqual(1, code)
        self.assertLess(len(out.splitlines()), 16)
        self.assertIn('--json lists all', out)

    def test_invalid_log_file(self):
        for line, reason in (
            ('{"half', 'no JSON'),
            ('[]', 'no JSON object'),
            ('{"message_id": "x"}', 'it has no publisher_id'),
            ('{"oslo.version": "2.0", "oslo.message": "x"}', 'no JSON'),
            ('{"oslo.version": "2.0", "oslo.message": 1}', 'no JSON'),
            (self.altered(0, message_id=1), 'its message_id'),
            (json.dumps(self.bodies()[0] | {'payload': 1}), 'its payload'),
        ):
            file = self.write('log', f'{self.lines[0]}\n\n{line}\n')
            code, out, err = self.run_manage('notifications', 'verify', file)
            self.assertEqual((2, ''), (code, out), line)
            self.assertRegex(
                err,
                r'\Aminova-manage notifications verify: .*log: line 3 is not '
                rf'a notification: {reason}.*\n\Z',
            )
        code, out, err = self.run_manage(
            'notifications', 'verify', self.path('nothing')
        )
        self.assertEqual((2, ''), (code, out))
        self.assertIn('No such file', err)

    def test_stdin(self):
        text = '\n'.join(self.lines).encode()
        self.patch(sys, 'stdin', io.TextIOWrapper(io.BytesIO(text)))
        out = self.run_ok('notifications', 'verify', '-')
        self.assertIn('Nothing is missing', out)

    def test_memory_does_not_grow_with_payloads(self):
        size, count = 10**5, 200

        def lines():
            for number in range(count):
                yield self.altered(
                    0,
                    message_id=str(uuids.UUID(int=number)),
                    payload={'x': str(number) * size},
                ).encode()

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        report = verify.verify(lines(), iter(()), Scope())
        _, peak = tracemalloc.get_traced_memory()
        self.assertEqual(count, len(report.unknown))
        self.assertLess(peak, size * count / 2)

# SPDX-License-Identifier: Apache-2.0
"""What happens to a step without its host, or past the deadline."""

import datetime
from types import SimpleNamespace

from minova import clock
from minova import exception
from minova import flows
from minova.engine import next_steps
from minova.engine import recovery_rules
from minova.engine.recovery_rules import AtDeadline
from minova.engine.recovery_rules import WithoutHost
from minova.exception import serialization
from minova.objects.checkpoints import GuestMigrated
from tests import base

NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


def step(method, **values):
    """Return a step that has not started."""
    known = {
        'method': method,
        'detached': False,
        'nested': False,
        'undoes': None,
        'started_at': None,
        'checkpoints': [],
        'error': None,
    }
    return SimpleNamespace(**known | values)


def operation(kind, late=False, owns=True):
    """Return an operation, before or after its deadline."""
    deadline = NOW + datetime.timedelta(seconds=-1 if late else 1)
    return SimpleNamespace(kind=kind, deadline=deadline, owns_instance=owns)


class WithoutHostTest(base.TestCase):
    """A host is down."""

    def decide(self, kind, one, **values):
        return recovery_rules.without_host(
            flows.get_step(kind, one.method),
            one,
            operation(kind, **values),
            NOW,
        )

    def test_decisions(self):
        for kind, one, values, expected in (
            ('stop', step('stop_instance'), {}, WithoutHost.UNWIND),
            (
                'stop',
                step('stop_instance', started_at=NOW),
                {},
                WithoutHost.WAIT,
            ),
            (
                'stop',
                step('stop_instance', started_at=NOW),
                {'late': True},
                WithoutHost.WAIT,
            ),
            (
                'create',
                step('build_and_run_instance', started_at=NOW),
                {},
                WithoutHost.WAIT_UNTIL_DEADLINE,
            ),
            (
                'create',
                step('build_and_run_instance', started_at=NOW),
                {'late': True},
                WithoutHost.FAIL,
            ),
            ('delete', step('terminate_instance'), {}, WithoutHost.FINISH),
            (
                'delete',
                step('cleanup_stale_guest', detached=True),
                {},
                WithoutHost.WAIT_DETACHED,
            ),
            (
                'confirm_resize',
                step('confirm_resize'),
                {'owns': False},
                WithoutHost.WAIT_DETACHED,
            ),
            # Operations beside the owner end too.
            *(
                (kind, step(method), {'owns': False, 'late': late}, expected)
                for kind, method in (
                    ('trigger_crash_dump', 'trigger_crash_dump'),
                    ('abort_live_migrate', 'live_migration_abort'),
                    ('force_live_migrate', 'live_migration_force_complete'),
                )
                for late, expected in (
                    (False, WithoutHost.WAIT_UNTIL_DEADLINE),
                    (True, WithoutHost.FAIL),
                )
            ),
            (
                'discard_snapshot',
                step('discard_image'),
                {'owns': False, 'late': True},
                WithoutHost.WAIT_DETACHED,
            ),
            (
                'resize',
                step('undo_prep_resize', undoes='a step'),
                {},
                WithoutHost.DETACH_UNDO,
            ),
            (
                'resize',
                step('undo_finish_resize', undoes='a step'),
                {},
                WithoutHost.WAIT,
            ),
            # The caller of a nested step may have run it.
            (
                'live_migrate',
                step('pre_live_migration', nested=True),
                {},
                WithoutHost.WAIT,
            ),
        ):
            self.assertEqual(
                expected, self.decide(kind, one, **values), (kind, one)
            )

    def test_unknown_outcome_waits(self):
        error = exception.OutcomeUncertain(
            instance_id='x', operation='stop', reason='no answer'
        )
        one = step('stop_instance', error=serialization.encode(error))
        self.assertEqual(WithoutHost.WAIT, self.decide('stop', one))


class AtDeadlineTest(base.TestCase):
    """The deadline has passed, the host is up."""

    def decide(self, kind, one, is_running=False, **values):
        return recovery_rules.at_deadline(
            flows.get_step(kind, one.method),
            one,
            operation(kind, late=True, **values),
            is_running,
        )

    def test_decisions(self):
        for kind, one, values, expected in (
            ('stop', step('stop_instance'), {}, AtDeadline.UNWIND),
            (
                'stop',
                step('stop_instance'),
                {'is_running': True},
                AtDeadline.LET_FINISH,
            ),
            (
                'stop',
                step('stop_instance'),
                {'owns': False},
                AtDeadline.LET_FINISH,
            ),
            (
                'delete',
                step('cleanup_stale_guest', detached=True),
                {},
                AtDeadline.LET_FINISH,
            ),
            ('create', step('build_instances'), {}, AtDeadline.UNWIND),
            ('delete', step('terminate_instance'), {}, AtDeadline.GIVE_UP),
            (
                'resize',
                step('undo_prep_resize', undoes='a step'),
                {},
                AtDeadline.DETACH_UNDO,
            ),
            (
                'live_migrate',
                step('live_migration', checkpoints=[GuestMigrated()]),
                {},
                AtDeadline.GIVE_UP,
            ),
        ):
            self.assertEqual(
                expected, self.decide(kind, one, **values), (kind, one)
            )


class PredictionTest(base.TestCase):
    """Each decision has a text that operators read."""

    def predict(self, one, service, late=False):
        values = {
            'host': 'a',
            'state': 'pending',
            'operation_id': 'own',
            'attempts': 0,
            'not_before': None,
            'incarnation': None,
            'created_at': clock.now(),
        }
        for name, value in values.items():
            setattr(one, name, value)
        owner = operation('resize', late)
        return next_steps._predict_step(one, owner, service, [])

    def test_every_decision_has_a_text(self):
        self.assertEqual(set(WithoutHost), set(next_steps._WITHOUT_HOST))
        self.assertEqual(set(AtDeadline), set(next_steps._AT_DEADLINE))

    def test_host_is_named(self):
        found = self.predict(
            step('undo_prep_resize', undoes='a step'), service=None
        )
        self.assertEqual(
            "at the sweeper's next round the operation ends before the step; "
            'the step starts when the compute of a registers again',
            found.action,
        )
        self.assertEqual('', found.at_deadline)

    def test_undo_at_the_deadline(self):
        service = SimpleNamespace(
            forced_down=False,
            fenced_at=None,
            heartbeat_age=0,
            incarnation='now',
        )
        found = self.predict(
            step('undo_prep_resize', undoes='a step'), service
        )
        self.assertEqual('attempt 1 at the next heartbeat of a', found.action)
        self.assertEqual(
            'the operation ends before the step', found.at_deadline
        )

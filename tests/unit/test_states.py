# SPDX-License-Identifier: Apache-2.0
"""The state table of instances and the functions that read it."""

import dataclasses

from hypothesis import given
from hypothesis import strategies

from minova import exception
from minova import states
from minova.states import Ownership
from minova.states import PowerState
from tests import base


@dataclasses.dataclass
class Row:
    """The fields of an instance that the table reads."""

    vm_state: str
    task_state: str | None = None
    task_id: str | None = None
    generation: int = 3
    uuid: str = 'the-instance'

    def apply(self, change):
        for name, value in dataclasses.asdict(change).items():
            setattr(self, name, value)


kinds = strategies.sampled_from(sorted(states.TABLE))
vm_states = strategies.sampled_from(states.VM_STATES)


#: Owners of an instance for which the Compute API shows no transition.
WITHOUT_TASK_STATE = {
    'attach_interface',
    'detach_interface',
    'add_fixed_ip',
    'remove_fixed_ip',
    'reset_state',
}


class TableTest(base.TestCase):
    """The rows are complete and consistent."""

    def test_rows(self):
        for rule in states.TABLE.values():
            self.assertEqual(
                set(), set(rule.from_states) - set(states.VM_STATES)
            )
            ends = {*states.VM_STATES, states.SAME, states.ORIGIN}
            self.assertIn(rule.success_state, ends)
            self.assertIn(rule.failure_state, {states.SAME, states.ERROR})
            self.assertGreater(rule.timeout, 0)
            if rule.owns_instance:
                self.assertEqual(
                    rule.kind in WITHOUT_TASK_STATE,
                    not rule.task_states,
                    rule.kind,
                )

    def test_deleted_is_final(self):
        for rule in states.TABLE.values():
            if states.DELETED in rule.from_states:
                self.assertEqual(Ownership.CONCURRENT, rule.ownership)
                self.assertEqual(states.SAME, rule.success_state)

    def test_force_delete_always_wins(self):
        for vm_state in states.NOT_DELETED:
            for task in (None, 'migrating', 'deleting', 'resize_finish'):
                row = Row(vm_state, task, task and 'other')
                states.check_begin('force_delete', row)
                states.check_begin('delete', row)


class TransitionsTest(base.TestCase):
    """An operation from its begin to its end."""

    @given(kinds, vm_states)
    def test_begin(self, kind, vm_state):
        row = Row(vm_state)
        rule = states.TABLE[kind]
        beside = rule.ownership is Ownership.CONCURRENT and rule.task_states
        if vm_state not in rule.from_states or beside:
            self.assertRaises(
                exception.InstanceInvalidState, states.check_begin, kind, row
            )
            return
        change = states.begin(states.check_begin(kind, row), row, 'me')
        self.assertEqual(vm_state, change.vm_state)
        self.assertEqual('me' if rule.owns_instance else None, change.task_id)
        self.assertEqual(
            (rule.task_states or (None,))[0] if rule.owns_instance else None,
            change.task_state,
        )
        self.assertEqual(
            3 if rule.ownership is Ownership.CONCURRENT else 4,
            change.generation,
        )

    @given(kinds, vm_states)
    def test_busy_instance_refuses(self, kind, vm_state):
        row = Row(vm_state, 'migrating', 'other')
        rule = states.TABLE[kind]
        if rule.ownership in (Ownership.EXCLUSIVE, Ownership.IMMEDIATE):
            error = self.assertRaises(
                exception.InstanceInvalidState, states.check_begin, kind, row
            )
            self.assertEqual(409, error.status)

    @given(kinds, strategies.booleans())
    def test_task_state_is_set_only_while_it_is_owned(self, kind, well):
        rule = states.TABLE[kind]
        if not rule.owns_instance:
            return
        row = Row(rule.from_states[0])
        row.apply(states.begin(states.check_begin(kind, row), row, 'me'))
        for task in rule.task_states:
            row.apply(states.advance(kind, row, task))
            self.assertEqual((task, 'me'), (row.task_state, row.task_id))
            self.assertEqual(rule.from_states[0], row.vm_state)
        change = (
            states.succeed(kind, row, old_vm_state=states.STOPPED)
            if well
            else states.fail(kind, row)
        )
        row.apply(change)
        self.assertIsNone(row.task_state)
        self.assertIsNone(row.task_id)
        self.assertEqual(4, row.generation)
        self.assertIn(row.vm_state, states.VM_STATES)

    @given(kinds, vm_states)
    def test_released_instance_is_fenced(self, kind, vm_state):
        rule = states.TABLE[kind]
        change = states.release_instance(
            Row(vm_state, 'any task', 'lost'), kind
        )
        self.assertEqual((None, None), (change.task_state, change.task_id))
        self.assertEqual(4, change.generation)
        error = rule.failure_state == states.ERROR
        self.assertEqual(states.ERROR if error else vm_state, change.vm_state)

    def test_release_without_owner(self):
        for vm_state in states.NOT_DELETED:
            change = states.release_instance(Row(vm_state, 'any task'), None)
            building = vm_state == states.BUILDING
            self.assertEqual(
                states.ERROR if building else vm_state, change.vm_state
            )

    def test_task_state_never_goes_back(self):
        row = Row(states.BUILDING, 'spawning', 'me')
        self.assertRaises(
            ValueError, states.advance, 'create', row, 'networking'
        )
        self.assertRaises(
            ValueError, states.advance, 'create', row, 'migrating'
        )
        row.apply(states.restart('create', row))
        self.assertEqual('scheduling', row.task_state)

    def test_ends(self):
        for kind, before, origin, after in (
            ('create', states.BUILDING, None, states.ACTIVE),
            ('resize', states.STOPPED, None, states.RESIZED),
            ('confirm_resize', states.RESIZED, states.STOPPED, states.STOPPED),
            ('revert_resize', states.RESIZED, None, states.ACTIVE),
            ('live_migrate', states.PAUSED, None, states.PAUSED),
            ('delete', states.ERROR, None, states.DELETED),
        ):
            row = Row(before, None, 'me')
            change = states.succeed(kind, row, origin)
            self.assertEqual(after, change.vm_state, kind)

    def test_failures(self):
        for kind, before, lost, after in (
            ('create', states.BUILDING, False, states.ERROR),
            ('reboot_hard', states.ACTIVE, False, states.ACTIVE),
            ('reboot_hard', states.ACTIVE, True, states.ERROR),
            ('delete', states.ACTIVE, False, states.ERROR),
            ('resize', states.STOPPED, False, states.STOPPED),
            ('resize', states.STOPPED, True, states.ERROR),
            ('live_migrate', states.PAUSED, False, states.PAUSED),
        ):
            row = Row(before, None, 'me')
            change = states.fail(kind, row, lost)
            self.assertEqual(after, change.vm_state, kind)

    def test_refusal_names_the_state(self):
        error = self.assertRaises(
            exception.InstanceInvalidState,
            states.check_begin,
            'live_migrate',
            Row(states.STOPPED),
        )
        self.assertEqual(
            "Cannot 'os-migrateLive' instance the-instance while it is in "
            'vm_state stopped; it must be active or paused',
            str(error),
        )
        error = self.assertRaises(
            exception.InstanceInvalidState,
            states.check_begin,
            'reboot_soft',
            Row(states.ACTIVE, 'migrating', 'other'),
        )
        self.assertEqual(
            "Cannot 'reboot' instance the-instance while it is in "
            'task_state migrating; try again when that operation has ended',
            str(error),
        )
        for kind, row, needed in (
            ('start', Row(states.ACTIVE), 'it must be stopped'),
            ('abort_live_migrate', Row(states.ACTIVE), 'it must be migrating'),
        ):
            error = self.assertRaises(
                exception.InstanceInvalidState, states.check_begin, kind, row
            )
            self.assertEqual(needed, str(error).rpartition('; ')[2])


class StatusTest(base.TestCase):
    """The names of states in the Compute API and in EC2."""

    def test_status(self):
        for vm_state, task_state, word in (
            ('building', 'spawning', 'BUILD'),
            ('active', None, 'ACTIVE'),
            ('active', 'powering-off', 'ACTIVE'),
            ('active', 'rebooting', 'REBOOT'),
            ('active', 'reboot_started_hard', 'HARD_REBOOT'),
            ('active', 'migrating', 'MIGRATING'),
            ('paused', 'migrating', 'MIGRATING'),
            ('active', 'resize_migrated', 'RESIZE'),
            ('stopped', 'resize_prep', 'RESIZE'),
            ('stopped', None, 'SHUTOFF'),
            ('resized', None, 'VERIFY_RESIZE'),
            ('resized', 'resize_reverting', 'REVERT_RESIZE'),
            ('error', None, 'ERROR'),
            ('soft-delete', None, 'SOFT_DELETED'),
            ('deleted', None, 'DELETED'),
            ('rescued', None, 'RESCUE'),
            ('something', None, 'UNKNOWN'),
        ):
            self.assertEqual(word, states.api_status(vm_state, task_state))

    def test_and_back(self):
        self.assertEqual(('active',), states.vm_states_for_status('ACTIVE'))
        self.assertEqual(
            ('active', 'stopped'), states.vm_states_for_status('resize')
        )
        self.assertEqual((), states.vm_states_for_status('nonsense'))

    def test_ec2(self):
        for vm_state, task_state, word in (
            ('building', None, 'pending'),
            ('active', None, 'running'),
            ('resized', None, 'running'),
            ('active', 'powering-off', 'stopping'),
            ('active', 'deleting', 'shutting-down'),
            ('deleted', None, 'terminated'),
            ('soft-delete', None, 'terminated'),
        ):
            self.assertEqual(word, states.ec2_state(vm_state, task_state))
        self.assertEqual('stopped', states.ec2_state('stopped', None))
        self.assertEqual('terminated', states.ec2_state('stopped', None, True))

    def test_old_codes_are_read(self):
        self.assertEqual(
            [
                PowerState.RUNNING,
                PowerState.SHUTDOWN,
                PowerState.NOSTATE,
                PowerState.NOSTATE,
            ],
            [PowerState(code) for code in (2, 5, 8, 9)],
        )
        self.assertRaises(ValueError, PowerState, 10)

# SPDX-License-Identifier: Apache-2.0
"""The states of an instance: one table, and functions that read it.

Three fields describe an instance:

* ``power_state``: the state of the guest in the hypervisor, a snapshot.
* ``vm_state``: the stable state. It changes only when an operation ends, or by
  power reconciliation when no operation is live.
* ``task_state``: the transition in progress. It is set when an operation
  begins and None when the operation releases the instance. An operation that
  the Compute API shows as no transition owns the instance without one.

Rules are data: when an operation may begin, which task states it passes, how
it ends, which status the API shows, which diagram is drawn. ``begin``,
``advance``, ``restart``, ``succeed``, ``fail``, ``set_vm_state`` and
``release_instance`` compute a change; the holder of the row writes it. No
other module assigns ``vm_state``, ``task_state`` or ``task_id`` (a test walks
the code). ``migration_states`` is the table of the other state machine.
"""

import dataclasses
import enum
from typing import Final
from typing import Protocol

from minova import exception


class PowerState(enum.IntEnum):
    """The state of a guest; the numbers are the Compute API's."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7

    @classmethod
    def _missing_(cls, value: object) -> 'PowerState | None':
        """Return the state for a code that only old stores hold."""
        old = {2: cls.RUNNING, 5: cls.SHUTDOWN, 8: cls.NOSTATE, 9: cls.NOSTATE}
        return old.get(value) if isinstance(value, int) else None


#: A guest in one of these uses its disks and memory.
POWERED_ON: Final = (PowerState.RUNNING, PowerState.PAUSED)

BUILDING: Final = 'building'
ACTIVE: Final = 'active'
PAUSED: Final = 'paused'
SUSPENDED: Final = 'suspended'
STOPPED: Final = 'stopped'
RESCUED: Final = 'rescued'
RESIZED: Final = 'resized'
SOFT_DELETE: Final = 'soft-delete'
DELETED: Final = 'deleted'
ERROR: Final = 'error'
SHELVED: Final = 'shelved'
SHELVED_OFFLOADED: Final = 'shelved_offloaded'

# fmt: off
NOT_DELETED: Final = (
    BUILDING, ACTIVE, PAUSED, SUSPENDED, STOPPED, RESCUED, RESIZED,
    SOFT_DELETE, ERROR, SHELVED, SHELVED_OFFLOADED,
)
# fmt: on
VM_STATES: Final = (*NOT_DELETED, DELETED)
#: The servers that a quota counts.
COUNTED: Final = tuple(state for state in NOT_DELETED if state != SOFT_DELETE)

#: In a rule: the vm_state does not change.
SAME: Final = '='
#: In a rule: the vm_state that the flow names, as that before a resize.
ORIGIN: Final = 'origin'


class Ownership(enum.Enum):
    """How an operation takes the instance."""

    EXCLUSIVE = 'needs an instance without an owner and owns it'
    PREEMPT = 'ends the owner and owns the instance'
    IMMEDIATE = (
        'needs an instance without an owner, changes it at once, owns nothing'
    )
    PREEMPT_IMMEDIATE = (
        'ends the owner, changes the instance at once, owns nothing'
    )
    CONCURRENT = 'runs beside the operation that owns the instance'


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of the table."""

    kind: str
    from_states: tuple[str, ...]
    task_states: tuple[str, ...]
    success_state: str
    failure_state: str
    ownership: Ownership
    #: Seconds from the begin until the sweeper ends the operation.
    timeout: int
    #: The verb in the text of a 409: "Cannot 'reboot' instance ...".
    api_verb: str
    #: The name of the instance action in the Compute API.
    action_name: str

    @property
    def owns_instance(self) -> bool:
        """Tell whether the instance's task_id names the operation."""
        return self.ownership in (Ownership.EXCLUSIVE, Ownership.PREEMPT)


_EXCLUSIVE: Final = Ownership.EXCLUSIVE
_CONCURRENT: Final = Ownership.CONCURRENT
_PREEMPT_IMMEDIATE: Final = Ownership.PREEMPT_IMMEDIATE
_BUILD: Final = 'scheduling networking block_device_mapping spawning'
_SOFT_REBOOT: Final = 'rebooting reboot_pending reboot_started'
_HARD_REBOOT: Final = 'rebooting_hard reboot_pending_hard reboot_started_hard'
_RESIZE: Final = 'resize_prep resize_migrating resize_migrated resize_finish'
_REBUILD: Final = 'rebuilding rebuild_block_device_mapping rebuild_spawning'
_SNAPSHOT: Final = (
    'image_snapshot_pending image_snapshot image_pending_upload '
    'image_uploading'
)
_BACKUP: Final = 'image_backup image_pending_upload image_uploading'
_SNAPSHOTTABLE: Final = 'active stopped paused suspended'
_SHELVE: Final = (
    'shelving shelving_image_pending_upload shelving_image_uploading'
)
_UNSHELVABLE: Final = 'shelved shelved_offloaded'
_REBOOTABLE: Final = 'active stopped paused suspended error'
_RESCUABLE: Final = 'active stopped error'
_SOFT_DELETABLE: Final = (
    'active paused suspended stopped rescued error soft-delete shelved '
    'shelved_offloaded'
)
_ATTACHABLE: Final = 'active stopped paused'
_REBUILDABLE: Final = 'active stopped error'
_INTERRUPTIBLE: Final = 'active paused rescued resized error'

# fmt: off
_ROWS: Final = (
    # kind                   begins from       task states, in order ends in    fails in takes it             within s
    ('create',               'building',       _BUILD,               ACTIVE,    ERROR,   _EXCLUSIVE,              1800),
    ('start',                'stopped',        'powering-on',        ACTIVE,    SAME,    _EXCLUSIVE,               600),
    ('stop',                 'active error',   'powering-off',       STOPPED,   SAME,    _EXCLUSIVE,               600),
    ('enforce_stop',         'stopped',        'powering-off',       SAME,      SAME,    _EXCLUSIVE,               600),
    ('pause',                'active',         'pausing',            PAUSED,    SAME,    _EXCLUSIVE,               300),
    ('enforce_pause',        'paused',         'pausing',            SAME,      SAME,    _EXCLUSIVE,               300),
    ('unpause',              'paused',         'unpausing',          ACTIVE,    SAME,    _EXCLUSIVE,               300),
    ('suspend',              'active',         'suspending',         SUSPENDED, SAME,    _EXCLUSIVE,              1800),
    ('resume',               'suspended',      'resuming',           ACTIVE,    SAME,    _EXCLUSIVE,              1800),
    ('rescue',               _RESCUABLE,       'rescuing',           RESCUED,   SAME,    _EXCLUSIVE,              1800),
    ('unrescue',             'rescued',        'unrescuing',         ACTIVE,    SAME,    _EXCLUSIVE,              1800),
    ('reboot_soft',          'active',         _SOFT_REBOOT,         ACTIVE,    SAME,    _EXCLUSIVE,               900),
    ('reboot_hard',          _REBOOTABLE,      _HARD_REBOOT,         ACTIVE,    SAME,    _EXCLUSIVE,               900),
    ('rebuild',              _REBUILDABLE,     _REBUILD,             ORIGIN,    SAME,    _EXCLUSIVE,              1800),
    ('resize',               'active stopped', _RESIZE,              RESIZED,   SAME,    _EXCLUSIVE,              7200),
    ('migrate',              'active stopped', _RESIZE,              RESIZED,   SAME,    _EXCLUSIVE,              7200),
    ('confirm_resize',       'resized',        '',                   ORIGIN,    SAME,    Ownership.IMMEDIATE,      600),
    ('revert_resize',        'resized',        'resize_reverting',   ORIGIN,    SAME,    _EXCLUSIVE,              1800),
    ('live_migrate',         'active paused',  'migrating',          SAME,      SAME,    _EXCLUSIVE,              7200),
    ('abort_live_migrate',   'active paused',  'migrating',          SAME,      SAME,    _CONCURRENT,              600),
    ('force_live_migrate',   'active paused',  'migrating',          SAME,      SAME,    _CONCURRENT,              600),
    ('evacuate',             _RESCUABLE,       _REBUILD,             ORIGIN,    SAME,    Ownership.PREEMPT,       1800),
    ('snapshot',             _SNAPSHOTTABLE,   _SNAPSHOT,            SAME,      SAME,    _EXCLUSIVE,              7200),
    ('backup',               _SNAPSHOTTABLE,   _BACKUP,              SAME,      SAME,    _EXCLUSIVE,              7200),
    ('discard_snapshot',     'any, deleted',   '',                   SAME,      SAME,    _CONCURRENT,              600),
    ('delete',               'any',            'deleting',           DELETED,   ERROR,   Ownership.PREEMPT,        600),
    ('force_delete',         'any',            '',                   DELETED,   SAME,    _PREEMPT_IMMEDIATE,       600),
    ('soft_delete',          _SOFT_DELETABLE,  'soft-deleting',      SOFT_DELETE, SAME,  _EXCLUSIVE,               600),
    ('restore',              'soft-delete',    'restoring',          ORIGIN,    SAME,    _EXCLUSIVE,               600),
    ('attach_interface',     _ATTACHABLE,      '',                   SAME,      SAME,    _EXCLUSIVE,               900),
    ('detach_interface',     _ATTACHABLE,      '',                   SAME,      SAME,    _EXCLUSIVE,               900),
    ('add_fixed_ip',         _ATTACHABLE,      '',                   SAME,      SAME,    _EXCLUSIVE,               900),
    ('remove_fixed_ip',      _ATTACHABLE,      '',                   SAME,      SAME,    _EXCLUSIVE,               900),
    ('set_admin_password',   'active',         'updating_password',  SAME,      SAME,    _EXCLUSIVE,               300),
    ('trigger_crash_dump',   _INTERRUPTIBLE,   '',                   SAME,      SAME,    _CONCURRENT,              300),
    ('shelve',               _SNAPSHOTTABLE,   _SHELVE,              SHELVED,   SAME,    _EXCLUSIVE,              7200),
    ('shelve_offload',       'shelved',        'shelving_offloading', SHELVED_OFFLOADED, SAME, _EXCLUSIVE,          600),
    ('unshelve',             _UNSHELVABLE,     'unshelving spawning', ACTIVE,  SAME,    _EXCLUSIVE,              1800),
    ('reset_state',          'any',            '',                   ORIGIN,    SAME,    Ownership.PREEMPT,        600),
    ('lock',                 'any',            '',                   SAME,      SAME,    _CONCURRENT,              600),
    ('unlock',               'any',            '',                   SAME,      SAME,    _CONCURRENT,              600),
    ('power_sync',           'any',            '',                   SAME,      SAME,    _CONCURRENT,              600),
    ('cleanup_stale_guest',  'any, deleted',   '',                   SAME,      SAME,    _CONCURRENT,              600),
)

_NAMES: Final = {
    # kind:                (verb in a 409,       name of the instance action)
    'confirm_resize':      ('confirmResize',     'confirmResize'),
    'revert_resize':       ('revertResize',      'revertResize'),
    'live_migrate':        ('os-migrateLive',    'live-migration'),
    'abort_live_migrate':  ('abort',             'live_migration_cancel'),
    'force_live_migrate':  ('force_complete',    'live_migration_force_complete'),
    'enforce_stop':        ('stop',              'stop'),
    'enforce_pause':       ('pause',             'pause'),
    'reboot_soft':         ('reboot',            'reboot'),
    'reboot_hard':         ('reboot',            'reboot'),
    'set_admin_password':  ('changePassword',    'changePassword'),
    'force_delete':        ('forceDelete',       'forceDelete'),
    'shelve_offload':      ('shelveOffload',     'shelveOffload'),
    'soft_delete':         ('delete',            'delete'),
    'add_fixed_ip':        ('addFixedIp',        'addFixedIp'),
    'remove_fixed_ip':     ('removeFixedIp',     'removeFixedIp'),
    'snapshot':            ('createImage',       'createImage'),
    'backup':              ('createBackup',      'createBackup'),
    'discard_snapshot':    ('discardSnapshot',   'discardSnapshot'),
    'reset_state':         ('os-resetState',     'reset_state'),
    'cleanup_stale_guest': ('cleanupStaleGuest', 'cleanupStaleGuest'),
}
# fmt: on


def _rule(
    kind: str,
    from_states: str,
    task_states: str,
    success_state: str,
    failure_state: str,
    ownership: Ownership,
    timeout: int,
) -> Rule:
    every = {'any': NOT_DELETED, 'any, deleted': VM_STATES}
    from_ = every.get(from_states) or tuple(from_states.split())
    names = _NAMES.get(kind, (kind, kind))
    return Rule(
        kind,
        from_,
        tuple(task_states.split()),
        success_state,
        failure_state,
        ownership,
        timeout,
        *names,
    )


TABLE: Final = {row[0]: _rule(*row) for row in _ROWS}


class InstanceLike(Protocol):
    """The fields of an instance that this module reads."""

    uuid: str
    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


@dataclasses.dataclass(frozen=True)
class StateChange:
    """The new values of the four fields that only this module changes."""

    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


def check_begin(kind: str, row: InstanceLike) -> Rule:
    """Return the rule of ``kind``, which may begin on ``row``.

    Raises InstanceInvalidState, with the field that forbids the begin.
    """
    rule = TABLE[kind]
    if row.vm_state not in rule.from_states:
        raise _forbidden(rule, row, 'vm_state', row.vm_state)
    if rule.ownership is Ownership.CONCURRENT:
        if rule.task_states and row.task_state not in rule.task_states:
            raise _forbidden(rule, row, 'task_state', row.task_state)
    elif row.task_id is not None and rule.ownership in (
        Ownership.EXCLUSIVE,
        Ownership.IMMEDIATE,
    ):
        raise _forbidden(rule, row, 'task_state', row.task_state)
    return rule


def _forbidden(
    rule: Rule, row: InstanceLike, attribute: str, state: str | None
) -> exception.InstanceInvalidState:
    if attribute == 'vm_state':
        needed = f'it must be {_join_or(rule.from_states)}'
    elif rule.ownership is Ownership.CONCURRENT:
        needed = f'it must be {_join_or(rule.task_states)}'
    elif state is None:
        # The owner has no task state.
        attribute, state = 'another operation', 'such as an attachment'
        needed = 'try again when that operation has ended'
    else:
        needed = 'try again when that operation has ended'
    return exception.InstanceInvalidState(
        operation=rule.api_verb,
        instance_id=row.uuid,
        attribute=attribute,
        state=state,
        needed=needed,
    )


def _join_or(names: tuple[str, ...]) -> str:
    *others, last = names
    return f'{", ".join(others)} or {last}' if others else last


def begin(rule: Rule, row: InstanceLike, task_id: str) -> StateChange:
    """Return what the begin of operation ``task_id`` changes.

    ``rule`` is the answer of ``check_begin``. An operation that owns nothing
    leaves the vm_state to its end, which may lie in the same transaction.
    """
    if rule.ownership is Ownership.CONCURRENT:
        return StateChange(
            row.vm_state, row.task_state, row.task_id, row.generation
        )
    generation = row.generation + 1
    if rule.owns_instance:
        first = rule.task_states[0] if rule.task_states else None
        return StateChange(row.vm_state, first, task_id, generation)
    return StateChange(row.vm_state, None, None, generation)


def advance(kind: str, row: InstanceLike, task_state: str) -> StateChange:
    """Return the change to a later task state of the owner.

    Raises ValueError for a task state that does not follow.
    """
    tasks = TABLE[kind].task_states
    if task_state not in tasks:
        raise ValueError(f'{kind} has no task state {task_state}')
    if row.task_state in tasks:
        at = tasks.index(row.task_state)
        if tasks.index(task_state) < at:
            raise ValueError(
                f'{kind} cannot go back from {row.task_state} to {task_state}'
            )
    return StateChange(row.vm_state, task_state, row.task_id, row.generation)


def restart(kind: str, row: InstanceLike) -> StateChange:
    """Return the change back to the first task state of an owner."""
    first = TABLE[kind].task_states[0]
    return StateChange(row.vm_state, first, row.task_id, row.generation)


def succeed(
    kind: str, row: InstanceLike, old_vm_state: str | None = None
) -> StateChange:
    """Return the change with which an operation succeeds.

    ``old_vm_state`` is the result of a rule that ends in ORIGIN.
    """
    state = _resolve_state(TABLE[kind].success_state, row, old_vm_state)
    return StateChange(state, None, None, row.generation)


def fail(kind: str, row: InstanceLike, to_error: bool = False) -> StateChange:
    """Return the change with which an operation fails.

    With ``to_error`` the instance goes to error, whatever the rule says.
    """
    state = ERROR if to_error else TABLE[kind].failure_state
    return StateChange(
        _resolve_state(state, row, None), None, None, row.generation
    )


def set_vm_state(row: InstanceLike, vm_state: str) -> StateChange:
    """Return the change that power reconciliation or a reset makes."""
    return StateChange(vm_state, row.task_state, row.task_id, row.generation)


def release_instance(row: InstanceLike, kind: str | None) -> StateChange:
    """Return the change that releases a row from an owner that has ended.

    The row changes as if the operation, of ``kind`` when it is known, had
    failed. The generation rises, which fences a worker of that operation.
    """
    if kind is not None:
        state = TABLE[kind].failure_state
    else:
        state = ERROR if row.vm_state == BUILDING else SAME
    return StateChange(
        _resolve_state(state, row, None), None, None, row.generation + 1
    )


def _resolve_state(state: str, row: InstanceLike, origin: str | None) -> str:
    if state == SAME:
        return row.vm_state
    if state == ORIGIN:
        return origin or ACTIVE
    return state


# -- names in the Compute API and in EC2 -------------------------------------

_STATUS: Final = {
    BUILDING: 'BUILD',
    ACTIVE: 'ACTIVE',
    PAUSED: 'PAUSED',
    SUSPENDED: 'SUSPENDED',
    STOPPED: 'SHUTOFF',
    RESCUED: 'RESCUE',
    RESIZED: 'VERIFY_RESIZE',
    SOFT_DELETE: 'SOFT_DELETED',
    DELETED: 'DELETED',
    ERROR: 'ERROR',
    SHELVED: 'SHELVED',
    SHELVED_OFFLOADED: 'SHELVED_OFFLOADED',
}

_RESIZING: Final = {
    'resize_prep': 'RESIZE',
    'resize_migrating': 'RESIZE',
    'resize_migrated': 'RESIZE',
    'resize_finish': 'RESIZE',
}
_REBUILDING: Final = {
    'rebuilding': 'REBUILD',
    'rebuild_block_device_mapping': 'REBUILD',
    'rebuild_spawning': 'REBUILD',
}
_STATUS_IN_TASK: Final = {
    ACTIVE: {
        'rebooting': 'REBOOT',
        'reboot_pending': 'REBOOT',
        'reboot_started': 'REBOOT',
        'rebooting_hard': 'HARD_REBOOT',
        'reboot_pending_hard': 'HARD_REBOOT',
        'reboot_started_hard': 'HARD_REBOOT',
        'updating_password': 'PASSWORD',
        'migrating': 'MIGRATING',
        **_RESIZING,
        **_REBUILDING,
    },
    PAUSED: {'migrating': 'MIGRATING'},
    STOPPED: {**_RESIZING, **_REBUILDING},
    RESIZED: {'resize_reverting': 'REVERT_RESIZE'},
    ERROR: _REBUILDING,
}


def api_status(vm_state: str, task_state: str | None) -> str:
    """Return the status in the Compute API."""
    words = _STATUS_IN_TASK.get(vm_state, {})
    return words.get(task_state or '', _STATUS.get(vm_state, 'UNKNOWN'))


def vm_states_for_status(word: str) -> tuple[str, ...]:
    """Return the vm_states that may show the status ``word``, () for none."""
    word = word.upper()
    stable = {state for state, shown in _STATUS.items() if shown == word}
    passing = {
        state
        for state, words in _STATUS_IN_TASK.items()
        if word in words.values()
    }
    return tuple(sorted(stable | passing))


def ec2_state(
    vm_state: str, task_state: str | None, shutdown_terminate: bool = False
) -> str:
    """Return the state in EC2, which has six values and 'error'."""
    if task_state == 'powering-off':
        return 'stopping'
    if task_state in ('deleting', 'soft-deleting'):
        return 'shutting-down'
    if vm_state in (SOFT_DELETE, DELETED):
        return 'terminated'
    if vm_state == STOPPED:
        return 'terminated' if shutdown_terminate else 'stopped'
    if vm_state in (SHELVED, SHELVED_OFFLOADED):
        return 'stopped'
    if vm_state == BUILDING:
        return 'pending'
    return 'running' if vm_state != ERROR else 'error'

# SPDX-License-Identifier: Apache-2.0
"""The life of an instance: one table, and the few questions it answers.

Three fields, three owners:

* ``power_state``: what the hypervisor says. A snapshot; flows bottom-up.
* ``vm_state``: the stable state the user is promised. Changes only when an
  operation ends, or by power reconciliation when none is live.
* ``task_state``: the transition in progress. Set when an operation begins,
  None when it lets go of the instance.

Rules are data: may an operation begin, through which task states does it
pass, how does it end, which word does the API show, which diagram is drawn.
``begin``, ``advance``, ``finish``, ``fail``, ``correct`` and ``let_go`` compute
a change; whoever holds the row writes it. Nothing else in Minova assigns ``vm_state``,
``task_state`` or ``task_id`` (a test walks the code).
"""

import dataclasses
import enum
from typing import Final
from typing import Protocol

from minova import exception


class PowerState(enum.IntEnum):
    """What a hypervisor says of a guest; the numbers are the Compute API's."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7

    @classmethod
    def _missing_(cls, value: object) -> 'PowerState | None':
        """Read the codes that old stores and consumers still hold."""
        old = {2: cls.RUNNING, 5: cls.SHUTDOWN, 8: cls.NOSTATE, 9: cls.NOSTATE}
        return old.get(value) if isinstance(value, int) else None


#: In these a guest uses its disks and memory.
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

NOT_DELETED: Final = (
    BUILDING,
    ACTIVE,
    PAUSED,
    SUSPENDED,
    STOPPED,
    RESCUED,
    RESIZED,
    SOFT_DELETE,
    ERROR,
    SHELVED,
    SHELVED_OFFLOADED,
)
VM_STATES: Final = (*NOT_DELETED, DELETED)

#: In a rule: the vm_state stays what it is.
SAME: Final = '='
#: In a rule: the vm_state becomes what it was when the move began.
ORIGIN: Final = 'origin'


class Ownership(enum.Enum):
    """How an operation takes the instance."""

    EXCLUSIVE = 'needs a free instance and owns it'
    PREEMPT = 'owns the instance, whoever held it'
    IMMEDIATE = 'needs a free instance, changes it at once and owns nothing'
    PREEMPT_IMMEDIATE = (
        'changes the instance at once, whoever held it, and owns nothing'
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
    #: Seconds from begin until the sweeper ends it, one way or the other.
    timeout: int
    #: How a 409 names it: "Cannot 'reboot' instance ...".
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
_REBOOTABLE: Final = 'active stopped paused suspended error'
_RESCUABLE: Final = 'active stopped error'

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
    ('reboot_soft',          'active',         _SOFT_REBOOT,         ACTIVE,    ERROR,   _EXCLUSIVE,               900),
    ('reboot_hard',          _REBOOTABLE,      _HARD_REBOOT,         ACTIVE,    ERROR,   _EXCLUSIVE,               900),
    ('resize',               'active stopped', _RESIZE,              RESIZED,   SAME,    _EXCLUSIVE,              7200),
    ('migrate',              'active stopped', _RESIZE,              RESIZED,   SAME,    _EXCLUSIVE,              7200),
    ('confirm_resize',       'resized',        '',                   ORIGIN,    SAME,    Ownership.IMMEDIATE,      600),
    ('revert_resize',        'resized',        'resize_reverting',   ORIGIN,    ERROR,   _EXCLUSIVE,              1800),
    ('live_migrate',         'active paused',  'migrating',          SAME,      SAME,    _EXCLUSIVE,              7200),
    ('abort_live_migrate',   'active paused',  'migrating',          SAME,      SAME,    _CONCURRENT,              600),
    ('force_live_migrate',   'active paused',  'migrating',          SAME,      SAME,    _CONCURRENT,              600),
    ('delete',               'any',            'deleting',           DELETED,   ERROR,   Ownership.PREEMPT,        600),
    ('force_delete',         'any',            '',                   DELETED,   SAME,    _PREEMPT_IMMEDIATE,       600),
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
    'force_delete':        ('forceDelete',       'forceDelete'),
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
    """What is read of an instance here."""

    uuid: str
    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


@dataclasses.dataclass(frozen=True)
class StateChange:
    """The new value of the four fields that only this module may change."""

    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


def check_begin(kind: str, row: InstanceLike) -> Rule:
    """Return the rule of ``kind`` when it may begin on ``row``.

    Raises InstanceInvalidState, which names the field that forbids it.
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
    else:
        needed = 'try again when that is over'
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


def begin(kind: str, row: InstanceLike, task_id: str) -> StateChange:
    """Return what beginning ``kind`` as operation ``task_id`` changes.

    An operation that owns nothing leaves the vm_state to its end, which may
    lie in the same transaction. Raises InstanceInvalidState when the table
    does not let it begin.
    """
    rule = check_begin(kind, row)
    if rule.ownership is Ownership.CONCURRENT:
        return StateChange(
            row.vm_state, row.task_state, row.task_id, row.generation
        )
    generation = row.generation + 1
    if rule.owns_instance:
        return StateChange(
            row.vm_state, rule.task_states[0], task_id, generation
        )
    return StateChange(row.vm_state, None, None, generation)


def advance(kind: str, row: InstanceLike, task_state: str) -> StateChange:
    """Return the change to the next task state of an operation that owns."""
    tasks = TABLE[kind].task_states
    if task_state not in tasks:
        raise ValueError(f'{kind} does not pass {task_state}')
    if row.task_state in tasks:
        at = tasks.index(row.task_state)
        if tasks.index(task_state) < at:
            raise ValueError(f'{kind} goes from {row.task_state} backwards')
    return StateChange(row.vm_state, task_state, row.task_id, row.generation)


def restart(kind: str, row: InstanceLike) -> StateChange:
    """Return the change back to an owner's first task state, to try again."""
    first = TABLE[kind].task_states[0]
    return StateChange(row.vm_state, first, row.task_id, row.generation)


def succeed(
    kind: str, row: InstanceLike, old_vm_state: str | None = None
) -> StateChange:
    """Return the change with which an operation succeeds and lets go.

    ``origin`` is the vm_state that a rule ending in ORIGIN goes back to.
    """
    state = _resolve_state(TABLE[kind].success_state, row, old_vm_state)
    return StateChange(state, None, None, row.generation)


def fail(kind: str, row: InstanceLike, to_error: bool = False) -> StateChange:
    """Return the change with which an operation fails and lets go.

    ``lost`` says that it could not be taken back: the instance is in error.
    """
    state = ERROR if to_error else TABLE[kind].failure_state
    return StateChange(
        _resolve_state(state, row, None), None, None, row.generation
    )


def set_vm_state(row: InstanceLike, vm_state: str) -> StateChange:
    """Return the change that power reconciliation makes."""
    return StateChange(vm_state, row.task_state, row.task_id, row.generation)


def release_instance(row: InstanceLike, kind: str | None) -> StateChange:
    """Return the change that frees a row from an owner that is not there.

    As if the operation, of ``kind`` where that is known, had failed. The
    generation rises, so that whoever still works for it is too late.
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


# -- the words of the Compute API and of EC2 ---------------------------------

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
    """Return the Compute API's status word."""
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
    """Return EC2's word: what exists and is billed, in six values."""
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


# -- power reconciliation ----------------------------------------------------


class PowerSyncAction(enum.Enum):
    """What is done when hypervisor and row differ and no operation is live."""

    NONE = 'nothing'
    RECORD = 'note the power state'
    RECORD_AND_WARN = 'note the power state, with a warning'
    STOP_INSTANCE = 'stop the instance as an operation of its own'
    MARK_ACTIVE = 'call it active, with a warning'
    MARK_STOPPED = 'call it stopped, with a warning'
    ENFORCE_STOP = 'power the guest off again'
    ENFORCE_PAUSE = 'pause the guest again'
    CLEAN_UP_GUEST = 'remove the guest from the host'


_POWERED_OFF: Final = (PowerState.SHUTDOWN, PowerState.CRASHED)


def reconcile(
    power_state: PowerState | None, vm_state: str, accept_running: bool
) -> PowerSyncAction:
    """Return what to do about a guest of this host with no live operation.

    ``seen`` is the hypervisor's word, None when it does not know the guest;
    ``adopt`` says whether a guest that runs unasked is taken as wanted.
    """
    if vm_state == DELETED:
        return (
            PowerSyncAction.NONE
            if power_state is None
            else PowerSyncAction.CLEAN_UP_GUEST
        )
    if power_state is None:
        return PowerSyncAction.RECORD_AND_WARN
    if vm_state == ACTIVE and power_state in _POWERED_OFF:
        return PowerSyncAction.STOP_INSTANCE
    if vm_state == ACTIVE and power_state is PowerState.PAUSED:
        return PowerSyncAction.RECORD_AND_WARN
    if vm_state == PAUSED and power_state in _POWERED_OFF:
        return PowerSyncAction.MARK_STOPPED
    if vm_state == STOPPED and power_state is PowerState.RUNNING:
        return (
            PowerSyncAction.MARK_ACTIVE
            if accept_running
            else PowerSyncAction.ENFORCE_STOP
        )
    if vm_state == PAUSED and power_state is PowerState.RUNNING:
        return (
            PowerSyncAction.MARK_ACTIVE
            if accept_running
            else PowerSyncAction.ENFORCE_PAUSE
        )
    return PowerSyncAction.RECORD

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


class Power(enum.IntEnum):
    """What a hypervisor says of a guest; the numbers are the Compute API's."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7

    @classmethod
    def _missing_(cls, value: object) -> 'Power | None':
        """Read the codes that old stores and consumers still hold."""
        old = {2: cls.RUNNING, 5: cls.SHUTDOWN, 8: cls.NOSTATE, 9: cls.NOSTATE}
        return old.get(value) if isinstance(value, int) else None


#: In these a guest uses its disks and memory.
ON: Final = (Power.RUNNING, Power.PAUSED)

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

LIVING: Final = (
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
VM_STATES: Final = (*LIVING, DELETED)

#: In a rule: the vm_state stays what it is.
SAME: Final = '='
#: In a rule: the vm_state becomes what it was when the move began.
ORIGIN: Final = 'origin'


class Hold(enum.Enum):
    """How an operation takes the instance."""

    FREE = 'needs a free instance and owns it'
    PREEMPT = 'owns the instance, whoever held it'
    AT_ONCE = 'needs a free instance, changes it at once and owns nothing'
    SEIZE = 'changes the instance at once, whoever held it, and owns nothing'
    BESIDE = 'runs beside the operation that owns the instance'


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of the table."""

    kind: str
    begins: tuple[str, ...]
    tasks: tuple[str, ...]
    ends: str
    fails: str
    hold: Hold
    #: Seconds from begin until the sweeper ends it, one way or the other.
    deadline: int
    #: How a 409 names it: "Cannot 'reboot' instance ...".
    verb: str
    #: The name of the instance action in the Compute API.
    action: str

    @property
    def owns(self) -> bool:
        """Tell whether the instance's task_id names the operation."""
        return self.hold in (Hold.FREE, Hold.PREEMPT)


_FREE: Final = Hold.FREE
_BUILD: Final = 'scheduling networking block_device_mapping spawning'
_SOFT: Final = 'rebooting reboot_pending reboot_started'
_HARD: Final = 'rebooting_hard reboot_pending_hard reboot_started_hard'
_MOVE: Final = 'resize_prep resize_migrating resize_migrated resize_finish'
_REBOOTABLE: Final = 'active stopped paused suspended error'
_RESCUABLE: Final = 'active stopped error'

# fmt: off
_ROWS: Final = (
    # kind                 begins from        task states, in order  ends in   fails   takes it       within s
    ('create',             'building',        _BUILD,                ACTIVE,   ERROR,  _FREE,         1800),
    ('start',              'stopped',         'powering-on',         ACTIVE,   SAME,   _FREE,          600),
    ('stop',               'active error',    'powering-off',        STOPPED,  SAME,   _FREE,          600),
    ('stop_again',         'stopped',         'powering-off',        SAME,     SAME,   _FREE,          600),
    ('pause',              'active',          'pausing',             PAUSED,   SAME,   _FREE,          300),
    ('pause_again',        'paused',          'pausing',             SAME,     SAME,   _FREE,          300),
    ('unpause',            'paused',          'unpausing',           ACTIVE,   SAME,   _FREE,          300),
    ('suspend',            'active',          'suspending',          SUSPENDED, SAME,  _FREE,         1800),
    ('resume',             'suspended',       'resuming',            ACTIVE,   SAME,   _FREE,         1800),
    ('rescue',             _RESCUABLE,        'rescuing',            RESCUED,  SAME,   _FREE,         1800),
    ('unrescue',           'rescued',         'unrescuing',          ACTIVE,   SAME,   _FREE,         1800),
    ('reboot_soft',        'active',          _SOFT,                 ACTIVE,   ERROR,  _FREE,          900),
    ('reboot_hard',        _REBOOTABLE,       _HARD,                 ACTIVE,   ERROR,  _FREE,          900),
    ('resize',             'active stopped',  _MOVE,                 RESIZED,  SAME,   _FREE,         7200),
    ('migrate',            'active stopped',  _MOVE,                 RESIZED,  SAME,   _FREE,         7200),
    ('confirm_resize',     'resized',         '',                    ORIGIN,   SAME,   Hold.AT_ONCE,   600),
    ('revert_resize',      'resized',         'resize_reverting',    ORIGIN,   ERROR,  _FREE,         1800),
    ('live_migrate',       'active paused',   'migrating',           SAME,     SAME,   _FREE,         7200),
    ('abort_live_migrate', 'active paused',   'migrating',           SAME,     SAME,   Hold.BESIDE,    600),
    ('force_live_migrate', 'active paused',   'migrating',           SAME,     SAME,   Hold.BESIDE,    600),
    ('delete',             'any',             'deleting',            DELETED,  ERROR,  Hold.PREEMPT,   600),
    ('force_delete',       'any',             '',                    DELETED,  SAME,   Hold.SEIZE,     600),
    ('power_sync',         'any',             '',                    SAME,     SAME,   Hold.BESIDE,    600),
    ('put_away',           'any, deleted',    '',                    SAME,     SAME,   Hold.BESIDE,    600),
)

_NAMES: Final = {
    # kind: (the word of a 409, the name of the instance action)
    'confirm_resize':      ('confirmResize',  'confirmResize'),
    'revert_resize':       ('revertResize',   'revertResize'),
    'live_migrate':        ('os-migrateLive', 'live-migration'),
    'abort_live_migrate':  ('abort',          'live_migration_cancel'),
    'force_live_migrate':  ('force_complete', 'live_migration_force_complete'),
    'stop_again':          ('stop',           'stop'),
    'pause_again':         ('pause',          'pause'),
    'reboot_soft':         ('reboot',         'reboot'),
    'reboot_hard':         ('reboot',         'reboot'),
    'force_delete':        ('forceDelete',    'forceDelete'),
    'put_away':            ('putAway',        'putAway'),
}
# fmt: on


def _rule(
    kind: str,
    begins: str,
    tasks: str,
    ends: str,
    fails: str,
    hold: Hold,
    deadline: int,
) -> Rule:
    every = {'any': LIVING, 'any, deleted': VM_STATES}
    from_ = every.get(begins) or tuple(begins.split())
    names = _NAMES.get(kind, (kind, kind))
    return Rule(
        kind, from_, tuple(tasks.split()), ends, fails, hold, deadline, *names
    )


TABLE: Final = {row[0]: _rule(*row) for row in _ROWS}


class Row(Protocol):
    """What is read of an instance here."""

    uuid: str
    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


@dataclasses.dataclass(frozen=True)
class Change:
    """The new value of the four fields that only this module may change."""

    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int


def check(kind: str, row: Row) -> Rule:
    """Return the rule of ``kind`` when it may begin on ``row``.

    Raises InstanceInvalidState, which names the field that forbids it.
    """
    rule = TABLE[kind]
    if row.vm_state not in rule.begins:
        raise _forbidden(rule, row, 'vm_state', row.vm_state)
    if rule.hold is Hold.BESIDE:
        if rule.tasks and row.task_state not in rule.tasks:
            raise _forbidden(rule, row, 'task_state', row.task_state)
    elif row.task_id is not None and rule.hold in (Hold.FREE, Hold.AT_ONCE):
        raise _forbidden(rule, row, 'task_state', row.task_state)
    return rule


def _forbidden(
    rule: Rule, row: Row, attribute: str, state: str | None
) -> exception.InstanceInvalidState:
    if attribute == 'vm_state':
        needed = f'it must be {_either(rule.begins)}'
    elif rule.hold is Hold.BESIDE:
        needed = f'it must be {_either(rule.tasks)}'
    else:
        needed = 'try again when that is over'
    return exception.InstanceInvalidState(
        operation=rule.verb,
        instance_id=row.uuid,
        attribute=attribute,
        state=state,
        needed=needed,
    )


def _either(names: tuple[str, ...]) -> str:
    *others, last = names
    return f'{", ".join(others)} or {last}' if others else last


def begin(kind: str, row: Row, task_id: str) -> Change:
    """Return what beginning ``kind`` as operation ``task_id`` changes.

    An operation that owns nothing leaves the vm_state to its end, which may
    lie in the same transaction. Raises InstanceInvalidState when the table
    does not let it begin.
    """
    rule = check(kind, row)
    if rule.hold is Hold.BESIDE:
        return Change(
            row.vm_state, row.task_state, row.task_id, row.generation
        )
    generation = row.generation + 1
    if rule.owns:
        return Change(row.vm_state, rule.tasks[0], task_id, generation)
    return Change(row.vm_state, None, None, generation)


def advance(kind: str, row: Row, task_state: str) -> Change:
    """Return the change to the next task state of an operation that owns."""
    tasks = TABLE[kind].tasks
    if task_state not in tasks:
        raise ValueError(f'{kind} does not pass {task_state}')
    if row.task_state in tasks:
        at = tasks.index(row.task_state)
        if tasks.index(task_state) < at:
            raise ValueError(f'{kind} goes from {row.task_state} backwards')
    return Change(row.vm_state, task_state, row.task_id, row.generation)


def restart(kind: str, row: Row) -> Change:
    """Return the change back to an owner's first task state, to try again."""
    first = TABLE[kind].tasks[0]
    return Change(row.vm_state, first, row.task_id, row.generation)


def finish(kind: str, row: Row, origin: str | None = None) -> Change:
    """Return the change with which an operation succeeds and lets go.

    ``origin`` is the vm_state that a rule ending in ORIGIN goes back to.
    """
    state = _after(TABLE[kind].ends, row, origin)
    return Change(state, None, None, row.generation)


def fail(kind: str, row: Row, lost: bool = False) -> Change:
    """Return the change with which an operation fails and lets go.

    ``lost`` says that it could not be taken back: the instance is in error.
    """
    state = ERROR if lost else TABLE[kind].fails
    return Change(_after(state, row, None), None, None, row.generation)


def correct(row: Row, vm_state: str) -> Change:
    """Return the change that power reconciliation makes."""
    return Change(vm_state, row.task_state, row.task_id, row.generation)


def let_go(row: Row, kind: str | None) -> Change:
    """Return the change that frees a row from an owner that is not there.

    As if the operation, of ``kind`` where that is known, had failed. The
    generation rises, so that whoever still works for it is too late.
    """
    if kind is not None:
        state = TABLE[kind].fails
    else:
        state = ERROR if row.vm_state == BUILDING else SAME
    return Change(_after(state, row, None), None, None, row.generation + 1)


def _after(state: str, row: Row, origin: str | None) -> str:
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

_MOVING: Final = {
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
        **_MOVING,
        **_REBUILDING,
    },
    PAUSED: {'migrating': 'MIGRATING'},
    STOPPED: {**_MOVING, **_REBUILDING},
    RESIZED: {'resize_reverting': 'REVERT_RESIZE'},
    ERROR: _REBUILDING,
}


def status(vm_state: str, task_state: str | None) -> str:
    """Return the Compute API's status word."""
    words = _STATUS_IN_TASK.get(vm_state, {})
    return words.get(task_state or '', _STATUS.get(vm_state, 'UNKNOWN'))


def vm_states_of(word: str) -> tuple[str, ...]:
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


class Correction(enum.Enum):
    """What is done when hypervisor and row differ and no operation is live."""

    NONE = 'nothing'
    POWER = 'note the power state'
    WARN = 'note the power state, with a warning'
    STOP = 'stop the instance as an operation of its own'
    ADOPT = 'call it active, with a warning'
    ADOPT_OFF = 'call it stopped, with a warning'
    STOP_GUEST = 'power the guest off again'
    PAUSE_GUEST = 'pause the guest again'
    PUT_AWAY = 'remove the guest from the host'


_OFF: Final = (Power.SHUTDOWN, Power.CRASHED)


def reconcile(seen: Power | None, vm_state: str, adopt: bool) -> Correction:
    """Return what to do about a guest of this host with no live operation.

    ``seen`` is the hypervisor's word, None when it does not know the guest;
    ``adopt`` says whether a guest that runs unasked is taken as wanted.
    """
    if vm_state == DELETED:
        return Correction.NONE if seen is None else Correction.PUT_AWAY
    if seen is None:
        return Correction.WARN
    if vm_state == ACTIVE and seen in _OFF:
        return Correction.STOP
    if vm_state == ACTIVE and seen is Power.PAUSED:
        return Correction.WARN
    if vm_state == PAUSED and seen in _OFF:
        return Correction.ADOPT_OFF
    if vm_state == STOPPED and seen is Power.RUNNING:
        return Correction.ADOPT if adopt else Correction.STOP_GUEST
    if vm_state == PAUSED and seen is Power.RUNNING:
        return Correction.ADOPT if adopt else Correction.PAUSE_GUEST
    return Correction.POWER

# SPDX-License-Identifier: Apache-2.0
"""What may be found: one table of rules, and what a finding is."""

import dataclasses
import enum
from typing import Any
from typing import Final


class Severity(enum.Enum):
    """How bad it is."""

    CRITICAL = 'critical'
    ERROR = 'error'
    WARNING = 'warning'
    #: No invariant is broken; an audit that finds only such has found nothing.
    INFORMATION = 'information'


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of the table."""

    name: str
    #: The invariant that is broken; 0 where none is.
    invariant: int
    severity: Severity
    #: The repair of that name in ``audit.repair``; '' where there is none.
    repair: str
    summary: str
    #: What the operator does about it, when nothing repairs it.
    advice: str


_C: Final = Severity.CRITICAL
_E: Final = Severity.ERROR
_W: Final = Severity.WARNING
_I: Final = Severity.INFORMATION

# fmt: off
_ROWS: Final = (
    # name                   invariant severity repair
    ('duplicate_guest',            1, _C, 'cleanup_stale_guest'),
    ('source_guest_running',         1, _C, ''),
    ('stray_guest',            9, _E, 'cleanup_stale_guest'),
    ('stray_disks',            9, _E, 'cleanup_stale_guest'),
    ('stray_retained_disks',            9, _E, 'discard_disks'),
    ('stray_incoming',          9, _W, 'cleanup_stale_guest'),
    ('stray_reservation',      9, _W, 'cleanup_stale_guest'),
    ('guest_of_deleted',       9, _E, 'cleanup_stale_guest'),
    ('disks_of_deleted',       9, _E, 'cleanup_stale_guest'),
    ('unknown_guest',          9, _E, 'destroy_unknown_guest'),
    ('unknown_disks',          9, _E, 'destroy_unknown_guest'),
    ('unknown_reservation',    9, _W, 'destroy_unknown_guest'),
    ('guest_missing',          2, _E, ''),
    ('disks_missing',          2, _C, ''),
    ('power_mismatch',          0, _I, ''),
    ('allocation_missing',     9, _E, 'claim'),
    ('allocation_orphan',      9, _E, 'release'),
    ('allocation_mismatch',        9, _E, 'resize_allocation'),
    ('host_usage_mismatch',              9, _E, 'recompute_host_usage'),
    ('port_orphan',            9, _E, 'release_port'),
    ('port_missing',           9, _E, 'restore_port'),
    ('task_without_owner',     4, _E, 'release_instance'),
    ('task_state_missing',          4, _W, ''),
    ('build_without_owner',    3, _E, 'release_instance'),
    ('resized_without_migration',   3, _E, ''),
    ('operation_lost_instance',     4, _E, 'end_operation'),
    ('operation_without_step', 3, _E, 'recount_steps'),
    ('operation_step_count',   3, _E, 'recount_steps'),
    ('operation_stuck',        3, _E, ''),
    ('operation_waiting',        0, _I, ''),
    ('step_left_open',         3, _E, 'close_steps'),
    ('step_without_service',         3, _E, 'abandon_step'),
    ('migration_left_open',         3, _W, 'close_migration'),
    ('outbox_gap',             6, _E, ''),
    ('outbox_seq_ahead',          6, _E, 'advance_notification_seq'),
    ('outbox_unpublished',           6, _W, ''),
    ('outbox_out_of_order',        6, _E, ''),
    ('event_left_open',         5, _E, ''),
    ('duplicate_hypervisor',       1, _W, ''),
    ('host_unknown',           2, _E, ''),
    ('host_down',            0, _I, ''),
    ('host_not_checked',              0, _W, ''),
    ('queue_missing',          3, _E, ''),
    ('queue_without_consumer',             3, _E, ''),
    ('queue_backlog',          3, _W, ''),
)
# fmt: on

_TEXT: Final = {
    # name: (what it is, what the operator does)
    'duplicate_guest': (
        'A guest runs on two hosts at once.',
        (
            'Switch one off on its host at once. Look which of the two has '
            'the newer data (generation), and remove the other by hand.'
        ),
    ),
    'source_guest_running': (
        'The old guest of a resize that waits for its confirmation runs.',
        (
            'Switch it off on that host (virsh destroy); its definition and'
            ' disks stay there for a revert.'
        ),
    ),
    'stray_guest': (
        'A host has a guest whose instance is on another host.',
        (
            'Its own host does not have it whole, so this one may be the '
            'only one: copy its disks before you remove it.'
        ),
    ),
    'stray_disks': (
        'A host has disks of an instance that is on another host.',
        (
            'Its own host does not have it whole, so these may be the only '
            'ones: copy them before you remove them.'
        ),
    ),
    'stray_retained_disks': (
        'Disks are set aside beside a guest that has no way back.',
        'Remove them by hand once no operation is live.',
    ),
    'stray_incoming': (
        'A host keeps room for a guest that does not come.',
        'It is removed with --repair.',
    ),
    'stray_reservation': (
        'A network of a host keeps an address for an instance not there.',
        'It is removed with --repair.',
    ),
    'guest_of_deleted': (
        'A host has a guest of an instance that is deleted.',
        'It is removed with --repair.',
    ),
    'disks_of_deleted': (
        'A host has disks of an instance that is deleted.',
        'They are removed with --repair.',
    ),
    'unknown_guest': (
        'A host has a guest of ours that the database does not know.',
        (
            'Is this the right database, and is it whole? If the guest is '
            "really nobody's: --repair --instance ID removes it and its "
            'disks.'
        ),
    ),
    'unknown_disks': (
        'A host has disks that the database does not know.',
        (
            'Is this the right database, and is it whole? If they are '
            "really nobody's: --repair --instance ID removes them."
        ),
    ),
    'unknown_reservation': (
        'A network keeps an address for what the database does not know.',
        (
            'Is this the right database, and is it whole? If it is really '
            "nobody's: --repair --instance ID removes it."
        ),
    ),
    'guest_missing': (
        'The host of an instance has no guest of it; its disks are there.',
        'A hard reboot defines and starts it anew.',
    ),
    'disks_missing': (
        'The host of an instance does not have its disks.',
        (
            'Look for them on other hosts and in backups. Without them '
            'nothing but a delete is left; a hard reboot would make empty '
            'ones.'
        ),
    ),
    'power_mismatch': (
        'A guest is on or off otherwise than the database says.',
        'Nothing: its compute reconciles it by itself.',
    ),
    'allocation_missing': (
        'An instance holds no room on its host.',
        'It is claimed with --repair.',
    ),
    'allocation_orphan': (
        'Room on a host is held by nobody who needs it.',
        'It is given back with --repair.',
    ),
    'allocation_mismatch': (
        'The room that is held is not of the size of the flavor.',
        'It is corrected with --repair.',
    ),
    'host_usage_mismatch': (
        'What a host is said to use is not the sum of what is held there.',
        'It is counted anew with --repair.',
    ),
    'port_orphan': (
        'An address is held for an instance that is gone or has it no more.',
        'It is given back with --repair.',
    ),
    'port_missing': (
        'An instance has an address that is not held for it.',
        (
            'It is held with --repair, unless it was given to another one: '
            'then delete one of the two.'
        ),
    ),
    'task_without_owner': (
        'An instance is in a task that no live operation owns.',
        'It is let go of with --repair.',
    ),
    'task_state_missing': (
        'An operation owns an instance that shows no task state.',
        'Nothing: the end of the operation clears it.',
    ),
    'build_without_owner': (
        'An instance is building and no operation builds it.',
        'It is put in error with --repair; it can then be deleted.',
    ),
    'resized_without_migration': (
        'An instance waits for a confirmation of a move that is not there.',
        (
            'It can neither be confirmed nor reverted; save its data, '
            'delete it.'
        ),
    ),
    'operation_lost_instance': (
        'An operation goes on as the owner of an instance that it lost.',
        'It is ended with --repair.',
    ),
    'operation_without_step': (
        'An operation runs and nothing of it is owed by anybody.',
        'It is ended with --repair.',
    ),
    'operation_step_count': (
        'An operation counts its open steps wrongly.',
        'It is counted anew with --repair.',
    ),
    'operation_stuck': (
        'An operation is past its deadline and does not say why.',
        (
            'The sweeper ends it: see that a conductor runs and has no '
            'errors in its log.'
        ),
    ),
    'operation_waiting': (
        'An operation waits.',
        'It says for what.',
    ),
    'step_left_open': (
        'A step is open although its operation has ended.',
        'It is closed with --repair.',
    ),
    'step_without_service': (
        'A step is owed by a host that has no compute service.',
        (
            'Start a compute of that name, or wait for the deadline: the '
            'operation then ends without it.'
        ),
    ),
    'migration_left_open': (
        'A migration is in progress and no operation makes it.',
        'It is closed as an error with --repair.',
    ),
    'outbox_gap': (
        'Notifications of an instance are missing.',
        (
            'What is lost cannot be told: consumers must read the state of '
            'the instance from the API. Look who deleted rows of the '
            'outbox.'
        ),
    ),
    'outbox_seq_ahead': (
        'Notifications bear numbers that were not given out.',
        (
            'The instance cannot be changed until its count is put right, '
            'which --repair does.'
        ),
    ),
    'outbox_unpublished': (
        'Notifications are not published.',
        'See that a conductor runs and reaches the notification broker.',
    ),
    'outbox_out_of_order': (
        'A notification is published and one before it is not.',
        (
            'Consumers that mind the number put it right. Look who changed '
            'rows of the outbox.'
        ),
    ),
    'event_left_open': (
        'The start of something was told and not its end.',
        'Consumers that wait for it must be told by hand.',
    ),
    'duplicate_hypervisor': (
        'Two computes have a hypervisor of the same name.',
        (
            'Two computes on one libvirt run each guest twice over: stop '
            'one and delete its service. Or give the machines different '
            'names.'
        ),
    ),
    'host_unknown': (
        'Instances are on a host that is not registered.',
        'Start its compute, or force-delete them if it is gone for good.',
    ),
    'host_down': (
        'A host with instances is silent.',
        'See whether it is on; see doc "When something is down".',
    ),
    'host_not_checked': (
        'A host was not asked what it has.',
        'Make it answer, or leave the hosts out with --offline.',
    ),
    'queue_missing': (
        'A service that is up has no queue.',
        'Restart it; it declares its queues when it starts.',
    ),
    'queue_without_consumer': (
        'Nobody listens to the queue of a service that is up.',
        'Restart the service.',
    ),
    'queue_backlog': (
        'Messages pile up before a service that is up.',
        'See whether it is busy or hangs; more workers may help.',
    ),
}

RULES: Final = {row[0]: Rule(*row, *_TEXT[row[0]]) for row in _ROWS}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that breaks a rule, at one place.

    ``generation`` is the instance's at the time. ``subject`` tells apart what
    may be found several times of the same (a step, an allocation). ``facts``
    are what the repair must know. One that is not ``repairable`` is left to
    the operator although its rule has a repair.
    """

    name: str
    text: str
    host: str | None = None
    instance: str | None = None
    operation: str | None = None
    generation: int | None = None
    subject: str = ''
    repair_args: dict[str, Any] = dataclasses.field(
        default_factory=dict, compare=False
    )
    repairable: bool = True

    @property
    def rule(self) -> Rule:
        """The row of the table."""
        return RULES[self.name]

    @property
    def is_fault(self) -> bool:
        """Tell whether something is to be done about it."""
        return self.rule.severity is not Severity.INFORMATION

    @property
    def repair(self) -> str:
        """The name of its repair; '' when it is the operator's to repair."""
        return self.rule.repair if self.repairable else ''

    @property
    def key(self) -> tuple[object, ...]:
        """What it is about: equal when the same thing is found again."""
        return (
            self.name,
            self.host,
            self.instance,
            self.operation,
            self.subject,
            self.generation,
        )

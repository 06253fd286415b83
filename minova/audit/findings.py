# SPDX-License-Identifier: Apache-2.0
"""Findings: the table of the audit's rules, and the class of one finding."""

import dataclasses
import enum
from typing import Final

from minova.db.queries.hosts import Resources


class Severity(enum.Enum):
    """How severe a finding is."""

    CRITICAL = 'critical'
    ERROR = 'error'
    WARNING = 'warning'
    #: No invariant is violated; the audit does not count it as a fault.
    INFORMATION = 'information'


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of the table."""

    name: str
    #: The number of the violated invariant; 0 for none.
    invariant: int
    severity: Severity
    #: The name of a repair in ``audit.repair``; '' for none.
    repair: str
    summary: str
    #: What the operator does without a repair.
    advice: str


_C: Final = Severity.CRITICAL
_E: Final = Severity.ERROR
_W: Final = Severity.WARNING
_I: Final = Severity.INFORMATION

# fmt: off
_ROWS: Final = (
    # name                      invariant, severity, repair
    ('duplicate_guest',            1, _C, 'cleanup_stale_guest'),
    ('source_guest_running',       1, _C, ''),
    ('stray_guest',                9, _E, 'cleanup_stale_guest'),
    ('stray_disks',                9, _E, 'cleanup_stale_guest'),
    ('stray_retained_disks',       9, _E, 'discard_disks'),
    ('stray_snapshots',            9, _W, 'discard_snapshot'),
    ('stray_incoming',             9, _W, 'cleanup_stale_guest'),
    ('stray_reservation',          9, _W, 'cleanup_stale_guest'),
    ('guest_of_deleted',           9, _E, 'cleanup_stale_guest'),
    ('disks_of_deleted',           9, _E, 'cleanup_stale_guest'),
    ('unknown_guest',              9, _E, 'destroy_unknown_guest'),
    ('unknown_disks',              9, _E, 'destroy_unknown_guest'),
    ('unknown_reservation',        9, _W, 'destroy_unknown_guest'),
    ('guest_missing',              2, _E, ''),
    ('disks_missing',              2, _C, ''),
    ('power_mismatch',             0, _I, ''),
    ('allocation_missing',         9, _E, 'add_allocation'),
    ('allocation_orphan',          9, _E, 'remove_allocation'),
    ('allocation_mismatch',        9, _E, 'resize_allocation'),
    ('placement_invalid',          9, _E, 'replace_placement'),
    ('host_usage_mismatch',        9, _E, 'recompute_host_usage'),
    ('port_orphan',                9, _E, 'release_port'),
    ('port_missing',               9, _E, 'restore_port'),
    ('interface_missing',          9, _W, 'attach_interface'),
    ('interface_unknown',          9, _E, 'detach_interface'),
    ('task_without_owner',         4, _E, 'release_instance'),
    ('task_state_missing',         4, _W, ''),
    ('build_without_owner',        3, _E, 'release_instance'),
    ('resized_without_migration',  3, _E, ''),
    ('soft_delete_without_time',   3, _W, 'date_soft_delete'),
    ('offloaded_without_image',    2, _C, ''),
    ('partial_image',              9, _W, 'discard_image'),
    ('operation_lost_instance',    4, _E, 'end_operation'),
    ('operation_without_step',     3, _E, 'recount_steps'),
    ('operation_step_count',       3, _E, 'recount_steps'),
    ('operation_stuck',            3, _E, ''),
    ('operation_waiting',          0, _I, ''),
    ('step_left_open',             3, _E, 'close_steps'),
    ('step_without_service',       3, _E, 'abandon_step'),
    ('migration_left_open',        3, _W, 'close_migration'),
    ('outbox_gap',                 6, _E, ''),
    ('outbox_seq_ahead',           6, _E, 'advance_notification_seq'),
    ('outbox_unpublished',         6, _W, ''),
    ('outbox_out_of_order',        6, _E, ''),
    ('event_left_open',            5, _E, ''),
    ('duplicate_hypervisor',       1, _W, ''),
    ('host_unknown',               2, _E, ''),
    ('host_down',                  0, _I, ''),
    ('hypervisor_failed',          0, _I, ''),
    ('host_not_checked',           0, _W, ''),
    ('queue_missing',              3, _E, ''),
    ('queue_without_consumer',     3, _E, ''),
    ('queue_backlog',              3, _W, ''),
)
# fmt: on

_TEXT: Final = {
    # name: (summary, advice to the operator)
    'duplicate_guest': (
        'A guest runs on two hosts at the same time.',
        (
            'Power off one of the two on its host now. Compare their '
            'generations to find the one with the newer data, and remove '
            'the other by hand.'
        ),
    ),
    'source_guest_running': (
        'The source guest of an unconfirmed resize runs.',
        (
            'Power it off on that host (virsh destroy); keep its definition'
            ' and disks for a revert.'
        ),
    ),
    'stray_guest': (
        'A host has a guest whose instance is on another host.',
        (
            "The instance's own host lacks the guest or its disks, so this "
            'copy may be the only one: copy its disks before you remove it.'
        ),
    ),
    'stray_disks': (
        'A host has disks of an instance that is on another host.',
        (
            "The instance's own host lacks the guest or its disks, so this "
            'copy may be the only one: copy the disks before you remove '
            'them.'
        ),
    ),
    'stray_retained_disks': (
        'A host retains old disks for a guest that cannot be reverted.',
        'Remove them by hand after the running operation has ended.',
    ),
    'stray_snapshots': (
        'A host has copies of a disk that no operation uploads.',
        '--repair removes them; the image service has no part of them.',
    ),
    'stray_incoming': (
        'A host is prepared for an incoming guest that no operation sends.',
        '--repair removes the preparation.',
    ),
    'stray_reservation': (
        'A network of a host reserves an address for an instance elsewhere.',
        '--repair removes the reservation.',
    ),
    'guest_of_deleted': (
        'A host has a guest of a deleted instance.',
        '--repair removes it.',
    ),
    'disks_of_deleted': (
        'A host has disks of a deleted instance.',
        '--repair removes them.',
    ),
    'unknown_guest': (
        'A host has a guest of Minova that the database does not know.',
        (
            'Check that this is the right database and that it is complete.'
            ' If the guest is to be removed with its disks, run --repair '
            '--instance ID.'
        ),
    ),
    'unknown_disks': (
        'A host has disks that the database does not know.',
        (
            'Check that this is the right database and that it is complete.'
            ' If the disks are to be removed, run --repair --instance ID.'
        ),
    ),
    'unknown_reservation': (
        'A network reserves an address for an unknown instance.',
        (
            'Check that this is the right database and that it is complete.'
            ' If the reservation is to be removed, run --repair --instance '
            'ID.'
        ),
    ),
    'guest_missing': (
        'The host of an instance has its disks but no guest.',
        'A hard reboot defines and starts the guest again.',
    ),
    'disks_missing': (
        'The host of an instance does not have its disks.',
        (
            'Search for them on other hosts and in backups. Do not hard '
            'reboot the instance, which would create empty disks; without '
            'the disks, delete it.'
        ),
    ),
    'power_mismatch': (
        'The power state of a guest differs from the database.',
        'No action: the compute service synchronizes it.',
    ),
    'allocation_missing': (
        'An instance has no allocation on its host.',
        '--repair adds it.',
    ),
    'allocation_orphan': (
        'An allocation on a host has no consumer that needs it.',
        '--repair removes it.',
    ),
    'allocation_mismatch': (
        'An allocation differs from the flavor of its instance.',
        '--repair resizes it.',
    ),
    'placement_invalid': (
        (
            'A guest has no CPUs and NUMA cells although its flavor requires '
            'them, or has CPUs or huge pages of another guest, or that its '
            'host lacks.'
        ),
        (
            '--repair claims others on the host, which a hard reboot of the '
            'server uses. Without free ones, migrate the server.'
        ),
    ),
    'host_usage_mismatch': (
        'The usage of a host differs from the sum of its allocations.',
        '--repair recomputes it.',
    ),
    'port_orphan': (
        'A port exists without an instance that has its address.',
        '--repair deletes it.',
    ),
    'port_missing': (
        'An instance has an address without a port.',
        (
            '--repair creates the port, unless another instance has the '
            'address: then delete one of the two.'
        ),
    ),
    'interface_missing': (
        'A guest lacks the interface of a NIC of its instance.',
        (
            '--repair attaches it, when the instance is active, paused or '
            'stopped. A hard reboot also defines it again.'
        ),
    ),
    'interface_unknown': (
        (
            'A guest has an interface without a port, whose address may be '
            'allocated again.'
        ),
        (
            '--repair detaches it, when the instance is active, paused or '
            'stopped. A hard reboot also defines the guest without it.'
        ),
    ),
    'task_without_owner': (
        'An instance has a task without a running operation.',
        '--repair ends the task.',
    ),
    'task_state_missing': (
        'A running operation owns an instance without a task state.',
        'No action: the end of the operation clears it.',
    ),
    'build_without_owner': (
        'An instance is building without an operation.',
        '--repair sets it to error; it can then be deleted.',
    ),
    'resized_without_migration': (
        'An instance is resized without a migration to confirm.',
        (
            'It can be neither confirmed nor reverted: save its data and '
            'delete it.'
        ),
    ),
    'partial_image': (
        'The image service has an image that no snapshot fills.',
        (
            'Delete it with a client of the image service, or set the '
            'options of [image] where the audit runs, for --repair.'
        ),
    ),
    'soft_delete_without_time': (
        'It is not known when an instance was soft-deleted.',
        '--repair starts the time until it is reclaimed.',
    ),
    'offloaded_without_image': (
        'An instance is offloaded and names no image to start from.',
        (
            'Search for an image with its id in the property instance_uuid, '
            'create a server from that image, and delete this one.'
        ),
    ),
    'operation_lost_instance': (
        'An operation runs as the owner of an instance that it lost.',
        '--repair ends it.',
    ),
    'operation_without_step': (
        'An operation runs without an open step.',
        '--repair ends it.',
    ),
    'operation_step_count': (
        'The open step count of an operation is wrong.',
        '--repair recounts it.',
    ),
    'operation_stuck': (
        'An operation is past its deadline without a wait reason.',
        (
            'The sweeper ends it: check that a conductor runs and that its '
            'log has no errors.'
        ),
    ),
    'operation_waiting': (
        'An operation waits.',
        'See its wait reason.',
    ),
    'step_left_open': (
        'A step is open although its operation has ended.',
        '--repair closes it.',
    ),
    'step_without_service': (
        'A step is pending on a host without a compute service.',
        (
            'Start a compute service of that name, or wait for the '
            'deadline: the operation then ends without the step.'
        ),
    ),
    'migration_left_open': (
        'A migration is in progress without an operation.',
        '--repair sets it to error.',
    ),
    'outbox_gap': (
        'Notifications of an instance are missing.',
        (
            'Lost notifications cannot be restored: consumers must read the'
            ' state of the instance from the API. Find out who deleted rows'
            ' of the outbox.'
        ),
    ),
    'outbox_seq_ahead': (
        'The outbox is ahead of the sequence number of its instance.',
        (
            'No operation can change the instance until --repair has '
            'advanced its sequence number.'
        ),
    ),
    'outbox_unpublished': (
        'Notifications remain unpublished.',
        (
            'Check that a conductor runs and that it reaches the '
            'notification broker.'
        ),
    ),
    'outbox_out_of_order': (
        'A notification is published before its predecessor.',
        (
            'Consumers that check the sequence number recover. Find out who'
            ' changed rows of the outbox.'
        ),
    ),
    'event_left_open': (
        'An event has a start notification and no end.',
        'Tell its consumers by hand if they wait for the end.',
    ),
    'duplicate_hypervisor': (
        'Two compute services report a hypervisor of the same name.',
        (
            'Two compute services on one libvirt start each guest twice: '
            'stop one of them and delete its service, or rename one of the '
            'machines.'
        ),
    ),
    'host_unknown': (
        'Instances are on a host that is not registered.',
        (
            'Start its compute service, or force-delete the instances if '
            'the host is lost.'
        ),
    ),
    'host_down': (
        'A host with instances is down.',
        (
            'Check the host; the page "Recovery" of the documentation lists'
            ' what happens meanwhile.'
        ),
    ),
    'hypervisor_failed': (
        'A host is up, but its hypervisor does not answer.',
        (
            'Start or repair libvirt on the host. The host gets no servers '
            'until its hypervisor answers.'
        ),
    ),
    'host_not_checked': (
        'The contents of a host could not be read.',
        (
            'Make its compute service answer, or leave hosts out with '
            '--offline.'
        ),
    ),
    'queue_missing': (
        'A service that is up has no queue.',
        'Restart it; a service declares its queues at its start.',
    ),
    'queue_without_consumer': (
        'The queue of a service that is up has no consumer.',
        'Restart the service.',
    ),
    'queue_backlog': (
        'Messages accumulate in the queue of a service that is up.',
        (
            'Check whether the service is overloaded or hangs; more workers'
            ' may help.'
        ),
    ),
}

RULES: Final = {row[0]: Rule(*row, *_TEXT[row[0]]) for row in _ROWS}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One violation of a rule, at one place.

    ``generation`` is the instance's at the scan. ``subject`` distinguishes
    several findings of a rule for one instance: the id of a step, a migration
    or a port, the consumer of an allocation, a queue, an event. A finding
    that is not ``is_repairable`` is left to the operator although its rule
    has a repair. ``resources`` and ``guest_generation`` are for the repair.
    """

    name: str
    text: str
    host: str | None = None
    instance: str | None = None
    operation: str | None = None
    generation: int | None = None
    subject: str = ''
    is_repairable: bool = True
    resources: Resources | None = dataclasses.field(
        default=None, compare=False
    )
    guest_generation: int | None = dataclasses.field(
        default=None, compare=False
    )

    @property
    def rule(self) -> Rule:
        """The row of the table."""
        return RULES[self.name]

    @property
    def is_fault(self) -> bool:
        """Whether it needs a repair or an action of the operator."""
        return self.rule.severity is not Severity.INFORMATION

    @property
    def repair(self) -> str:
        """The name of its repair; '' if it is left to the operator."""
        return self.rule.repair if self.is_repairable else ''

    @property
    def key(self) -> tuple[str | int | None, ...]:
        """Its identity: equal if two scans find the same violation."""
        return (
            self.name,
            self.host,
            self.instance,
            self.operation,
            self.subject,
            self.generation,
        )

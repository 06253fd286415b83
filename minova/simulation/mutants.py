# SPDX-License-Identifier: Apache-2.0
"""Mutants: the code without one of its guards, to test the simulation itself.

Each mutant replaces one function that an invariant depends on. The campaigns
of the mutant must find a violation; a mutant that survives shows a gap in the
checks.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
from types import ModuleType
from typing import Final

from minova import clock
from minova import states
from minova.compute import conductor_client
from minova.compute import image_uploads
from minova.compute import stale_guests
from minova.compute import step_context
from minova.conductor import host_fencing
from minova.conductor import manager
from minova.conductor import reclaim
from minova.conductor import sweeper
from minova.conductor import usage_audit
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.db.queries import outbox
from minova.db.queries import placements
from minova.db.queries import ports
from minova.db.queries import server_groups
from minova.engine import begin
from minova.engine import evacuation
from minova.engine import notice_buffer
from minova.engine import outbox_rows
from minova.engine import placements as engine_placements
from minova.engine import step_lifecycle
from minova.engine import unit_of_work
from minova.flows import admin_password
from minova.flows import attach_interface
from minova.flows import crash_dump
from minova.flows import delete
from minova.flows import evacuate
from minova.flows import migration_monitor
from minova.flows import rebuild
from minova.flows import reset_state
from minova.flows import resize
from minova.flows import shelve
from minova.flows import snapshot
from minova.flows import soft_delete
from minova.notifications import relay
from minova.objects.step_results import NoResult
from minova.objects.step_results import PasswordSet
from minova.simulation import planted_faults
from minova.simulation.planted_faults import Function
from minova.virt.fake import disks

#: A module or class, the name of the attribute to replace, and a function that
#: returns the replacement of the original.
Patch = tuple[ModuleType | type, str, Callable[[Function], object]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A planted fault: the patches, and the campaigns that must detect it.

    ``invariant`` names the invariants that it violates.
    """

    name: str
    description: str
    invariant: str
    campaigns: tuple[str, ...]
    scenarios: tuple[str, ...]
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the patches; restore the originals at the end."""
        with contextlib.ExitStack() as restored:
            for owner, name, make in self.patches:
                # The stored attribute, not a bound one.
                original = vars(owner)[name]
                setattr(owner, name, make(original))
                restored.callback(setattr, owner, name, original)
            yield


_ALL: Final = ('crash',)
_LIVE: Final = ('live_migrate',)

# fmt: off
MUTANTS: Final = (
    Mutant('no-incarnation-fence', 'an older incarnation of a service may write', 'invariant 8',
            ('stale_process',), ('reboot_hard', 'resize', 'create'),
            ((operations, 'lock_step', planted_faults.any_incarnation),)),
    Mutant('no-generation-fence', 'a preempted operation may write', 'invariants 4, 7, 9',
            ('pause', 'delay'), ('force_delete_resizing', 'delete_resizing'),
            ((instances, 'update', planted_faults.update_unfenced), (step_lifecycle, '_require_live', planted_faults.do_nothing), (operations, 'close_open_steps', planted_faults.do_nothing))),
    Mutant('outbox-outside-transaction', 'notifications are written in another transaction', 'invariant 6',
            _ALL, ('stop', 'create'),
            ((outbox, 'insert', planted_faults.insert_later),)),
    Mutant('accepted-before-commit', 'a request is accepted before its operation is committed', 'invariant 3',
            _ALL, ('stop',),
            ((begin, 'begin', planted_faults.begin_later),)),
    Mutant('published-out-of-order', 'the newest notification is published first', 'invariant 6',
            _ALL, ('stop',),
            ((outbox, 'list_unpublished', planted_faults.reverse_order),)),
    Mutant('marked-before-publish', 'notifications are marked as published too early', 'invariant 6',
            _ALL, ('stop',),
            ((relay.Relay, 'publish_batch', planted_faults.mark_before_publish),)),
    Mutant('new-message-id-on-retry', 'a repeated publication has a new message_id', 'invariant 6',
            _ALL, ('stop',),
            ((outbox_rows, 'message_id', lambda original: lambda uuid, seq: clock.uuid4()),)),
    Mutant('start-emitted-twice', 'a resumed step emits its start again', 'invariant 5',
            _ALL, ('reboot_hard', 'resize'),
            ((operations, 'lock_step', planted_faults.load_as_new),)),
    Mutant('end-emitted-twice', 'a closed event stays open', 'invariant 5',
            _ALL, ('resize_fails', 'delete_resizing'),
            ((notice_buffer.NoticeBuffer, '_remove_open_event', planted_faults.return_value(True)),)),
    Mutant('shutdown-emitted-early', 'a force-delete emits shutdown.end while the guest runs', 'invariant 5',
            _ALL, ('force_delete',),
            ((delete, '_enqueue_shutdown', planted_faults.emit_shutdown_early),)),
    Mutant('undo-missing', 'the guest at the destination is not removed', 'invariant 9',
            _ALL, ('resize_fails',),
            ((resize.FinishResize, 'undo', planted_faults.replace_with(None)),)),
    Mutant('host-not-restored', 'an undone resize does not restore the host of the instance', 'invariants 2, 9',
            _ALL, ('resize_fails',),
            ((resize.ResizeInstance, 'on_undo', planted_faults.do_nothing),)),
    Mutant('allocation-not-released', 'a failed migration keeps its allocation', 'invariant 9',
            _ALL, ('resize_fails', 'live_migrate_fails'),
            ((hosts, 'release', planted_faults.do_nothing),)),
    Mutant('cpus-given-twice', 'a claim does not see the CPUs of other guests', 'invariant 9',
            _ALL, ('create_pinned',),
            ((placements, 'list_placements', planted_faults.return_value([])),)),
    Mutant('pins-of-old-host', 'a guest that migrates keeps the CPUs of its old host', 'invariant 9',
            _ALL, ('live_migrate_pinned', 'resize_pinned'),
            ((engine_placements, 'find', planted_faults.do_nothing),)),
    Mutant('ports-not-released', 'a deleted server keeps its addresses', 'invariant 9',
            _ALL, ('delete', 'force_delete_resizing'),
            ((unit_of_work.UnitOfWork, 'release_ports', planted_faults.do_nothing),)),
    Mutant('interface-kept', 'a failed attachment keeps its port', 'invariant 9',
            _ALL, ('attach_interface_fails',),
            ((attach_interface.Attach, 'on_unwound', planted_faults.fail_only),)),
    Mutant('interface-port-kept', 'a detached interface keeps its port', 'invariant 9',
            _ALL, ('detach_interface',),
            ((unit_of_work.UnitOfWork, 'detach_nic', planted_faults.do_nothing),)),
    Mutant('port-not-recorded', 'an address is allocated without a port', 'invariant 9',
            _ALL, ('create',),
            ((ports, 'insert', planted_faults.do_nothing),)),
    Mutant('allocation-not-claimed', 'an instance is scheduled without a claim', 'invariant 9',
            _ALL, ('create',),
            ((hosts, 'claim', planted_faults.claim_always),)),
    Mutant('server-group-ignored', 'no claim or filter knows the server group', 'invariant 9',
            _ALL, ('create_in_full_group', 'resize_in_full_group', 'live_migrate_in_full_group'),
            ((server_groups, 'lock_placement', planted_faults.do_nothing), (server_groups, 'read_placement', planted_faults.do_nothing))),
    Mutant('arrival-not-checked', 'a guest counts as migrated before its arrival', 'invariants 1, 9',
            _ALL, _LIVE,
            ((migration_monitor, 'monitor', planted_faults.do_nothing), (migration_monitor, 'require_arrived', planted_faults.do_nothing))),
    Mutant('unwound-too-early', 'an error during a live migration unwinds it at once', 'invariants 2, 9',
            ('fail',), _LIVE,
            ((migration_monitor, 'query', planted_faults.trust_error),)),
    Mutant('stale-process-continues', 'a paused and replaced incarnation continues', 'invariant 9',
            ('stale_process',), ('resize_unwound', 'resize', 'resize_fails', 'create_rescheduled'),
            ((conductor_client.ConductorClient, 'require_newest', planted_faults.do_nothing),)),
    Mutant('change-not-noted', 'a failed step never counts as a change of its guest', 'invariant 9',
            ('fail', 'hypervisor'), ('create', 'rescue'),
            ((step_context.StepContext, 'is_guest_untouched', lambda original: property(lambda ctx: True)),)),
    Mutant('half-retained', 'an interrupted hand-over of disks is not resumed', 'invariant 9',
            _ALL, ('resize',),
            ((resize.ResizeInstance, 'run', lambda original: planted_faults.send_disks_once),)),
    Mutant('old-image-not-restored', 'a failed rebuild keeps the new image', 'invariant 9',
            _ALL, ('rebuild_fails',),
            ((rebuild, '_restore_fields', planted_faults.do_nothing),)),
    Mutant('old-disks-not-restored', 'a failed rebuild keeps the new disks', 'invariant 9',
            _ALL, ('rebuild_fails', 'rebuild_undefined'),
            ((rebuild.RebuildInstance, 'undo', planted_faults.replace_with(None)),)),
    Mutant('old-disks-kept', 'the old disks stay after a rebuild', 'invariant 9',
            _ALL, ('rebuild',),
            ((delete, 'enqueue_discard', planted_faults.do_nothing),)),
    Mutant('password-not-set', 'a change of a password succeeds without the guest', 'invariant 3',
            _ALL, ('change_password',),
            ((admin_password.SetAdminPassword, 'run', planted_faults.return_value(PasswordSet(encrypted_password=None))),)),
    Mutant('crash-dump-not-injected', 'a crash dump succeeds without an interrupt', 'invariant 3',
            _ALL, ('crash_dump',),
            ((crash_dump.TriggerCrashDump, 'run', planted_faults.return_value(NoResult())),)),
    Mutant('no-sweeper', 'no wake-up is repeated and no compute is given its due steps', 'invariant 3',
            ('drop',), ('stop', 'create'),
            ((manager, '_due_steps', planted_faults.return_value([])), (sweeper, '_is_old', planted_faults.return_value(False)))),
    Mutant('vm-state-too-early', 'the vm_state changes at the begin of an operation', 'invariant 7',
            _ALL, ('stop', 'pause'),
            ((states, 'begin', planted_faults.set_end_state_at_begin),)),
    Mutant('task-state-not-cleared', 'an ended operation keeps the task state', 'invariant 4',
            _ALL, ('stop',),
            ((states, 'succeed', planted_faults.keep_task_state),)),
    Mutant('no-preemption', 'a force-delete does not preempt the running operation', 'invariants 4, 10',
            _ALL, ('force_delete_resizing', 'force_delete_migrating'),
            ((begin, '_preempt_owner', planted_faults.return_value([])),)),
    Mutant('no-fencing-proof', 'a server is evacuated from a host that only is silent', 'invariant 1',
            _ALL, ('evacuate_unproven',),
            ((evacuation, 'check_host', planted_faults.return_value(evacuation.Check(False))), (evacuation, 'require_proof', planted_faults.do_nothing))),
    Mutant('disk-lock-not-required', 'a disk without a lock proves that a silent host is off', 'invariant 1',
            _ALL, ('evacuate_local_disk',),
            ((evacuate, '_keeps_disks', planted_faults.return_value(False)),)),
    Mutant('disk-lock-ignored', 'a shared disk is taken while a guest has it open', 'invariant 1',
            _ALL, ('evacuate_disk_lock',),
            ((disks.FakeDisks, '_require_unlocked', planted_faults.do_nothing),)),
    Mutant('failed-fence-counts', 'a host counts as fenced whose agent has failed', 'invariant 1',
            _ALL, ('evacuate_fence_fails', 'evacuate_fence_hangs'),
            ((host_fencing.HostFencing, '_run', planted_faults.record_failed_fence),)),
    Mutant('shared-disk-removed', 'a host that returns removes shared disks of another host', 'invariant 9',
            _ALL, ('evacuate_shared',),
            ((disks.FakeDisks, 'remove_disks', planted_faults.remove_disks_of_all),)),
    Mutant('stale-guest-not-destroyed', 'a host that returns keeps the guest and the disks that it has lost', 'invariant 9',
            _ALL, ('evacuate',),
            ((stale_guests, 'remove', planted_faults.do_nothing), (evacuate.DestroyEvacuatedInstance, 'run', planted_faults.return_value(NoResult())))),
    Mutant('exists-not-marked', 'an exists is emitted before its period is marked', 'invariant 11',
            _ALL, ('usage_audit',),
            ((usage_audit.UsageAudit, '_emit', planted_faults.emit_before_mark),)),
    Mutant('soft-deleted-runs-on', 'a soft-deleted guest is not powered off', 'invariant 9',
            _ALL, ('soft_delete',),
            ((soft_delete.SoftDeleteInstance, 'run', planted_faults.report_power_off),)),
    Mutant('power-off-not-pending', 'a guest runs on that is soft-deleted while its host is down', 'invariant 9',
            ('crash-late', 'pause-late'), ('soft_delete',),
            ((soft_delete, '_enqueue_power_off', planted_faults.do_nothing),)),
    Mutant('restore-not-undone', 'a failed restore leaves the guest running', 'invariant 9',
            ('fail',), ('restore',),
            ((soft_delete.RestoreInstance, 'undo', planted_faults.replace_with(None)),)),
    Mutant('reclaimed-twice', 'a reclaim does not check the row again', 'invariant 3',
            _ALL, ('restore_at_reclaim', 'reclaim'),
            ((reclaim, '_is_due', planted_faults.return_value(True)), (instances, 'list_soft_deleted', planted_faults.list_busy_too))),
    Mutant('shelved-image-removed-early', 'the image of a shelved server is removed before its guest runs', 'invariant 9',
            ('fail',), ('unshelve_refused', 'unshelve'),
            ((shelve.UnshelveInstance, 'run', planted_faults.discard_image_first),)),
    Mutant('shelved-image-kept', 'the image of a deleted shelved server remains', 'invariant 9',
            _ALL, ('delete_offloaded', 'delete_shelved'),
            ((begin, '_list_after_delete', planted_faults.return_value([])),)),
    Mutant('offload-keeps-claim', 'an offloaded server keeps its claim', 'invariant 9',
            _ALL, ('shelve_offload',),
            ((hosts, 'release', planted_faults.do_nothing),)),
    Mutant('unshelved-from-old-image', 'an offloaded server is unshelved from its first image', 'invariant 9',
            _ALL, ('unshelve',),
            ((shelve, '_image_spec', planted_faults.spec_of_first_image),)),
    Mutant('shelve-not-undone', 'a failed shelve leaves the guest off', 'invariant 9',
            _ALL, ('shelve_fails', 'shelve_paused_fails'),
            ((shelve.ShelveInstance, 'undo', planted_faults.replace_with(None)),)),
    Mutant('reset-without-abort', 'a reset does not end the owner', 'invariants 1, 4, 9',
            _ALL, ('reset_live_running', 'reset_resizing'),
            ((begin, '_preempt_owner', planted_faults.return_value([])),)),
    Mutant('settled-by-host-only', 'a reset keeps the copy on the host of the row and does not look', 'invariants 1, 9',
            _ALL, ('reset_resize_finish', 'reset_live_post', 'reset_live_running', 'reset_reverting'),
            ((reset_state.SettleAtSource, 'run', planted_faults.keep_on_source), (reset_state.SettleAtDestination, 'run', planted_faults.keep_on_source))),
    Mutant('no-cleanup-elsewhere', 'artifacts of a deleted guest on other hosts are not removed', 'invariant 9',
            _ALL, ('delete_resizing', 'delete_resized'),
            ((delete, '_other_hosts', planted_faults.return_value([])), (delete, '_hosts_to_recheck', planted_faults.return_value([])))),
    Mutant('image-not-discarded', 'the image of a failed or preempted snapshot is not deleted', 'invariant 9',
            _ALL, ('snapshot_fails', 'delete_snapshotting'),
            ((snapshot.DiscardImage, 'run', planted_faults.do_nothing),)),
    Mutant('preempted-snapshot-forgotten', 'a delete forgets the snapshot that it preempts', 'invariant 9',
            _ALL, ('delete_snapshotting',),
            ((begin, '_find_follow_up', planted_faults.do_nothing),)),
    Mutant('upload-not-required', 'a snapshot ends without its upload', 'invariants 3, 9',
            _ALL, ('snapshot',),
            ((image_uploads.ImageUploads, 'upload', planted_faults.do_nothing),)),
)
# fmt: on

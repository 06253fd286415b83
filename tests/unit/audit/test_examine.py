# SPDX-License-Identifier: Apache-2.0
"""Each rule: a clean cloud has no finding, each fault exactly one."""

import dataclasses

from minova.audit import examine
from minova.audit import findings
from minova.audit import repair
from minova.audit.findings import Severity
from minova.db.queries.audit_snapshot import UnfinishedEvent
from minova.db.queries.hosts import Resources
from minova.numa.placement import PlacedCell
from minova.numa.placement import Placement
from minova.objects.operation_params import SnapshotParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.snapshot_image import SnapshotImage
from minova.objects.step_args import RecheckArgs
from minova.objects.step_args import SnapshotArgs
from minova.rpc.named_queue import QueueStats
from tests import base
from tests.unit.audit import row_builders
from tests.unit.audit.row_builders import ago
from tests.unit.audit.row_builders import artifact
from tests.unit.audit.row_builders import empty_contents
from tests.unit.audit.row_builders import OFF
from tests.unit.audit.row_builders import PAUSED


def clean():
    """Return a cloud with an instance in each state of each flow."""
    it = row_builders.Rows()
    it.add('active')
    it.add_artifacts('a', artifact('active'))
    it.ports.append(it.plug('active', '10.0.0.5'))
    it.add('stopped', vm_state='stopped', power_state=OFF)
    it.add_artifacts('a', artifact('stopped', power_state=OFF))
    it.add('refused', host=None, vm_state='error', launched_at=None)
    _building(it)
    _resized(it)
    _confirmed(it)
    _reverting(it)
    _migrating(it)
    _moving(it)
    _deleted(it)
    _copying(it)
    # A guest that is not managed by Minova.
    it.add_artifacts('a', artifact('theirs', has_disks=False, generation=None))
    return it


def _building(it):
    it.add(
        'building',
        vm_state='building',
        task_state='spawning',
        task_id='create',
        launched_at=None,
        power_state=0,
    )
    it.begin('create', 'building', 'a', kind='create')
    it.add_artifacts('a', empty_contents('building', has_partial_disks=True))


def _resized(it):
    """Add unconfirmed resizes: to another host, and on the same host."""
    it.add(
        'resized', host='b', vm_state='resized', flavor=row_builders.flavor(2)
    )
    it.migrations.append(
        row_builders.migration(1, 'gone', 'resized', 'finished')
    )
    it.allocate('resized', 'a', 'migration-1')
    it.add_artifacts(
        'a',
        empty_contents('resized', power_state=OFF, has_retained_disks=True),
    )
    it.add_artifacts('b', artifact('resized'))
    it.add('larger', vm_state='resized', flavor=row_builders.flavor(2))
    it.migrations.append(
        row_builders.migration(2, 'gone', 'larger', 'finished', dest_host='a')
    )
    it.allocate('larger', 'a', 'migration-2')
    it.add_artifacts('a', artifact('larger', has_retained_disks=True))


def _copying(it):
    """Add snapshots: one runs, one deletes its image, one is not ours."""
    it.add('copying', task_state='image_uploading', task_id='snapshot')
    copy = SnapshotImage(
        id='image-1',
        name='copy',
        owner='project',
        container_format='bare',
        min_disk=0,
        min_ram=0,
        properties={},
    )
    it.begin(
        'snapshot',
        'copying',
        'a',
        kind='snapshot',
        params=SnapshotParams(image=copy),
    )
    it.add_artifacts('a', artifact('copying', has_snapshots=True))
    it.add('ended', allocated=False, vm_state='deleted')
    it.begin(
        'discard', 'ended', 'a', kind='discard_snapshot', owns_instance=False
    )
    it.steps[-1].args = SnapshotArgs(image_id='image-2')
    it.images += [
        row_builders.image('image-1', 'copying', status='saving'),
        row_builders.image('image-2', 'ended'),
        row_builders.image('image-3', 'of another cloud'),
    ]


def _confirmed(it):
    """Add a confirmed resize with pending clean-up on a down host."""
    it.add('confirmed', host='b')
    it.begin(
        'confirm',
        'confirmed',
        'a',
        kind='confirm_resize',
        owns_instance=False,
        wait_reason='host a to return',
        deadline=ago(days=1),
        params=UnconfirmedResizeParams(migration_id=3),
    )
    it.migrations.append(
        row_builders.migration(3, 'gone', 'confirmed', 'confirming')
    )
    it.allocate('confirmed', 'a', 'migration-3')
    it.add_artifacts(
        'a',
        empty_contents('confirmed', power_state=OFF, has_retained_disks=True),
    )
    it.add_artifacts('b', artifact('confirmed'))


def _reverting(it):
    it.add(
        'reverting',
        allocated=False,
        host='b',
        vm_state='resized',
        task_state='resize_reverting',
        task_id='revert',
    )
    it.begin(
        'revert',
        'reverting',
        'b',
        params=UnconfirmedResizeParams(migration_id=4),
    )
    it.migrations.append(
        row_builders.migration(4, 'gone', 'reverting', 'reverting')
    )
    it.allocate('reverting', 'a', 'migration-4')
    it.allocate('reverting', 'b', 'reverting', 2)
    it.add_artifacts(
        'a',
        empty_contents('reverting', power_state=OFF, has_retained_disks=True),
    )


def _migrating(it):
    it.add('migrating', task_state='migrating', task_id='live')
    it.begin('live', 'migrating', 'a', 'b', kind='live_migrate')
    it.migrations.append(
        row_builders.migration(5, 'live', 'migrating', 'running')
    )
    it.allocate('migrating', 'b', 'live')
    it.add_artifacts('a', artifact('migrating'))
    it.add_artifacts(
        'b',
        empty_contents('migrating', is_incoming=True, has_partial_disks=True),
    )


def _moving(it):
    """Add a resize at its destination, before the claim is transferred."""
    it.add(
        'moving',
        allocated=False,
        host='b',
        task_state='resize_migrated',
        task_id='resize',
        power_state=OFF,
    )
    it.begin('resize', 'moving', 'b', kind='resize')
    it.migrations.append(
        row_builders.migration(7, 'resize', 'moving', 'post-migrating')
    )
    it.allocate('moving', 'a', 'moving')
    it.allocate('moving', 'b', 'resize', 2)
    it.add_artifacts(
        'a', empty_contents('moving', power_state=OFF, has_retained_disks=True)
    )
    it.add_artifacts('b', empty_contents('moving', has_disks=True))


def _deleted(it):
    """Add a deleted instance with pending clean-up on two hosts."""
    it.add('deleted', vm_state='deleted')
    it.begin(
        'delete', 'deleted', 'a', kind='force_delete', owns_instance=False
    )
    it.steps[-1].args = RecheckArgs(recheck_hosts=['b'])
    it.add_artifacts('a', artifact('deleted'))
    it.add_artifacts('b', empty_contents('deleted', has_disks=True))
    it.add('gone', allocated=False, vm_state='deleted')


# -- faults ------------------------------------------------------------------


def _set_macs(it, macs):
    """Set the interfaces of the guest of the active instance."""
    found = it.host_contents['a']
    for number, one in enumerate(found):
        if one.uuid == 'active':
            found[number] = one.replace(macs=macs)


def _sets(target, **values):
    return lambda it: it.change(target, **values)


def _operation(number, **values):
    def spoil(it):
        it.operations[number] = dataclasses.replace(
            it.operations[number], **values
        )

    return spoil


def _at(host, *holdings):
    return lambda it: it.add_artifacts(host, *holdings)


def _set_notifications(**values):
    def spoil(it):
        it.outbox['active'] = dataclasses.replace(
            it.outbox['active'], **values
        )

    return spoil


def _set_liveness(name, queue):
    return lambda it: it.queues.update({name: queue})


def _drop(kind, uuid, host='a'):
    """Remove the guest, or all artifacts, of an instance from a host."""

    def spoil(it):
        kept = [h for h in it.host_contents[host] if h.uuid != uuid]
        if kind == 'guest':
            kept.append(empty_contents(uuid, has_disks=True))
        it.host_contents[host] = kept

    return spoil


def _without_allocation(it):
    it.allocations = [
        one for one in it.allocations if one.consumer != 'active'
    ]


def _oversized(it):
    (one,) = [one for one in it.allocations if one.consumer == 'active']
    index = it.allocations.index(one)
    it.allocations[index] = dataclasses.replace(one, vcpus=7)


def _on_unknown_cpus(it):
    (one,) = [one for one in it.allocations if one.consumer == 'active']
    index = it.allocations.index(one)
    cell = PlacedCell(0, (0,), (3,), 512)
    placement = Placement((cell,), is_dedicated=True).to_json()
    it.allocations[index] = dataclasses.replace(one, placement=placement)


def _without_steps(it):
    it.steps = [s for s in it.steps if s.operation_id != 'create']


def _left_open(it):
    it.steps.append(row_builders.step('step', 'ended', 'active', 'a'))


def _runs_old(it):
    (old,) = [h for h in it.host_contents['a'] if h.uuid == 'resized']
    it.host_contents['a'].remove(old)
    it.add_artifacts(
        'a', artifact('resized', has_retained_disks=True, has_disks=False)
    )
    _drop('all', 'resized', 'b')(it)
    it.add_artifacts('b', artifact('resized', power_state=OFF))
    it.change('resized', power_state=OFF)


def _close_steps(it):
    """Remove a host and everything about it but one pending step."""
    it.services = [s for s in it.services if s.host != 'b']
    del it.nodes['b']
    it.host_contents['b'] = []
    for uuid in (
        *('resized', 'confirmed', 'reverting', 'migrating', 'moving'),
        *('copying', 'ended'),
    ):
        del it.instances[uuid]
        it.outbox.pop(uuid)
    for name in ('confirm', 'revert', 'live', 'resize', 'snapshot', 'discard'):
        del it.operations[name]
    it.migrations = [m for m in it.migrations if m.instance_uuid == 'larger']
    kept = ('active', 'stopped', 'building', 'larger', 'deleted')
    it.allocations = [
        one for one in it.allocations if one.instance_uuid in kept
    ]
    it.steps = [s for s in it.steps if s.instance_uuid in kept]
    it.host_contents['a'] = [
        one for one in it.host_contents['a'] if one.uuid in (*kept, 'theirs')
    ]
    it.begin(
        'clear', 'gone', 'b', kind='cleanup_stale_guest', owns_instance=False
    )


def _unregistered(it):
    """Add an instance on an unregistered host."""
    it.add('lost', allocated=False, host='z')


def _silent(it):
    for index, one in enumerate(it.services):
        if one.host == 'b':
            it.services[index] = row_builders.service('b', heartbeat_age=61.0)


def _sick(it):
    for index, one in enumerate(it.services):
        if one.host == 'b':
            it.services[index] = row_builders.service(
                'b', hypervisor_error='no answer'
            )


#: One fault for each rule.
FAULTS = {
    'duplicate_guest': _at('b', artifact('active')),
    'source_guest_running': _runs_old,
    'stray_guest': _at('b', artifact('active', power_state=OFF)),
    'stray_disks': _at('b', empty_contents('active', has_partial_disks=True)),
    'stray_retained_disks': lambda it: (
        _drop('all', 'active')(it),
        it.add_artifacts('a', artifact('active', has_retained_disks=True)),
    ),
    'stray_snapshots': lambda it: (
        _drop('all', 'active')(it),
        it.add_artifacts('a', artifact('active', has_snapshots=True)),
    ),
    'stray_incoming': _at('b', empty_contents('active', is_incoming=True)),
    'stray_reservation': _at(
        'b', empty_contents('active', has_reserved_addresses=True)
    ),
    'guest_of_deleted': _at('a', artifact('gone')),
    'disks_of_deleted': _at(
        'b', empty_contents('gone', has_retained_disks=True)
    ),
    'unknown_guest': _at('b', artifact('unknown')),
    'unknown_disks': _at(
        'b', empty_contents('unknown', has_config_drive=True)
    ),
    'unknown_reservation': _at(
        'b', empty_contents('unknown', has_reserved_addresses=True)
    ),
    'guest_missing': _drop('guest', 'active'),
    'disks_missing': _drop('all', 'active'),
    'power_mismatch': _sets('active', power_state=PAUSED),
    'allocation_missing': _without_allocation,
    'allocation_orphan': lambda it: it.allocate('active', 'b', 'ended'),
    'allocation_mismatch': _oversized,
    'placement_invalid': _on_unknown_cpus,
    'host_usage_mismatch': lambda it: it.host_usage.update(
        a=Resources(1, 2, 3)
    ),
    'port_orphan': lambda it: it.ports.append(
        dataclasses.replace(it.ports[0], id='old', address='10.0.0.9')
    ),
    'port_missing': lambda it: it.ports.clear(),
    'interface_missing': lambda it: _set_macs(it, []),
    'interface_unknown': lambda it: _set_macs(
        it, ['fa:16:3e:00:00:00', 'fa:16:3e:00:00:99']
    ),
    'task_without_owner': _sets('active', task_state='x', task_id='none'),
    'task_state_missing': _sets('migrating', task_state=None),
    'build_without_owner': _sets('stopped', vm_state='building'),
    'resized_without_migration': _sets('active', vm_state='resized'),
    'soft_delete_without_time': _sets('stopped', vm_state='soft-delete'),
    'offloaded_without_image': _sets('stopped', vm_state='shelved_offloaded'),
    'partial_image': lambda it: it.images.append(
        row_builders.image('image-4', 'active')
    ),
    'operation_lost_instance': lambda it: it.begin('lost', 'active', 'a'),
    'operation_without_step': _without_steps,
    'operation_step_count': _operation('create', open_step_count=2),
    'operation_stuck': _operation('create', deadline=ago(minutes=10)),
    'operation_waiting': _operation('create', wait_reason='better days'),
    'step_left_open': _left_open,
    'step_without_service': _close_steps,
    'migration_left_open': lambda it: it.migrations.append(
        row_builders.migration(6, 'ended', 'active', 'queued')
    ),
    'outbox_gap': _set_notifications(rows=8),
    'outbox_seq_ahead': _sets('active', notification_seq=8),
    'outbox_unpublished': _set_notifications(
        last_published=8,
        first_unpublished=9,
        oldest_unpublished_at=ago(minutes=6),
    ),
    'outbox_out_of_order': _set_notifications(
        first_unpublished=3, oldest_unpublished_at=ago(minutes=1)
    ),
    'event_left_open': lambda it: it.unfinished_events.append(
        UnfinishedEvent('ended', 'active', 'compute.instance.pause')
    ),
    'duplicate_hypervisor': lambda it: it.nodes.update(b='node-a'),
    'host_unknown': _unregistered,
    'host_down': _silent,
    'hypervisor_failed': _sick,
    'host_not_checked': lambda it: it.unchecked_hosts.update(z='no answer'),
    'queue_missing': _set_liveness('compute.a', None),
    'queue_without_consumer': _set_liveness('conductor.c1', QueueStats(0, 0)),
    'queue_backlog': _set_liveness('compute.b', QueueStats(100, 1)),
}
#: The findings of the clean cloud, which are no faults.
INFORMATION = ['operation_waiting']


class ExamineTestCase(base.TestCase):
    """A cloud that is scanned once."""

    def found(self, it):
        return examine(
            it.snapshot(),
            it.host_contents,
            row_builders.NOW,
            it.unchecked_hosts,
            it.queues,
            it.images,
        )

    def names(self, it):
        return sorted(one.name for one in self.found(it))

    def assert_one(self, name, it):
        """The rules report only this finding."""
        found = self.names(it)
        if 'confirm' in it.operations:
            found.remove(INFORMATION[0])
        self.assertEqual([name], found)


class RulesTest(ExamineTestCase):
    """Each rule alone."""

    def test_clean_cloud(self):
        self.assertEqual(INFORMATION, self.names(clean()))

    def test_fault_yields_one_finding(self):
        for name, spoil in FAULTS.items():
            it = clean()
            spoil(it)
            self.assert_one(name, it)

    def test_every_rule_has_a_fault_here(self):
        self.assertEqual(list(findings.RULES), list(FAULTS))

    def test_every_repair_exists(self):
        named = {rule.repair for rule in findings.RULES.values()}
        self.assertEqual({*repair.REPAIR_NAMES, ''}, named)

    def test_finding_has_place_and_text(self):
        for name, spoil in FAULTS.items():
            it = clean()
            spoil(it)
            (one,) = [f for f in self.found(it) if f.name == name][:1]
            self.assertTrue(one.text.endswith('.'), one.text)
            self.assertTrue(one.rule.summary.endswith('.'), name)
            self.assertTrue(one.rule.advice.endswith('.'), name)
            if one.repair:
                self.assertIsNotNone(one.instance or one.host, name)

    def test_most_severe_first(self):
        it = clean()
        for name in (
            'operation_waiting',
            'stray_incoming',
            'host_usage_mismatch',
        ):
            FAULTS[name](it)
        FAULTS['duplicate_guest'](it)
        order = [one.rule.severity for one in self.found(it)]
        self.assertEqual(sorted(order, key=list(Severity).index), order)
        self.assertEqual(Severity.CRITICAL, order[0])


class ExplanationTest(ExamineTestCase):
    """An explanation holds for its hosts and while its operation runs."""

    def spoil(self, *spoils):
        it = clean()
        for one in spoils:
            one(it)
        return it

    def test_unconfirmed_resize_explains_only_its_source(self):
        it = self.spoil()
        it.host_contents['c'] = [
            empty_contents('resized', has_retained_disks=True)
        ]
        self.assert_one('stray_disks', it)

    def test_running_operation_explains_only_its_hosts(self):
        it = self.spoil()
        it.host_contents['c'] = [empty_contents('migrating', has_disks=True)]
        self.assert_one('stray_disks', it)

    def test_ended_operation_explains_nothing(self):
        it = self.spoil(_operation('confirm', state='done'))
        it.steps = [s for s in it.steps if s.operation_id != 'confirm']
        self.assertEqual(
            ['allocation_orphan', 'migration_left_open', 'stray_guest'],
            self.names(it),
        )

    def test_done_step_explains_nothing(self):
        it = self.spoil()
        for step in it.steps:
            if step.operation_id == 'delete':
                step.state = 'done'
        it.begin(
            'clear',
            'deleted',
            'c',
            kind='cleanup_stale_guest',
            owns_instance=False,
        )
        it.services.append(row_builders.service('c'))
        self.assertEqual(
            [
                'allocation_orphan',
                'disks_of_deleted',
                'guest_of_deleted',
                'operation_waiting',
                'operation_without_step',
            ],
            self.names(it),
        )

    def test_operation_without_instance_explains_open_steps(self):
        it = self.spoil()
        it.steps.append(
            row_builders.step('x', 'confirm', 'confirmed', 'c', state='done')
        )
        it.host_contents['c'] = [empty_contents('confirmed', has_disks=True)]
        self.assert_one('stray_disks', it)

    def test_retained_disks_need_an_unconfirmed_resize(self):
        it = self.spoil(_sets('larger', vm_state='active'))
        self.assertEqual(
            [
                'allocation_orphan',
                'migration_left_open',
                'operation_waiting',
                'stray_retained_disks',
            ],
            self.names(it),
        )

    def test_released_operation_is_no_owner(self):
        it = self.spoil(_operation('create', owns_instance=False))
        self.assert_one('task_without_owner', it)

    def test_partial_disks_are_artifacts(self):
        for host, parts, name in (
            ('a', {'generation': None}, 'unknown_guest'),
            ('b', {'power_state': None, 'is_incoming': True}, 'stray_disks'),
        ):
            uuid = 'active' if name == 'stray_disks' else 'unknown'
            one = artifact(
                uuid, has_disks=False, has_partial_disks=True, **parts
            )
            self.assert_one(name, self.spoil(_at(host, one)))

    def test_newest_notification_is_missing(self):
        it = self.spoil(_set_notifications(rows=8, last=8, last_published=8))
        self.assert_one('outbox_gap', it)

    def test_down_service_needs_no_consumer(self):
        it = self.spoil(_silent, _set_liveness('compute.b', None))
        self.assert_one('host_down', it)

    def test_hypervisor_of_a_down_host(self):
        it = self.spoil(_sick, _silent, _set_liveness('compute.b', None))
        self.assert_one('host_down', it)

    def test_unchecked_host_has_no_missing_artifacts(self):
        it = self.spoil(_drop('all', 'active'))
        del it.host_contents['a']
        self.assertEqual(INFORMATION, self.names(it))

    def test_deadline_has_a_grace_period(self):
        # 60 s of silence, and two rounds of a sweeper with its lease.
        late = self.spoil(_operation('create', deadline=ago(seconds=109)))
        self.assertEqual(INFORMATION, self.names(late))
        late = self.spoil(_operation('create', deadline=ago(seconds=111)))
        self.assert_one('operation_stuck', late)


class SafetyTest(ExamineTestCase):
    """No repair removes what may be the only copy."""

    def stray(self, own, stray, **values):
        it = clean()
        it.change('active', **values)
        _drop('all', 'active')(it)
        if own is not None:
            it.add_artifacts('a', own)
        it.add_artifacts('b', stray)
        (one,) = [
            f
            for f in self.found(it)
            if (f.host, f.instance) == ('b', 'active')
        ]
        return one.name, one.repair

    def test_own_host_is_complete(self):
        own, off = artifact('active'), artifact('active', power_state=OFF)
        self.assertEqual(
            ('stray_guest', 'cleanup_stale_guest'), self.stray(own, off)
        )
        self.assertEqual(
            ('duplicate_guest', 'cleanup_stale_guest'), self.stray(own, own)
        )
        paused = artifact('active', power_state=PAUSED)
        self.assertEqual(
            ('duplicate_guest', 'cleanup_stale_guest'), self.stray(paused, own)
        )

    def test_own_host_is_incomplete(self):
        stray = artifact('active')
        off = artifact('active', power_state=OFF)
        for own in (
            None,
            empty_contents('active', has_disks=True),
            artifact('active', has_disks=False),
        ):
            for other in (
                stray,
                off,
                empty_contents('active', has_disks=True),
            ):
                _, how = self.stray(own, other)
                self.assertEqual('', how, (own, other))

    def test_only_the_stray_guest_runs(self):
        own = artifact('active', power_state=OFF)
        self.assertEqual(
            ('stray_guest', ''), self.stray(own, artifact('active'))
        )
        self.assertEqual(
            ('stray_guest', ''),
            self.stray(own, artifact('active'), vm_state='stopped'),
        )

    def test_instance_without_host(self):
        it = clean()
        it.add_artifacts('b', artifact('refused'))
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('cleanup_stale_guest', one.repair)
        it.change('refused', launched_at=ago(days=1))
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('', one.repair)

    def test_own_host_is_unchecked(self):
        it = clean()
        it.add_artifacts('b', artifact('active', power_state=OFF))
        del it.host_contents['a']
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('', one.repair)
        self.assertIn('copy its disks', one.rule.advice)

    def test_guest_runs_on_two_other_hosts(self):
        it = clean()
        _drop('all', 'active')(it)
        it.add_artifacts('b', artifact('active'))
        it.host_contents['c'] = [artifact('active')]
        found = [f for f in self.found(it) if f.name == 'duplicate_guest']
        self.assertEqual(['b', 'c'], [f.host for f in found])
        self.assertEqual({''}, {f.repair for f in found})

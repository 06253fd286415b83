# SPDX-License-Identifier: Apache-2.0
"""Each rule: a clean cloud breaks none, one planted fault exactly one."""

import dataclasses

from minova.audit import examine
from minova.audit import findings
from minova.audit import repair
from minova.audit.findings import Severity
from minova.db.census import Unended
from minova.rpc.queue import Queue
from tests import base
from tests.unit.audit import rows
from tests.unit.audit.rows import ago
from tests.unit.audit.rows import holding
from tests.unit.audit.rows import nothing
from tests.unit.audit.rows import OFF
from tests.unit.audit.rows import PAUSED


def clean():
    """Return a cloud with an instance in every state of every chain."""
    it = rows.Rows()
    it.add('active')
    it.have('a', holding('active'))
    it.ports.append(it.plug('active', '10.0.0.5'))
    it.add('stopped', vm_state='stopped', power_state=OFF)
    it.have('a', holding('stopped', power_state=OFF))
    it.add('refused', host=None, vm_state='error', launched_at=None)
    _building(it)
    _resized(it)
    _confirmed(it)
    _reverting(it)
    _migrating(it)
    _moving(it)
    _deleted(it)
    # A guest that somebody else runs on the machine.
    it.have('a', holding('theirs', disks=False, generation=None))
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
    it.have('a', nothing('building', scraps=True))


def _resized(it):
    """One waits to be confirmed, another does so on its own host."""
    it.add('resized', host='b', vm_state='resized', flavor=rows.flavor(2))
    it.moves.append(rows.move(1, 'gone', 'resized', 'finished'))
    it.hold('resized', 'a', 'move-1')
    it.have('a', nothing('resized', power_state=OFF, aside=True))
    it.have('b', holding('resized'))
    it.add('larger', vm_state='resized', flavor=rows.flavor(2))
    it.moves.append(rows.move(2, 'gone', 'larger', 'finished', dest_host='a'))
    it.hold('larger', 'a', 'move-2')
    it.have('a', holding('larger', aside=True))


def _confirmed(it):
    """The old host is dead and owes the cleaning."""
    it.add('confirmed', host='b')
    it.begin(
        'confirm',
        'confirmed',
        'a',
        kind='confirm_resize',
        owns=False,
        waits_for='host a to return',
        deadline=ago(days=1),
        params={'migration': 3},
    )
    it.moves.append(rows.move(3, 'gone', 'confirmed', 'confirming'))
    it.hold('confirmed', 'a', 'move-3')
    it.have('a', nothing('confirmed', power_state=OFF, aside=True))
    it.have('b', holding('confirmed'))


def _reverting(it):
    it.add(
        'reverting',
        held=None,
        host='b',
        vm_state='resized',
        task_state='resize_reverting',
        task_id='revert',
    )
    it.begin('revert', 'reverting', 'b', params={'migration': 4})
    it.moves.append(rows.move(4, 'gone', 'reverting', 'reverting'))
    it.hold('reverting', 'a', 'move-4')
    it.hold('reverting', 'b', 'reverting', 2)
    it.have('a', nothing('reverting', power_state=OFF, aside=True))


def _migrating(it):
    it.add('migrating', task_state='migrating', task_id='live')
    it.begin('live', 'migrating', 'a', 'b', kind='live_migrate')
    it.moves.append(rows.move(5, 'live', 'migrating', 'running'))
    it.hold('migrating', 'b', 'live')
    it.have('a', holding('migrating'))
    it.have('b', nothing('migrating', arriving=True, scraps=True))


def _moving(it):
    """The destination owns it; room is passed on when it has finished."""
    it.add(
        'moving',
        held=None,
        host='b',
        task_state='resize_migrated',
        task_id='resize',
        power_state=OFF,
    )
    it.begin('resize', 'moving', 'b', kind='resize')
    it.moves.append(rows.move(7, 'resize', 'moving', 'post-migrating'))
    it.hold('moving', 'a', 'moving')
    it.hold('moving', 'b', 'resize', 2)
    it.have('a', nothing('moving', power_state=OFF, aside=True))
    it.have('b', nothing('moving', disks=True))


def _deleted(it):
    """Its host was down; it, and the host it moved to, still clean up."""
    it.add('deleted', vm_state='deleted')
    it.begin('delete', 'deleted', 'a', kind='force_delete', owns=False)
    it.steps[-1].args['then'] = ['b']
    it.have('a', holding('deleted'))
    it.have('b', nothing('deleted', disks=True))
    it.add('gone', held=None, vm_state='deleted')


# -- faults ------------------------------------------------------------------


def _sets(target, **values):
    return lambda it: it.change(target, **values)


def _operation(number, **values):
    def spoil(it):
        it.operations[number] = dataclasses.replace(
            it.operations[number], **values
        )

    return spoil


def _at(host, *holdings):
    return lambda it: it.have(host, *holdings)


def _tells(**values):
    def spoil(it):
        it.told['active'] = dataclasses.replace(it.told['active'], **values)

    return spoil


def _hears(name, queue):
    return lambda it: it.queues.update({name: queue})


def _drop(kind, uuid, host='a'):
    """Let a host have less of an instance."""

    def spoil(it):
        kept = [h for h in it.stocks[host] if h.uuid != uuid]
        if kind == 'guest':
            kept.append(nothing(uuid, disks=True))
        it.stocks[host] = kept

    return spoil


def _unheld(it):
    it.allocations = [one for one in it.allocations if one.holder != 'active']


def _oversized(it):
    (one,) = [one for one in it.allocations if one.holder == 'active']
    index = it.allocations.index(one)
    it.allocations[index] = dataclasses.replace(one, vcpus=7)


def _without_steps(it):
    it.steps = [s for s in it.steps if s.operation_id != 'create']


def _left_open(it):
    it.steps.append(rows.step('step', 'ended', 'active', 'a'))


def _runs_old(it):
    (old,) = [h for h in it.stocks['a'] if h.uuid == 'resized']
    it.stocks['a'].remove(old)
    it.have('a', holding('resized', aside=True, disks=False))
    _drop('all', 'resized', 'b')(it)
    it.have('b', holding('resized', power_state=OFF))
    it.change('resized', power_state=OFF)


def _nobody_owes(it):
    """A host that is gone for good, without anything else of it."""
    it.services = [s for s in it.services if s.host != 'b']
    del it.nodes['b']
    it.stocks['b'] = []
    for uuid in ('resized', 'confirmed', 'reverting', 'migrating', 'moving'):
        del it.instances[uuid]
        it.told.pop(uuid)
    for name in ('confirm', 'revert', 'live', 'resize'):
        del it.operations[name]
    it.moves = [m for m in it.moves if m.instance_uuid == 'larger']
    kept = ('active', 'stopped', 'building', 'larger', 'deleted')
    it.allocations = [
        one for one in it.allocations if one.instance_uuid in kept
    ]
    it.steps = [s for s in it.steps if s.instance_uuid in kept]
    it.stocks['a'] = [
        one for one in it.stocks['a'] if one.uuid in (*kept, 'theirs')
    ]
    it.begin('clear', 'gone', 'b', kind='put_away', owns=False)


def _unregistered(it):
    """An instance on a host of which nothing is known."""
    it.add('lost', held=None, host='z')


def _silent(it):
    for index, one in enumerate(it.services):
        if one.host == 'b':
            it.services[index] = rows.service('b', silent=61.0)


#: One planted fault for each rule.
FAULTS = {
    'guest_twice': _at('b', holding('active')),
    'old_guest_runs': _runs_old,
    'stray_guest': _at('b', holding('active', power_state=OFF)),
    'stray_disks': _at('b', nothing('active', scraps=True)),
    'stray_aside': lambda it: (
        _drop('all', 'active')(it),
        it.have('a', holding('active', aside=True)),
    ),
    'stray_arrival': _at('b', nothing('active', arriving=True)),
    'stray_reservation': _at('b', nothing('active', reserved=True)),
    'guest_of_deleted': _at('a', holding('gone')),
    'disks_of_deleted': _at('b', nothing('gone', aside=True)),
    'unknown_guest': _at('b', holding('stranger')),
    'unknown_disks': _at('b', nothing('stranger', config_drive=True)),
    'unknown_reservation': _at('b', nothing('stranger', reserved=True)),
    'guest_missing': _drop('guest', 'active'),
    'disks_missing': _drop('all', 'active'),
    'power_differs': _sets('active', power_state=PAUSED),
    'allocation_missing': _unheld,
    'allocation_orphan': lambda it: it.hold('active', 'b', 'ended'),
    'allocation_size': _oversized,
    'host_sums': lambda it: it.used.update(a=(1, 2, 3)),
    'port_orphan': lambda it: it.ports.append(
        dataclasses.replace(it.ports[0], id='old', address='10.0.0.9')
    ),
    'port_missing': lambda it: it.ports.clear(),
    'task_without_owner': _sets('active', task_state='x', task_id='none'),
    'task_half_set': _sets('migrating', task_state=None),
    'build_without_owner': _sets('stopped', vm_state='building'),
    'resized_without_move': _sets('active', vm_state='resized'),
    'operation_disowned': lambda it: it.begin('lost', 'active', 'a'),
    'operation_without_step': _without_steps,
    'operation_miscounted': _operation('create', outstanding=2),
    'operation_stuck': _operation('create', deadline=ago(minutes=10)),
    'operation_waits': _operation('create', waits_for='better days'),
    'step_left_open': _left_open,
    'step_of_nobody': _nobody_owes,
    'move_left_open': lambda it: it.moves.append(
        rows.move(6, 'ended', 'active', 'queued')
    ),
    'outbox_gap': _tells(rows=8),
    'outbox_beyond': _sets('active', notification_seq=8),
    'outbox_waits': _tells(
        last_published=8,
        first_unpublished=9,
        oldest_unpublished_at=ago(minutes=6),
    ),
    'outbox_disorder': _tells(
        first_unpublished=3, oldest_unpublished_at=ago(minutes=1)
    ),
    'span_left_open': lambda it: it.unended.append(
        Unended('ended', 'active', 'compute.instance.pause')
    ),
    'hypervisor_twice': lambda it: it.nodes.update(b='node-a'),
    'host_unknown': _unregistered,
    'host_silent': _silent,
    'not_asked': lambda it: it.not_asked.update(z='no answer'),
    'queue_missing': _hears('compute.a', None),
    'queue_deaf': _hears('conductor.c1', Queue(0, 0)),
    'queue_backlog': _hears('compute.b', Queue(100, 1)),
}
#: What is told of the clean cloud, which breaks nothing.
TOLD = ['operation_waits']


class ExamineTestCase(base.TestCase):
    """A cloud that is looked at once."""

    def found(self, it):
        return examine(
            it.records(), it.stocks, rows.NOW, it.not_asked, it.queues
        )

    def names(self, it):
        return sorted(one.name for one in self.found(it))

    def assert_one(self, name, it):
        """Besides what is told of a clean cloud there is only this."""
        found = self.names(it)
        if 'confirm' in it.operations:
            found.remove(TOLD[0])
        self.assertEqual([name], found)


class RulesTest(ExamineTestCase):
    """Every rule, by itself."""

    def test_a_clean_cloud(self):
        self.assertEqual(TOLD, self.names(clean()))

    def test_one_fault_is_one_finding(self):
        for name, spoil in FAULTS.items():
            it = clean()
            spoil(it)
            self.assert_one(name, it)

    def test_every_rule_has_a_fault_here(self):
        self.assertEqual(list(findings.RULES), list(FAULTS))

    def test_every_repair_is_one(self):
        named = {rule.repair for rule in findings.RULES.values()}
        self.assertEqual({*repair.NAMES, ''}, named)

    def test_a_finding_says_where_and_what(self):
        for name, spoil in FAULTS.items():
            it = clean()
            spoil(it)
            (one,) = [f for f in self.found(it) if f.name == name][:1]
            self.assertTrue(one.text.endswith('.'), one.text)
            self.assertTrue(one.rule.what.endswith('.'), name)
            self.assertTrue(one.rule.advice.endswith('.'), name)
            if one.repair:
                self.assertIsNotNone(one.instance or one.host, name)

    def test_the_worst_comes_first(self):
        it = clean()
        for name in ('operation_waits', 'stray_arrival', 'host_sums'):
            FAULTS[name](it)
        FAULTS['guest_twice'](it)
        order = [one.rule.severity for one in self.found(it)]
        self.assertEqual(sorted(order, key=list(Severity).index), order)
        self.assertEqual(Severity.CRITICAL, order[0])


class ExplanationTest(ExamineTestCase):
    """What explains something explains it there, and while it is live."""

    def spoil(self, *spoils):
        it = clean()
        for one in spoils:
            one(it)
        return it

    def test_a_waiting_move_explains_its_source_alone(self):
        it = self.spoil()
        it.stocks['c'] = [nothing('resized', aside=True)]
        self.assert_one('stray_disks', it)

    def test_a_live_operation_explains_its_hosts_alone(self):
        it = self.spoil()
        it.stocks['c'] = [nothing('migrating', disks=True)]
        self.assert_one('stray_disks', it)

    def test_an_operation_that_ended_explains_nothing(self):
        it = self.spoil(_operation('confirm', state='done'))
        it.steps = [s for s in it.steps if s.operation_id != 'confirm']
        self.assertEqual(
            ['allocation_orphan', 'move_left_open', 'stray_guest'],
            self.names(it),
        )

    def test_a_step_that_is_done_explains_nothing(self):
        it = self.spoil()
        for step in it.steps:
            if step.operation_id == 'delete':
                step.state = 'done'
        it.begin('clear', 'deleted', 'c', kind='put_away', owns=False)
        it.services.append(rows.service('c'))
        self.assertEqual(
            [
                'allocation_orphan',
                'disks_of_deleted',
                'guest_of_deleted',
                'operation_waits',
                'operation_without_step',
            ],
            self.names(it),
        )

    def test_one_that_does_not_own_explains_open_steps_alone(self):
        it = self.spoil()
        it.steps.append(
            rows.step('x', 'confirm', 'confirmed', 'c', state='done')
        )
        it.stocks['c'] = [nothing('confirmed', disks=True)]
        self.assert_one('stray_disks', it)

    def test_a_way_back_is_closed_with_the_wait_for_it(self):
        it = self.spoil(_sets('larger', vm_state='active'))
        self.assertEqual(
            [
                'allocation_orphan',
                'move_left_open',
                'operation_waits',
                'stray_aside',
            ],
            self.names(it),
        )

    def test_an_operation_that_has_let_go_is_no_owner(self):
        it = self.spoil(_operation('create', owns=False))
        self.assert_one('task_without_owner', it)

    def test_parts_of_disks_are_something(self):
        for host, parts, name in (
            ('a', {'generation': None}, 'unknown_guest'),
            ('b', {'power_state': None, 'arriving': True}, 'stray_disks'),
        ):
            uuid = 'active' if name == 'stray_disks' else 'stranger'
            one = holding(uuid, disks=False, scraps=True, **parts)
            self.assert_one(name, self.spoil(_at(host, one)))

    def test_the_newest_notification_may_be_the_one_that_is_lost(self):
        it = self.spoil(_tells(rows=8, last=8, last_published=8))
        self.assert_one('outbox_gap', it)

    def test_a_service_that_is_down_need_not_listen(self):
        it = self.spoil(_silent, _hears('compute.b', None))
        self.assert_one('host_silent', it)

    def test_a_host_that_was_not_asked_misses_nothing(self):
        it = self.spoil(_drop('all', 'active'))
        del it.stocks['a']
        self.assertEqual(TOLD, self.names(it))

    def test_the_deadline_has_a_grace(self):
        # 60 s of silence, and two rounds of a sweeper with its lease.
        late = self.spoil(_operation('create', deadline=ago(seconds=109)))
        self.assertEqual(TOLD, self.names(late))
        late = self.spoil(_operation('create', deadline=ago(seconds=111)))
        self.assert_one('operation_stuck', late)


class SafetyTest(ExamineTestCase):
    """Nothing is put away that may be the only one."""

    def stray(self, own, stray, **values):
        it = clean()
        it.change('active', **values)
        _drop('all', 'active')(it)
        if own is not None:
            it.have('a', own)
        it.have('b', stray)
        (one,) = [
            f
            for f in self.found(it)
            if (f.host, f.instance) == ('b', 'active')
        ]
        return one.name, one.repair

    def test_when_its_own_host_has_all(self):
        own, off = holding('active'), holding('active', power_state=OFF)
        self.assertEqual(('stray_guest', 'put_away'), self.stray(own, off))
        self.assertEqual(('guest_twice', 'put_away'), self.stray(own, own))
        paused = holding('active', power_state=PAUSED)
        self.assertEqual(('guest_twice', 'put_away'), self.stray(paused, own))

    def test_when_its_own_host_lacks_something(self):
        stray = holding('active')
        off = holding('active', power_state=OFF)
        for own in (
            None,
            nothing('active', disks=True),
            holding('active', disks=False),
        ):
            for other in (stray, off, nothing('active', disks=True)):
                _, how = self.stray(own, other)
                self.assertEqual('', how, (own, other))

    def test_when_the_stray_one_is_the_one_that_runs(self):
        own = holding('active', power_state=OFF)
        self.assertEqual(
            ('stray_guest', ''), self.stray(own, holding('active'))
        )
        self.assertEqual(
            ('stray_guest', ''),
            self.stray(own, holding('active'), vm_state='stopped'),
        )

    def test_when_it_has_no_host(self):
        it = clean()
        it.have('b', holding('refused'))
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('put_away', one.repair)
        it.change('refused', launched_at=ago(days=1))
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('', one.repair)

    def test_when_its_own_host_was_not_asked(self):
        it = clean()
        it.have('b', holding('active', power_state=OFF))
        del it.stocks['a']
        (one,) = [f for f in self.found(it) if f.name == 'stray_guest']
        self.assertEqual('', one.repair)
        self.assertIn('copy its disks', one.rule.advice)

    def test_it_runs_on_two_hosts_and_neither_is_its_own(self):
        it = clean()
        _drop('all', 'active')(it)
        it.have('b', holding('active'))
        it.stocks['c'] = [holding('active')]
        found = [f for f in self.found(it) if f.name == 'guest_twice']
        self.assertEqual(['b', 'c'], [f.host for f in found])
        self.assertEqual({''}, {f.repair for f in found})

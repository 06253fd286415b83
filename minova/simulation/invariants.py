# SPDX-License-Identifier: Apache-2.0
"""The ten invariants, looked at from outside: rows, hypervisors, what was told.

Nothing here asks the code that is being judged: rows are read with plain SQL,
guests and disks from the hypervisors' own records, notifications as a consumer
got them.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import json
import sqlite3
from typing import Any
import uuid as uuids

from minova import states
from minova.simulation.network import PublishedNotification
from minova.states import PowerState

_INVALID_OWNERS = """
    SELECT i.uuid, i.vm_state, i.task_state, i.task_id, o.state, o.owns_instance
    FROM instances i LEFT JOIN operations o ON o.id = i.task_id
    WHERE (i.task_state IS NULL) != (i.task_id IS NULL)
       OR (i.task_id IS NOT NULL
           AND (o.id IS NULL OR o.state != 'running' OR NOT o.owns_instance))
"""
_UNLINKED_OWNERS = """
    SELECT i.uuid, o.kind, o.id
    FROM operations o JOIN instances i ON i.uuid = o.instance_uuid
    WHERE o.owns_instance AND o.state = 'running' AND i.task_id IS NOT o.id
"""
#: How many operations of an instance have let go of it, or never held it.
_STATES_AND_RELEASES = """
    SELECT i.uuid, i.vm_state,
           (SELECT count(*) FROM operations o
            WHERE o.instance_uuid = i.uuid AND NOT o.owns_instance)
    FROM instances i
"""


class CommitChecker:
    """Looks at the database after each commit."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._states: dict[str, tuple[str, int]] = {}
        self.violations: list[str] = []
        self._check_states()

    def __call__(self) -> None:
        """Look at what holds at every instant: invariants 4 and 7."""
        for row in self._raw.execute(_INVALID_OWNERS):
            self.violations.append(f'invariant 4: {row}')
        for row in self._raw.execute(_UNLINKED_OWNERS):
            self.violations.append(f'invariant 4: nobody is owned by {row}')
        self._check_states()

    def _check_states(self) -> None:
        for uuid, vm_state, let_go in self._raw.execute(_STATES_AND_RELEASES):
            before = self._states.get(uuid)
            self._states[uuid] = (vm_state, let_go)
            if before is None or before[0] == vm_state:
                continue
            if before[1] == let_go:
                self.violations.append(
                    f'invariant 7: {uuid} went from {before[0]} to {vm_state} and '
                    'no operation ended'
                )


class FenceChecker:
    """Looks at what conductors answer to starts that are not the newest."""

    _METHODS = ('start_step', 'save_checkpoint', 'finish_step', 'fail_step')

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.violations: list[str] = []

    def __call__(
        self, method: str, arguments: dict[str, Any]
    ) -> Callable[[dict[str, Any] | None], None]:
        """Look at a message; return what looks at its answer: invariant 8."""
        if method not in self._METHODS:
            return lambda answer: None
        step, asker = arguments['step'], arguments['incarnation']
        found = self._raw.execute(
            'SELECT v.incarnation, s.incarnation, s.method, s.host '
            'FROM steps s JOIN services v ON v.host = s.host '
            'WHERE s.id = ?',
            (step,),
        ).fetchone()

        def judge(answer: dict[str, Any] | None) -> None:
            if found is None or asker in found[:2]:
                return
            if answer is not None and 'error' not in answer:
                self.violations.append(
                    f'invariant 8: {method} of {found[2]} was done for an older '
                    f'start of {found[3]}'
                )

        return judge


def check_notifications(
    published: Iterable[PublishedNotification], raw: sqlite3.Connection
) -> Iterator[str]:
    """Yield what is wrong with what consumers got: invariants 5 and 6."""
    by_instance: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    spans: dict[tuple[str, str, str], list[str]] = collections.defaultdict(
        list
    )
    for one in published:
        uuid, number = one.body['payload']['instance_id'], one.body
        known = by_instance[uuid]
        if number['message_id'] in known:
            if known[number['message_id']] != number:
                yield f'invariant 6: {uuid}: told again with another content'
            continue
        expected = str(uuids.uuid5(uuids.UUID(uuid), str(len(known) + 1)))
        if number['message_id'] != expected:
            yield (
                f'invariant 6: {uuid}: {number["event_type"]} is not number '
                f'{len(known) + 1}'
            )
        known[number['message_id']] = number
        name, _, phase = number['event_type'].rpartition('.')
        operation = one.context['task_id']
        if phase in ('start', 'end', 'error'):
            spans[uuid, operation, name].append(phase)
    for (uuid, operation, name), phases in spans.items():
        problem = _find_unpaired(phases)
        if problem:
            yield (
                f'invariant 5: {uuid}: {name} of {operation} {problem}: '
                f'{", ".join(phases)}'
            )
    for (
        uuid,
        count,
        newest,
    ) in raw.execute(
        'SELECT i.uuid, (SELECT count(*) FROM outbox o WHERE '
        'o.instance_uuid = i.uuid), i.notification_seq FROM instances i'
    ):
        if not count == newest == len(by_instance[uuid]):
            yield (
                f'invariant 6: {uuid}: {newest} numbers, {count} rows, '
                f'{len(by_instance[uuid])} heard'
            )


def _find_unpaired(phases: list[str]) -> str | None:
    is_open = False
    for phase in phases:
        if phase == 'start':
            if is_open:
                return 'is started twice'
            is_open = True
        elif is_open:
            is_open = False
        elif phase == 'end':
            return 'is ended without a start'
    return 'is never ended' if is_open else None


def check_rows(raw: sqlite3.Connection, lost: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the rows when all is quiet: invariants 2, 3, 9."""
    gone = set(lost)
    for number, kind, state, error, wait_reason in raw.execute(
        'SELECT id, kind, state, error, wait_reason FROM operations'
    ):
        if state == 'running':
            if not any(
                f'host {host} ' in (wait_reason or '') for host in gone
            ):
                yield f'invariant 3: {kind} {number} does not end ({wait_reason})'
        elif state in ('failed', 'rolled_back') and error is None:
            yield f'invariant 3: {kind} {number} is {state} without a reason'
    for uuid, status in raw.execute(
        'SELECT m.instance_uuid, m.status FROM migrations m '
        'JOIN instances i ON i.uuid = m.instance_uuid WHERE m.status NOT IN '
        "('finished', 'confirmed', 'reverted', 'completed', 'error', "
        "'cancelled') OR m.status = 'finished' AND i.vm_state != 'resized'"
    ):
        yield f'invariant 3: a move of {uuid} is {status} and nobody moves it'
    for uuid, vm_state, host, faults in raw.execute(
        'SELECT i.uuid, i.vm_state, i.host, (SELECT count(*) FROM faults f '
        'WHERE f.instance_uuid = i.uuid) FROM instances i'
    ):
        if host is None and vm_state not in ('error', 'deleted'):
            yield f'invariant 2: {uuid} is {vm_state} and on no host'
        if vm_state == 'error' and not faults:
            yield f'invariant 3: {uuid} is in error without a fault'
    yield from _check_host_usage(raw)


def _check_host_usage(raw: sqlite3.Connection) -> Iterator[str]:
    for host, used, held in raw.execute(
        'SELECT h.host, h.memory_mb_used, coalesce((SELECT sum(a.memory_mb) '
        'FROM allocations a WHERE a.host = h.host), 0) FROM hosts h'
    ):
        if used != held:
            yield f'invariant 9: {host} has promised {used} MiB, {held} are held'


def check_addresses(raw: sqlite3.Connection) -> Iterator[str]:
    """Yield addresses that nobody has, and those that are not held: invariant 9."""
    held = set(
        raw.execute('SELECT instance_uuid, id, address, mac FROM ports')
    )
    had = set()
    for uuid, nics in raw.execute(
        "SELECT uuid, network_info FROM instances WHERE vm_state != 'deleted'"
    ):
        for nic in json.loads(nics):
            address = nic['addresses'][0]['address']
            had.add((uuid, nic['id'], address, nic['mac']))
    for uuid, _, address, mac in held - had:
        yield f'invariant 9: {address}, {mac} is held for {uuid}, which has it not'
    for uuid, _, address, mac in had - held:
        yield f'invariant 9: {uuid} has {address}, {mac}, which is not held'


def check_accepted(
    raw: sqlite3.Connection, requests: Iterable[str]
) -> Iterator[str]:
    """Yield which requests were accepted and led to nothing."""
    known = {
        row[0] for row in raw.execute('SELECT request_id FROM operations')
    }
    for request in requests:
        if request not in known:
            yield f'invariant 3: {request} was accepted and is lost'


def check_host_contents(
    raw: sqlite3.Connection, world: Any, lost: Iterable[str]
) -> Iterator[str]:
    """Yield what is somewhere and should not be, and what is missing."""
    gone = set(lost)
    waits = _pending_steps(raw)
    due: collections.Counter[Any] = collections.Counter()
    expected: dict[str, PowerState | None] = {}
    for uuid, vm_state, host in raw.execute(
        'SELECT uuid, vm_state, host FROM instances '
        "WHERE vm_state != 'deleted' AND host IS NOT NULL"
    ):
        due[host, uuid, uuid] += 1
        here = _expected_on_host(uuid, vm_state, host)
        if vm_state == 'resized':
            move = _unconfirmed_migration(raw, uuid)
            due[move['source'], uuid, move['uuid']] += 1
            here |= _expected_at_source(uuid, host, move['source'])
        here = {p: w for p, w in here.items() if p.split('/')[0] not in gone}
        if vm_state != 'error':
            yield from _check_present(world, here)
        if vm_state == 'active' and host not in gone:
            yield from _check_config_drive(world, raw, host, uuid)
            yield from _check_guest_state(world, host, uuid, vm_state)
        expected |= here
    for path in _list_paths(world):
        host, _, uuid = path.split('/')
        known = path in expected or host in gone or (uuid, host) in waits
        if not known:
            yield f'invariant 9: {path} has no owner'
    held = collections.Counter(
        raw.execute('SELECT host, instance_uuid, consumer FROM allocations')
    )
    for host, uuid, consumer in held - due:
        if (uuid, host) not in waits:
            yield f'invariant 9: {consumer} holds room for {uuid} on {host}'
    for host, uuid, _ in due - held:
        yield f'invariant 9: {uuid} holds no room on {host}'


def _expected_on_host(
    uuid: str, vm_state: str, host: str
) -> dict[str, PowerState | None]:
    """Return what its host has of an instance, with the guest's power."""
    found = {
        f'{host}/guests/{uuid}': states.EXPECTED_POWER.get(vm_state),
        f'{host}/disks/{uuid}': None,
    }
    if vm_state == 'error':
        found[f'{host}/retained/{uuid}'] = None
    return found


def _expected_at_source(
    uuid: str, host: str, source: str
) -> dict[str, PowerState | None]:
    """Return what the source keeps until a resize is confirmed."""
    kept: dict[str, PowerState | None] = {f'{source}/retained/{uuid}': None}
    if source != host:
        kept[f'{source}/guests/{uuid}'] = PowerState.SHUTDOWN
    return kept


def _check_present(
    world: Any, expected: dict[str, PowerState | None]
) -> Iterator[str]:
    for path, power in expected.items():
        record = world.store.get(path)
        if record is None:
            yield f'invariant 9: {path} is missing'
        elif power is not None and record['power'] != power:
            yield (
                f'invariant 9: the guest at {path} is '
                f'{PowerState(record["power"]).name}, not {power.name}'
            )


def _check_config_drive(
    world: Any, raw: sqlite3.Connection, host: str, uuid: str
) -> Iterator[str]:
    """Yield what is wrong with the config drive of a guest that runs."""
    (wanted,) = raw.execute(
        'SELECT config_drive FROM instances WHERE uuid = ?', (uuid,)
    ).fetchone()
    disks = world.store.get(f'{host}/disks/{uuid}')
    has = disks is not None and 'config_drive' in disks
    if disks is not None and has != bool(wanted):
        what = 'no' if wanted else 'an unwanted'
        yield f'invariant 9: {host}/disks/{uuid} has {what} config drive'


def _check_guest_state(
    world: Any, host: str, uuid: str, vm_state: str
) -> Iterator[str]:
    """Yield what a guest and its disks have that is another state's."""
    guest = world.store.get(f'{host}/guests/{uuid}') or {'spec': {}}
    disks = world.store.get(f'{host}/disks/{uuid}') or {}
    suspended, rescued = vm_state == 'suspended', vm_state == 'rescued'
    if guest.get('saved') and not suspended:
        yield f'invariant 9: memory of {uuid} is saved, which is {vm_state}'
    # None: it was taken away from outside.
    if suspended and guest.get('saved') is False:
        yield f'invariant 9: nothing is saved of {uuid}, which is {vm_state}'
    if bool(guest['spec'].get('rescue')) != rescued:
        yield f'invariant 9: {uuid} is {vm_state}, and its guest is not'
    if bool(disks.get('rescue')) != rescued:
        yield f'invariant 9: {uuid} is {vm_state}, and its disks are not'


def _list_paths(world: Any) -> list[str]:
    return [
        f'{host}/{kind}/{uuid}'
        for host in world.list_hosts()
        for kind in (*world.RECORD_KINDS, 'migrated')
        for uuid in world.store.list_names(f'{host}/{kind}')
    ]


def _pending_steps(raw: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the instances and hosts for which something is still pending."""
    return set(
        raw.execute(
            'SELECT instance_uuid, host FROM steps WHERE state IN '
            "('pending', 'running') AND host IS NOT NULL"
        )
    )


def _unconfirmed_migration(
    raw: sqlite3.Connection, uuid: str
) -> dict[str, str]:
    found = raw.execute(
        'SELECT uuid, source_host FROM migrations WHERE instance_uuid = ? '
        "AND status = 'finished' ORDER BY id DESC",
        (uuid,),
    ).fetchone()
    if found is None:
        return {'uuid': 'nobody', 'source': 'nowhere'}
    return {'uuid': found[0], 'source': found[1]}

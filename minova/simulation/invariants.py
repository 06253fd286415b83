# SPDX-License-Identifier: Apache-2.0
"""The checks of the invariants, from outside the services.

The checks share no code with the product: they read rows with plain SQL,
guests and disks from the hypervisors' records, and notifications as a
consumer received them.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import json
import sqlite3
import uuid as uuids

from minova import power_reconciliation
from minova.rpc.bus import Json
from minova.simulation import shelve_check
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.network import PublishedNotification
from minova.states import PowerState

_INVALID_OWNERS = """
    SELECT i.uuid, i.vm_state, i.task_state, i.task_id, o.state,
           o.owns_instance
    FROM instances i LEFT JOIN operations o ON o.id = i.task_id
    WHERE (i.task_state IS NOT NULL AND i.task_id IS NULL)
       OR (i.task_state IS NULL AND i.task_id IS NOT NULL
           AND o.kind NOT IN ('attach_interface', 'detach_interface',
                              'add_fixed_ip', 'remove_fixed_ip',
                              'reset_state'))
       OR (i.task_id IS NOT NULL
           AND (o.id IS NULL OR o.state != 'running' OR NOT o.owns_instance))
"""
_UNLINKED_OWNERS = """
    SELECT i.uuid, o.kind, o.id
    FROM operations o JOIN instances i ON i.uuid = o.instance_uuid
    WHERE o.owns_instance AND o.state = 'running' AND i.task_id IS NOT o.id
"""
#: The vm_state of each instance, and how many operations do not own it.
_STATES_AND_RELEASES = """
    SELECT i.uuid, i.vm_state,
           (SELECT count(*) FROM operations o
            WHERE o.instance_uuid = i.uuid AND NOT o.owns_instance)
    FROM instances i
"""
_NOT_APART = """
    SELECT g.uuid, i.host FROM server_groups g
    JOIN server_group_members m ON m.group_id = g.id
    JOIN instances i ON i.uuid = m.instance_uuid
    WHERE g.policy = 'anti-affinity' AND i.host IS NOT NULL
      AND i.vm_state != 'deleted'
    GROUP BY g.uuid, i.host HAVING count(*) > 1
"""
#: A soft-deleted server has none if it was offloaded.
_WITHOUT_HOST = ('error', 'deleted', 'shelved_offloaded', 'soft-delete')
_NEW_SHUTDOWNS = """
    SELECT id, instance_uuid, publisher_id FROM outbox
    WHERE event_type = 'compute.instance.shutdown.end' AND id > ?
"""


class CommitChecker:
    """Checks the database after each commit."""

    def __init__(self, raw: sqlite3.Connection, world: SimulatedWorld) -> None:
        self._raw = raw
        self._world = world
        self._states: dict[str, tuple[str, int]] = {}
        self._last_notice = 0
        self._changes = raw.total_changes
        self.violations: list[str] = []
        self._check_states()
        self._list_new_shutdowns()

    def __call__(self) -> None:
        """Check the invariants 4, 5 and 7 after a commit.

        Of invariant 5 the part about a consumer that trusts
        ``shutdown.end``: the guest is gone from the host that emits it. A
        commit that changed no row leaves what was checked before.
        """
        if self._raw.total_changes == self._changes:
            return
        self._changes = self._raw.total_changes
        for uuid, publisher in self._list_new_shutdowns():
            host = publisher.partition('.')[2]
            running_on = self._world.running(uuid)
            if host in running_on or publisher.startswith('api.'):
                self.violations.append(
                    f'invariant 5: shutdown.end of {uuid} by {publisher} '
                    f'while it runs on {running_on}'
                )
        for row in self._raw.execute(_INVALID_OWNERS):
            self.violations.append(f'invariant 4: {row}')
        for row in self._raw.execute(_UNLINKED_OWNERS):
            self.violations.append(
                f'invariant 4: owner without instance: {row}'
            )
        self._check_states()

    def _list_new_shutdowns(self) -> list[tuple[str, str]]:
        """Return instance and publisher of each new ``shutdown.end``."""
        rows = self._raw.execute(
            _NEW_SHUTDOWNS, (self._last_notice,)
        ).fetchall()
        self._last_notice = max([self._last_notice, *(row[0] for row in rows)])
        return [(uuid, publisher) for _, uuid, publisher in rows]

    def _check_states(self) -> None:
        for uuid, vm_state, releases in self._raw.execute(
            _STATES_AND_RELEASES
        ):
            before = self._states.get(uuid)
            self._states[uuid] = (vm_state, releases)
            if before is None or before[0] == vm_state:
                continue
            if before[1] == releases:
                self.violations.append(
                    f'invariant 7: {uuid} changed from {before[0]} to '
                    f'{vm_state} without the end of an operation'
                )


class FenceChecker:
    """Checks the answers of conductors to stale incarnations."""

    _METHODS = ('start_step', 'save_checkpoint', 'finish_step', 'fail_step')

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.violations: list[str] = []

    def __call__(
        self, method: str, arguments: Json
    ) -> Callable[[Json | None], None]:
        """Inspect a message; return the check of its answer: invariant 8."""
        if method not in self._METHODS:
            return lambda answer: None
        step, caller = arguments['step'], arguments['incarnation']
        found = self._raw.execute(
            'SELECT v.incarnation, s.incarnation, s.method, s.host '
            'FROM steps s JOIN services v ON v.host = s.host '
            'WHERE s.id = ?',
            (step,),
        ).fetchone()

        def check(answer: Json | None) -> None:
            if found is None or caller in found[:2]:
                return
            if answer is not None and 'error' not in answer:
                self.violations.append(
                    f'invariant 8: {method} of {found[2]} succeeded for a '
                    f'stale incarnation of {found[3]}'
                )

        return check


def check_notifications(
    published: Iterable[PublishedNotification], raw: sqlite3.Connection
) -> Iterator[str]:
    """Yield the violations of the invariants 5 and 6 that a consumer sees."""
    by_instance: dict[str, dict[str, Json]] = collections.defaultdict(dict)
    spans: dict[tuple[str, str, str], list[str]] = collections.defaultdict(
        list
    )
    for notification in published:
        body = notification.body
        payload, message_id = body['payload'], body['message_id']
        uuid = payload.get('instance_id') or payload['server_group_id']
        known = by_instance[uuid]
        if message_id in known:
            if known[message_id] != body:
                yield f'invariant 6: {uuid}: repeated with other content'
            continue
        expected = str(uuids.uuid5(uuids.UUID(uuid), str(len(known) + 1)))
        if message_id != expected:
            yield (
                f'invariant 6: {uuid}: {body["event_type"]} is not number '
                f'{len(known) + 1}'
            )
        known[message_id] = body
        name, _, phase = body['event_type'].rpartition('.')
        operation = notification.context['task_id']
        if phase in ('start', 'end', 'error'):
            spans[uuid, operation, name].append(phase)
    for (uuid, operation, name), phases in spans.items():
        problem = _find_unpaired(phases)
        if problem:
            yield (
                f'invariant 5: {uuid}: {name} of {operation} {problem}: '
                f'{", ".join(phases)}'
            )
    for uuid, count, newest in raw.execute(
        'SELECT i.uuid, (SELECT count(*) FROM outbox o WHERE '
        'o.instance_uuid = i.uuid), i.notification_seq FROM instances i'
    ):
        if not count == newest == len(by_instance[uuid]):
            yield (
                f'invariant 6: {uuid}: sequence number {newest}, {count} '
                f'rows, {len(by_instance[uuid])} received'
            )


def _find_unpaired(phases: list[str]) -> str | None:
    is_open = False
    for phase in phases:
        if phase == 'start':
            if is_open:
                return 'starts twice'
            is_open = True
        elif is_open:
            is_open = False
        elif phase == 'end':
            return 'ends without a start'
    return 'never ends' if is_open else None


def check_rows(raw: sqlite3.Connection, lost: Iterable[str]) -> Iterator[str]:
    """Yield the violations of the invariants 2, 3 and 9 in a settled cloud."""
    lost_hosts = set(lost)
    for number, kind, state, error, wait_reason in raw.execute(
        'SELECT id, kind, state, error, wait_reason FROM operations'
    ):
        if state == 'running':
            if not any(
                f'host {host} ' in (wait_reason or '') for host in lost_hosts
            ):
                yield (
                    f'invariant 3: {kind} {number} does not end '
                    f'({wait_reason})'
                )
        elif state in ('failed', 'rolled_back') and error is None:
            yield f'invariant 3: {kind} {number} is {state} without an error'
    for uuid, status in raw.execute(
        'SELECT m.instance_uuid, m.status FROM migrations m '
        'JOIN instances i ON i.uuid = m.instance_uuid WHERE m.status NOT IN '
        "('finished', 'confirmed', 'reverted', 'completed', 'done', "
        "'error', "
        "'cancelled') OR m.status = 'finished' AND i.vm_state != 'resized'"
    ):
        yield f'invariant 3: a migration of {uuid} stays {status}'
    for uuid, vm_state, host, faults in raw.execute(
        'SELECT i.uuid, i.vm_state, i.host, (SELECT count(*) FROM faults f '
        'WHERE f.instance_uuid = i.uuid) FROM instances i'
    ):
        if host is None and vm_state not in _WITHOUT_HOST:
            yield f'invariant 2: {uuid} is {vm_state} without a host'
        if vm_state == 'error' and not faults:
            yield f'invariant 3: {uuid} is in error without a fault'
    yield from _check_reclaims(raw)
    yield from _check_host_usage(raw)
    for group, host in raw.execute(_NOT_APART):
        yield f'invariant 9: two servers of group {group} are on {host}'


def _check_reclaims(raw: sqlite3.Connection) -> Iterator[str]:
    """Yield the servers that were reclaimed twice, or during an operation."""
    seen = set()
    for uuid, vm_state, params in raw.execute(
        'SELECT instance_uuid, old_vm_state, params FROM operations WHERE '
        "kind = 'delete' AND user_id IS NULL"
    ):
        if uuid in seen:
            yield f'invariant 3: {uuid} was reclaimed twice'
        if vm_state != 'soft-delete' or json.loads(params).get('preempted'):
            yield f'invariant 3: {uuid}, which is {vm_state}, was reclaimed'
        seen.add(uuid)


def _check_host_usage(raw: sqlite3.Connection) -> Iterator[str]:
    for host, used, allocated in raw.execute(
        'SELECT h.host, h.memory_mb_used, coalesce((SELECT sum(a.memory_mb) '
        'FROM allocations a WHERE a.host = h.host), 0) FROM hosts h'
    ):
        if used != allocated:
            yield (
                f'invariant 9: {host} uses {used} MiB, its allocations sum '
                f'to {allocated} MiB'
            )


def check_addresses(raw: sqlite3.Connection) -> Iterator[str]:
    """Yield the differences between ports and addresses: invariant 9."""
    ports = set(
        raw.execute('SELECT instance_uuid, id, address, mac FROM ports')
    )
    addresses = set()
    for uuid, nics in raw.execute(
        "SELECT uuid, network_info FROM instances WHERE vm_state != 'deleted'"
    ):
        for nic in json.loads(nics):
            address = nic['addresses'][0]['address']
            addresses.add((uuid, nic['id'], address, nic['mac']))
    for uuid, _, address, mac in ports - addresses:
        yield f'invariant 9: port {address}, {mac} of {uuid} has no NIC'
    for uuid, _, address, mac in addresses - ports:
        yield f'invariant 9: NIC {address}, {mac} of {uuid} has no port'


def check_accepted(
    raw: sqlite3.Connection, requests: Iterable[str]
) -> Iterator[str]:
    """Yield the accepted requests without an operation: invariant 3."""
    known = {
        row[0] for row in raw.execute('SELECT request_id FROM operations')
    }
    for request in requests:
        if request not in known:
            yield f'invariant 3: the accepted request {request} is lost'


def check_host_contents(
    raw: sqlite3.Connection, world: SimulatedWorld, lost: Iterable[str]
) -> Iterator[str]:
    """Yield stray and missing artifacts and allocations: invariant 9."""
    lost_hosts = set(lost)
    pending = pending_steps(raw)
    due: collections.Counter[tuple[str, str, str]] = collections.Counter()
    expected: dict[str, PowerState | None] = {}
    for uuid, vm_state, host in raw.execute(
        'SELECT uuid, vm_state, host FROM instances '
        "WHERE vm_state != 'deleted' AND host IS NOT NULL"
    ):
        due[host, uuid, uuid] += 1
        here = _expected_on_host(uuid, vm_state, host)
        if vm_state == 'resized':
            migration = _unconfirmed_migration(raw, uuid)
            due[migration['source'], uuid, migration['uuid']] += 1
            here |= _expected_at_source(uuid, host, migration['source'])
        here = {
            path: power
            for path, power in here.items()
            if path.split('/')[0] not in lost_hosts
        }
        if vm_state != 'error':
            yield from _check_present(world, here)
        if vm_state != 'error' and host not in lost_hosts:
            yield from _check_interfaces(world, raw, host, uuid)
            yield from shelve_check.check_disk(world, raw, host, uuid)
        if vm_state == 'active' and host not in lost_hosts:
            yield from _check_config_drive(world, raw, host, uuid)
            yield from _check_guest_state(world, host, uuid, vm_state)
        expected |= here
    for path in _list_paths(world):
        host, _, uuid = path.split('/')
        known = (
            path in expected or host in lost_hosts or (uuid, host) in pending
        )
        if not known:
            yield f'invariant 9: {path} has no owner'
    allocated = collections.Counter(
        raw.execute('SELECT host, instance_uuid, consumer FROM allocations')
    )
    for host, uuid, consumer in allocated - due:
        if (uuid, host) not in pending:
            yield (
                f'invariant 9: the allocation of {uuid} on {host} for '
                f'{consumer} has no reason'
            )
    for host, uuid, _ in due - allocated:
        yield f'invariant 9: {uuid} has no allocation on {host}'


def _expected_on_host(
    uuid: str, vm_state: str, host: str
) -> dict[str, PowerState | None]:
    """Return the records of an instance on its host, with the power."""
    found = {
        f'{host}/guests/{uuid}': power_reconciliation.EXPECTED_POWER.get(
            vm_state
        ),
        f'{host}/disks/{uuid}': None,
    }
    if vm_state == 'error':
        found[f'{host}/retained/{uuid}'] = None
    return found


def _expected_at_source(
    uuid: str, host: str, source: str
) -> dict[str, PowerState | None]:
    """Return the records that the source keeps until the confirmation."""
    found: dict[str, PowerState | None] = {f'{source}/retained/{uuid}': None}
    if source != host:
        found[f'{source}/guests/{uuid}'] = PowerState.SHUTDOWN
    return found


def _check_present(
    world: SimulatedWorld, expected: dict[str, PowerState | None]
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
    world: SimulatedWorld, raw: sqlite3.Connection, host: str, uuid: str
) -> Iterator[str]:
    """Yield a missing or unwanted config drive of a running guest."""
    (wanted,) = raw.execute(
        'SELECT config_drive FROM instances WHERE uuid = ?', (uuid,)
    ).fetchone()
    disks = world.store.get(f'{host}/disks/{uuid}')
    has = disks is not None and 'config_drive' in disks
    if disks is not None and has != bool(wanted):
        what = 'no' if wanted else 'an unwanted'
        yield f'invariant 9: {host}/disks/{uuid} has {what} config drive'


def _check_interfaces(
    world: SimulatedWorld, raw: sqlite3.Connection, host: str, uuid: str
) -> Iterator[str]:
    """Yield a guest whose interfaces are not those of its instance."""
    (text,) = raw.execute(
        'SELECT network_info FROM instances WHERE uuid = ?', (uuid,)
    ).fetchone()
    wanted = sorted(nic['mac'] for nic in json.loads(text))
    guest = world.store.get(f'{host}/guests/{uuid}')
    if guest is None:
        return
    is_on = guest['power'] in (PowerState.RUNNING, PowerState.PAUSED)
    defined = guest['spec']['macs']
    seen = guest.get('macs', defined) if is_on else defined
    for what, found in (('is defined with', defined), ('has', seen)):
        if sorted(found) != wanted:
            yield (
                f'invariant 9: the guest {uuid} on {host} {what} '
                f'{sorted(found)}, the instance has {wanted}'
            )


def _check_guest_state(
    world: SimulatedWorld, host: str, uuid: str, vm_state: str
) -> Iterator[str]:
    """Yield saved memory or rescue disks that do not fit the vm_state."""
    guest = world.store.get(f'{host}/guests/{uuid}') or {'spec': {}}
    disks = world.store.get(f'{host}/disks/{uuid}') or {}
    suspended, rescued = vm_state == 'suspended', vm_state == 'rescued'
    if guest.get('saved') and not suspended:
        yield f'invariant 9: {uuid} is {vm_state} and has saved memory'
    # None: a scenario has removed it.
    if suspended and guest.get('saved') is False:
        yield f'invariant 9: {uuid} is {vm_state} without saved memory'
    if bool(guest['spec'].get('rescue')) != rescued:
        yield f'invariant 9: {uuid} is {vm_state}, its guest is not'
    if bool(disks.get('rescue')) != rescued:
        yield f'invariant 9: {uuid} is {vm_state}, its disks are not'


def _list_paths(world: SimulatedWorld) -> list[str]:
    return [
        f'{host}/{kind}/{uuid}'
        for host in world.list_hosts()
        for kind in (*world.RECORD_KINDS, 'migrated')
        for uuid in world.store.list_names(f'{host}/{kind}')
    ]


def pending_steps(raw: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the (instance, host) pairs with an open step."""
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
        return {'uuid': 'none', 'source': 'none'}
    return {'uuid': found[0], 'source': found[1]}

# SPDX-License-Identifier: Apache-2.0
"""The checks that an action which reports success has reached the guest.

Such an action leaves nothing in the database or on the disk of a host: only
the record of the guest shows its effect. A migration makes another record, so
guests that have migrated are not checked.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import sqlite3

from minova.simulation.hypervisor import SimulatedWorld
from minova.virt.record_store import Record

_CRASH_DUMP = 'trigger_crash_dump'
_CHANGE = 'set_admin_password'
#: The password that users in scenarios choose.
SECRET = 'correct-horse-battery-staple'  # noqa: S105  simulated
_HAS_PASSWORDS = 'SELECT 1 FROM operations WHERE kind = ?'
_SUCCEEDED = """
    SELECT o.instance_uuid, count(*), i.host
    FROM operations o JOIN instances i ON i.uuid = o.instance_uuid
    WHERE o.kind = ? AND o.state = 'done' AND i.vm_state != 'deleted'
      AND i.uuid NOT IN (SELECT instance_uuid FROM migrations)
    GROUP BY o.instance_uuid, i.host
"""


def check_guest_effects(
    raw: sqlite3.Connection, world: SimulatedWorld, lost: Iterable[str]
) -> Iterator[str]:
    """Yield each success without its effect: invariant 3."""
    for uuid, count, guest in _guests_after(raw, world, lost, _CRASH_DUMP):
        if guest.get('interrupts', 0) < count:
            yield (
                f'invariant 3: {count} crash dumps of {uuid} succeeded, its '
                f'guest was interrupted {guest.get("interrupts", 0)} times'
            )
    for uuid, count, guest in _guests_after(raw, world, lost, _CHANGE):
        changes = guest.get('password_changes', 0)
        if changes < count:
            yield (
                f'invariant 3: {count} changes of the password of {uuid} '
                f'succeeded, its guest has seen {changes}'
            )
    yield from _find_secret(raw)


def _find_secret(raw: sqlite3.Connection) -> Iterator[str]:
    """Yield the rows with the password of the scenarios."""
    if not raw.execute(_HAS_PASSWORDS, (_CHANGE,)).fetchone():
        return
    for line in raw.iterdump():
        if SECRET in line:
            yield f'the database has a password: {line[:80]}'


def _guests_after(
    raw: sqlite3.Connection,
    world: SimulatedWorld,
    lost: Iterable[str],
    kind: str,
) -> Iterator[tuple[str, int, Record]]:
    """Yield the guests with successful operations of ``kind``: how many."""
    lost_hosts = set(lost)
    for uuid, count, host in raw.execute(_SUCCEEDED, (kind,)).fetchall():
        guest = world.store.get(f'{host}/guests/{uuid}')
        if guest is not None and host not in lost_hosts:
            yield uuid, count, guest

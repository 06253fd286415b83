# SPDX-License-Identifier: Apache-2.0
"""Rules about allocations: who holds room where, and what it sums to.

An allocation is explained by its holder: the instance itself on its own host,
an operation that runs, or a move that waits or is being confirmed or
reverted; on any host by an open step there, whose end gives it back.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.view import View
from minova.db.census import Allocation
from minova.db.census import InstanceRow
from minova.objects.flavor import Flavor

Sizes = tuple[int, int, int]


def find(view: View) -> Iterator[Finding]:
    """Compare allocations with who needs them, and with their sums."""
    for held in view.records.allocations:
        found = _look(view, held)
        if found is not None:
            yield found
    yield from _missing(view)
    for row in view.records.hosts.values():
        if row.used != row.allocated:
            yield Finding(
                'host_sums',
                f'It is said to use {_words(row.used)}; held are '
                f'{_words(row.allocated)}.',
                host=row.host,
            )


def _look(view: View, held: Allocation) -> Finding | None:
    uuid, host = held.instance_uuid, held.host
    instance = view.records.instances.get(uuid)
    if instance is not None and view.owner(instance) is not None:
        return None
    if view.is_owed(uuid, host) or held.holder in view.running:
        return None
    wanted = _wanted(view, held, instance)
    if wanted is None:
        return _orphan(held, instance)
    if wanted == held.sizes:
        return None
    return Finding(
        'allocation_size',
        f'Held are {_words(held.sizes)}, the flavor has {_words(wanted)}.',
        host=host,
        instance=uuid,
        generation=instance.generation if instance else None,
        subject=held.holder,
        facts={'holder': held.holder, 'sizes': list(wanted)},
    )


def _wanted(
    view: View, held: Allocation, instance: InstanceRow | None
) -> Sizes | None:
    """Return what its holder needs there; None when it needs nothing."""
    if instance is None or instance.vm_state == states.DELETED:
        return None
    if held.holder == instance.uuid:
        own = held.host == instance.host
        return sizes(instance.flavor) if own else None
    for move in view.records.moves:
        if move.uuid != held.holder or move.source_host != held.host:
            continue
        waits = view.waiting.get(instance.uuid) is move
        if waits or view.is_being_made(move):
            return sizes(move.old_flavor)
    return None


def _orphan(held: Allocation, instance: InstanceRow | None) -> Finding:
    if instance is None:
        why = 'there is no such instance'
    elif instance.vm_state == states.DELETED:
        why = 'the instance is deleted'
    elif held.holder == instance.uuid:
        why = f'the instance is on {instance.host or "no host"}'
    else:
        why = f'{held.holder} is no operation that runs, nor a move that waits'
    return Finding(
        'allocation_orphan',
        f'Held are {_words(held.sizes)}; {why}.',
        host=held.host,
        instance=held.instance_uuid,
        generation=instance.generation if instance else None,
        subject=held.holder,
        facts={'holder': held.holder},
    )


def _missing(view: View) -> Iterator[Finding]:
    held = {
        (one.instance_uuid, one.host)
        for one in view.records.allocations
        if one.holder == one.instance_uuid
    }
    for instance in view.living():
        host = instance.host
        if host is None or host not in view.records.hosts:
            continue
        if (instance.uuid, host) in held or view.owner(instance) is not None:
            continue
        yield Finding(
            'allocation_missing',
            f'Its flavor needs {_words(sizes(instance.flavor))}.',
            host=host,
            instance=instance.uuid,
            generation=instance.generation,
            facts={'sizes': list(sizes(instance.flavor))},
        )


def sizes(flavor: Flavor) -> Sizes:
    """Return the room that a flavor takes."""
    return flavor.vcpus, flavor.memory_mb, flavor.disk_gb


def _words(room: Sizes) -> str:
    vcpus, memory_mb, disk_gb = room
    return f'{vcpus} vcpus, {memory_mb} MiB, {disk_gb} GiB'

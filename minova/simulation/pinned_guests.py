# SPDX-License-Identifier: Apache-2.0
"""Guests with CPUs and huge pages of their own: their cloud and its check.

The check reads the rows with plain SQL, and the definitions of the guests
from the hypervisors' own records.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterator
import json
import sqlite3

from minova.rpc.bus import Json
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.user import User
from minova.states import POWERED_ON

_PLACEMENTS = """
    SELECT host, instance_uuid, consumer, placement FROM allocations
    WHERE placement IS NOT NULL
"""
_SPECS = {
    'hw:cpu_policy': 'dedicated',
    'hw:mem_page_size': '2048',
}


def dedicate(user: User) -> None:
    """Give the flavors CPUs and huge pages of their own."""
    for flavor in ('small', 'big'):
        path = f'/flavors/{flavor}/os-extra_specs'
        user.request('POST', path, {'extra_specs': _SPECS})


def boot_two_on_host(user: User) -> None:
    """Create two servers on one host; the second is the scenario's."""
    user.create(host='a')
    user.server = user.create(host='a')


def check(
    raw: sqlite3.Connection, world: SimulatedWorld, lost: Collection[str]
) -> Iterator[str]:
    """Yield the CPUs that two guests have, and guests on other CPUs."""
    owners: dict[tuple[str, int], str] = {}
    claimed: dict[tuple[str, str], list[set[int]]] = collections.defaultdict(
        list
    )
    for host, uuid, consumer, text in raw.execute(_PLACEMENTS):
        cpus = _cpus(json.loads(text))
        claimed[host, uuid].append(cpus)
        for cpu in cpus:
            other = owners.setdefault((host, cpu), consumer)
            if other != consumer:
                yield (
                    f'invariant 9: CPU {cpu} of {host} belongs to {other} '
                    f'and to {consumer}'
                )
    for host in set(world.list_hosts()) - set(lost):
        for uuid in world.store.list_names(f'{host}/guests'):
            record = world.guest(host, uuid)
            if record is None or record['power'] not in POWERED_ON:
                continue
            placement = record['spec'].get('placement')
            used = _cpus(placement) if placement else set()
            if used and used not in claimed[host, uuid]:
                yield (
                    f'invariant 9: guest {uuid} on {host} runs on CPUs '
                    f'{sorted(used)}, which it has not claimed'
                )
            if not used and claimed[host, uuid]:
                yield (
                    f'invariant 9: guest {uuid} on {host} does not run on '
                    'the CPUs that it has claimed'
                )


def _cpus(placement: Json) -> set[int]:
    if not placement['is_dedicated']:
        return set()
    return {cpu for cell in placement['cells'] for cpu in cell['cpus']}

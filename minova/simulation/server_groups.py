# SPDX-License-Identifier: Apache-2.0
"""The actions of server groups: two servers that must be on two hosts."""

from minova.simulation.user import User


def boot_apart(user: User) -> None:
    """Create a group and two servers in it; the second is the scenario's."""
    group = {'name': 'group', 'policy': 'anti-affinity'}
    reply = user.request('POST', '/os-server-groups', {'server_group': group})
    assert reply is not None
    user.group = str(reply.get('server_group')['id'])
    user.create(group=user.group)
    user.server = user.create(group=user.group)


def boot_another(user: User) -> None:
    """Create a third server in the group."""
    user.server = user.create(group=user.group)


def boot_two(user: User) -> None:
    """Create two more servers in the group at once."""
    user.create(group=user.group)
    boot_another(user)


def fill_empty_hosts(user: User) -> None:
    """Reserve all memory of the hosts without servers."""
    user.cloud.storage.raw.execute(
        'UPDATE hosts SET reserved_memory_mb = memory_mb WHERE host NOT IN '
        '(SELECT host FROM instances WHERE host IS NOT NULL)'
    )
    user.cloud.storage.raw.commit()

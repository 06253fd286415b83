# SPDX-License-Identifier: Apache-2.0
"""The actions of scenarios: requests, waits, and changes on the hosts."""

from collections.abc import Callable
import json

from minova.conf import CONF
from minova.rpc.bus import Json
from minova.simulation import usage_check
from minova.simulation.clock import EPOCH
from minova.simulation.user import User
from minova.states import PowerState

#: What a user or an operator does next.
Action = Callable[[User], object]


def boot(user: User) -> None:
    """Create the server of the scenario."""
    user.server = user.create()


def boot_with_drive(user: User) -> None:
    """Create a server with a config drive."""
    user.server = user.create(drive=True)


def lose_config_drive(user: User) -> None:
    """Remove the config drive on the host."""
    path = f'{user.get_host()}/disks/{user.server}'
    store = user.cloud.world.store
    disk = store.get(path)
    assert disk is not None
    del disk['config_drive']
    store.put(path, disk)


def lose_disks(user: User) -> None:
    """Remove all disks of the server on its host."""
    user.cloud.world.store.delete(f'{user.get_host()}/disks/{user.server}')


def act(name: str, value: object = None) -> Action:
    """Return the request of an action on the server."""
    return lambda user: user.act(name, value)


def sequence(*actions: Action) -> Action:
    """Return several actions as one."""

    def act(user: User) -> None:
        for action in actions:
            action(user)

    return act


def settle(user: User) -> None:
    """Wait until nothing is left to do."""
    user.cloud.settle()


def wait_for(task_state: str) -> Action:
    """Return the wait for a task state."""
    return lambda user: user.wait_for_task_state(task_state)


def fail_elsewhere(
    method: str, kind: str = 'GuestFailed', hosts: int = 3
) -> Action:
    """Let a method fail once on ``hosts`` hosts other than the server's."""

    def act(user: User) -> None:
        own = user.get_states()[2]
        others = [h for h in user.cloud.world.list_hosts() if h != own]
        for host in others[:hosts]:
            user.cloud.world.inject_fault(host, method, kind=kind)

    return act


def fail_here(
    method: str, kind: str = 'GuestFailed', times: int = 1
) -> Action:
    """Let a method fail ``times`` times on the server's host."""
    return lambda user: user.cloud.world.inject_fault(
        user.get_host(), method, times=times, kind=kind
    )


def set_option(group: str, name: str, value: object) -> Action:
    """Return the change of an option."""
    return lambda user: CONF.set_override(name, value, group)


def abort(user: User) -> None:
    """Abort the last migration of the server."""
    (migration,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    user.request('DELETE', f'/servers/{user.server}/migrations/{migration}')


def force(user: User) -> None:
    """Force the last migration of the server to complete."""
    (migration,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    path = f'/servers/{user.server}/migrations/{migration}/action'
    user.request('POST', path, {'force_complete': None})


def lose_saved_memory(user: User) -> None:
    """Remove the saved memory of the guest."""
    path = f'{user.get_host()}/guests/{user.server}'
    store = user.cloud.world.store
    record = store.get(path)
    assert record is not None
    store.put(path, record | {'saved': None})


def delete(user: User) -> None:
    """Delete the server."""
    user.request('DELETE', f'/servers/{user.server}')


def delete_image(user: User) -> None:
    """Delete the image of a snapshot while it is created."""
    user.wait_for_task_state('image_uploading')
    found = user.cloud.images
    for image_id in found.list_snapshots():
        found.deleted_by_users.add(image_id)
        found.delete(image_id)


def require_quiesce(user: User) -> None:
    """Let the image of the server ask for a frozen guest."""
    asked = {'hw_qemu_guest_agent': 'yes', 'os_require_quiesce': 'yes'}
    raw = user.cloud.storage.raw
    raw.execute(
        'UPDATE instances SET image_meta = json_patch(image_meta, ?)',
        (json.dumps(asked),),
    )
    raw.commit()


def power(power: PowerState) -> Action:
    """Return a change of the power of the guest on its host."""
    return lambda user: user.set_power(power)


def plant_stale_guest(user: User) -> None:
    """Put a copy of the guest, powered off, on another host."""
    host = user.get_host()
    (other, *_) = [h for h in user.cloud.world.list_hosts() if h != host]
    store = user.cloud.world.store
    record = store.get(f'{host}/guests/{user.server}')
    assert record is not None
    store.put(
        f'{other}/guests/{user.server}',
        record | {'power': int(PowerState.SHUTDOWN)},
    )
    user.sync_power()


def wait_until_idle(user: User) -> None:
    """Wait until the server has no task state, at most a minute."""
    user.cloud.wait(lambda: user.get_states()[1] is None, 60.0)


def fill_other_hosts(user: User) -> None:
    """Reserve all memory of the other hosts."""
    user.cloud.storage.raw.execute(
        'UPDATE hosts SET reserved_memory_mb = memory_mb WHERE host != ?',
        (user.get_host(),),
    )
    user.cloud.storage.raw.commit()


def begin_usage_audit(user: User) -> None:
    """Audit the usage of hours, the first of which ends soon."""
    for name, value in (
        ('instance_usage_audit', True),
        ('instance_usage_audit_period', f'hour@{usage_check.AUDIT_MINUTE}'),
    ):
        CONF.set_override(name, value, 'notifications')


def wait_until_hour_ends(user: User) -> None:
    """Wait until the audited hour ends."""
    end = (usage_check.FIRST_ENDING - EPOCH).total_seconds()
    user.cloud.scheduler.wait(max(0.0, end - user.cloud.scheduler.now))


def wait_until_audited(user: User) -> None:
    """Wait for the audit of the hour, at most as long as for an operation."""
    user.cloud.wait(
        lambda: bool(
            user.cloud.storage.raw.execute(
                "SELECT 1 FROM usage_audits WHERE state = 'DONE' AND "
                "host = '' AND period_ending >= ?",
                (f'{usage_check.FIRST_ENDING:%Y-%m-%d %H:%M:%S}',),
            ).fetchone()
        )
    )


def wait_until_deleted(user: User) -> None:
    """Wait until the server is deleted, at most two minutes."""
    user.cloud.wait(lambda: user.get_states()[0] == 'deleted', 120.0)


def attach_interface(user: User) -> None:
    """Attach another interface."""
    body: Json = {'interfaceAttachment': {}}
    user.request_server('POST', 'os-interface', body)


def detach_interface(user: User) -> None:
    """Detach the newest interface."""
    port = user.list_nics()[-1]['id']
    user.request_server('DELETE', f'os-interface/{port}')


def add_fixed_ip(user: User) -> None:
    """Add a fixed IP in the network of the first interface."""
    network = user.list_nics()[0]['network_id']
    user.act('addFixedIp', {'networkId': network})


def remove_fixed_ip(user: User) -> None:
    """Remove the fixed IP of the newest interface."""
    address = user.list_nics()[-1]['addresses'][0]['address']
    user.act('removeFixedIp', {'address': address})


def lose_interface(user: User) -> None:
    """Let the guest release its newest interface behind Minova's back."""
    path = f'{user.get_host()}/guests/{user.server}'
    store = user.cloud.world.store
    record = store.get(path)
    assert record is not None
    mac = user.list_nics()[-1]['mac']
    left = [one for one in record['macs'] if one != mac]
    store.put(path, record | {'macs': left})

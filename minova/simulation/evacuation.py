# SPDX-License-Identifier: Apache-2.0
"""The actions of evacuations: a host dies, is forced down, and returns."""

from minova.conf import CONF
from minova.simulation import fencing
from minova.simulation.actions import Action
from minova.simulation.actions import set_option
from minova.simulation.user import User
from minova.states import PowerState


def _machine_of_server(user: User) -> str:
    """Return the host of the server, and remember it as the dead one."""
    user.dead_host = user.get_host()
    return user.dead_host


def kill_host(user: User) -> None:
    """Cut the power of the server's host: compute and guest are gone."""
    host = _machine_of_server(user)
    user.cloud.world.set_power(host, user.server, PowerState.SHUTDOWN)
    user.cloud.machines[host].crash()


def _kill_guest(user: User) -> None:
    """End the guest on the dead host."""
    user.cloud.world.set_power(
        user.dead_host, user.server, PowerState.SHUTDOWN
    )


def share_storage(user: User) -> None:
    """Let all hosts share the directory of disks."""
    user.cloud.world.share_storage()


def force_down(user: User) -> None:
    """Force the compute of the dead host down."""
    _set_forced_down(user, True)


def _set_forced_down(user: User, value: bool) -> None:
    listed = user.request('GET', '/os-services')
    assert listed is not None
    for service in listed.get('services'):
        if service['host'] == user.dead_host:
            path = f'/os-services/{service["id"]}'
            user.request('PUT', path, {'forced_down': value})


def return_host(user: User) -> None:
    """Start the dead host again; its operator no longer forces it down."""
    machine = user.cloud.machines[user.dead_host]
    if not machine.is_up and not machine.is_lost:
        machine.start()
    _set_forced_down(user, False)


def wait_until_gone(user: User) -> None:
    """Wait until another host owns the server, at most two minutes."""
    user.cloud.wait(lambda: user.get_states()[2] != user.dead_host, 120.0)


def evacuate(*, returns_early: bool = False) -> tuple[Action, ...]:
    """Return the death of the host, the evacuation and the return."""
    wait = wait_until_gone if returns_early else _wait_until_evacuated
    return (kill_host, force_down, _evacuate, wait, return_host)


def _isolate_host(user: User) -> None:
    """Cut the server's host off: its guest runs on."""
    user.cloud.machines[_machine_of_server(user)].crash()


def evacuate_without_proof() -> tuple[Action, ...]:
    """Return evacuations from a host that is silent, whose guest runs."""
    return (
        _isolate_host,
        _evacuate,
        _wait_until_silent,
        _evacuate,
        _return_soon,
    )


def evacuate_by_disk_lock(*, is_shared: bool) -> tuple[Action, ...]:
    """Return evacuations of a silent host, which the lock of a disk decides.

    The guest runs at the first one, and is off at the second one.
    """
    first = (
        set_option('fencing', 'trust_disk_locks', True),
        _isolate_host,
        _wait_until_silent,
        _evacuate,
        _wait_until_released,
    )
    if not is_shared:
        return (*first, return_host)
    return (
        share_storage,
        *first,
        _kill_guest,
        _evacuate,
        _wait_until_fenced,
        _return_soon,
    )


def evacuate_by_fencing(*answers: str) -> tuple[Action, ...]:
    """Return the evacuation of a silent host, which an agent powers off.

    The agent first gives ``answers``; after a failure the user tries again.
    """
    failures = sum(
        answer in (fencing.FAIL, fencing.HANG) for answer in answers
    )

    def set_answers(user: User) -> None:
        user.cloud.fence_agent.answers = list(answers)

    return (
        set_option('fencing', 'commands', ['*: fence {host}']),
        set_answers,
        _isolate_host,
        _wait_until_silent,
        *(_evacuate, _wait_until_released) * failures,
        _evacuate,
        _wait_until_fenced,
        _return_soon,
    )


def evacuate_early() -> tuple[Action, ...]:
    """Return the evacuation of a host that has just died: it waits."""
    return (
        set_option('fencing', 'commands', ['*: fence {host}']),
        set_option('fencing', 'early_evacuation', 'wait'),
        _isolate_host,
        _evacuate,
        _wait_until_fenced,
        _return_soon,
    )


def _wait_until_fenced(user: User) -> None:
    """Wait for the evacuation, also after the lease of a killed conductor."""
    user.cloud.wait(lambda: user.get_states()[2] != user.dead_host, 600.0)


def _wait_until_released(user: User) -> None:
    user.cloud.wait(lambda: user.get_states()[1] is None, 300.0)


def _wait_until_silent(user: User) -> None:
    user.cloud.scheduler.wait(CONF.conductor.service_down_time + 40.0)


def _return_soon(user: User) -> None:
    user.cloud.scheduler.wait(20.0)
    return_host(user)


def _evacuate(user: User) -> None:
    user.act('evacuate', {})


def _wait_until_evacuated(user: User) -> None:
    wait_until_gone(user)
    user.cloud.wait(lambda: user.get_states()[1] is None, 120.0)

# SPDX-License-Identifier: Apache-2.0
"""The actions of resets: waits for a phase that is short, hosts that die."""

from collections.abc import Callable

from minova.simulation.actions import Action
from minova.simulation.user import User

#: Seconds between two looks at the database, and the longest wait.
_PAUSE = 0.01
_LONGEST = 60.0


def _wait(user: User, predicate: Callable[[], bool]) -> None:
    until = user.cloud.scheduler.now + _LONGEST
    while not predicate() and user.cloud.scheduler.now < until:
        user.cloud.scheduler.wait(_PAUSE)


def _exists(user: User, query: str, *values: str) -> bool:
    found = user.cloud.storage.raw.execute(query, (user.server, *values))
    return found.fetchone() is not None


def wait_for_task(task_state: str) -> Action:
    """Return the wait for a task state that lasts a moment."""
    return lambda user: _wait(user, lambda: user.get_states()[1] == task_state)


def wait_for_migration(status: str) -> Action:
    """Return the wait for the status of a migration."""
    return lambda user: _wait(
        user,
        lambda: _exists(
            user,
            'SELECT 1 FROM migrations WHERE instance_uuid = ? AND status = ?',
            status,
        ),
    )


def wait_until_unwinding(user: User) -> None:
    """Wait until the owner of the server is rolled back."""
    _wait(
        user,
        lambda: _exists(
            user,
            'SELECT 1 FROM operations WHERE instance_uuid = ? '
            "AND unwinding AND state = 'running'",
        ),
    )


def wait_until_moved(user: User) -> None:
    """Wait until another host owns the server."""
    host = user.get_states()[2]
    _wait(user, lambda: user.get_states()[2] != host)


def wait_until_free(user: User) -> None:
    """Wait until no operation owns the server."""
    _wait(
        user,
        lambda: _exists(
            user, 'SELECT 1 FROM instances WHERE uuid = ? AND task_id IS NULL'
        ),
    )


def crash_host(user: User) -> None:
    """Crash the compute of the server's host; its guests run on."""
    user.dead_host = user.get_host()
    user.cloud.machines[user.dead_host].crash()


def return_crashed(user: User) -> None:
    """Start the crashed compute again, after it was noticed to be down."""
    user.cloud.scheduler.wait(120.0)
    machine = user.cloud.machines[user.dead_host]
    if not machine.is_up and not machine.is_lost:
        machine.start()

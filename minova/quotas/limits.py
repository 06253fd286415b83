# SPDX-License-Identifier: Apache-2.0
"""The limits in effect, and their changes. -1 means unlimited."""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import math
from typing import Final

from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import ports
from minova.db.queries import quota_limits
from minova.db.queries import quota_usage
from minova.db.queries import server_groups
from minova.db.queries.quota_limits import Limits

UNLIMITED: Final = -1

#: The option of each resource, if its name differs.
_OPTIONS: Final = {'injected_file_path_bytes': 'injected_file_path_length'}
#: The resources of the Compute API, in its order.
COMPUTE: Final = (
    'instances',
    'cores',
    'ram',
    'metadata_items',
    'injected_files',
    'injected_file_content_bytes',
    'injected_file_path_bytes',
    'key_pairs',
    'server_groups',
    'server_group_members',
)
#: The resource of the network service.
PORTS: Final = 'ports'
RESOURCES: Final = (*COMPUTE, PORTS)


def _get_options() -> Limits:
    return {name: CONF.quota[_OPTIONS.get(name, name)] for name in RESOURCES}


def get_defaults(
    connection: Connection, class_name: str = quota_limits.DEFAULT_CLASS
) -> Limits:
    """Return the limits of a quota class: by default those of any project."""
    return _get_options() | quota_limits.get_class(connection, class_name)


def get_limits(
    connection: Connection, project_id: str, user_id: str | None = None
) -> Limits:
    """Return the limits of a project, or of a user in it."""
    found = quota_limits.get_overrides(connection, project_id, user_id)
    return get_project_limits(found) | found.of_user


def get_project_limits(overrides: quota_limits.Overrides) -> Limits:
    """Return the limits of a project from its rows."""
    return _get_options() | overrides.of_class | overrides.of_project


def get_used(
    connection: Connection, project_id: str, user_id: str | None = None
) -> Limits:
    """Return the usage of each resource, 0 for those that are not counted.

    Key pairs belong to users in all projects, so no project uses any.
    """
    used = dataclasses.asdict(
        quota_usage.get_usage(connection, project_id, user_id)
    )
    used['server_groups'] = server_groups.count(
        connection, project_id, user_id
    )
    if user_id is None:
        by_network = ports.count_for_project(connection, project_id)
        used[PORTS] = sum(by_network.values())
    return dict.fromkeys(RESOURCES, 0) | used


# -- changes ------------------------------------------------------------------


def change_limits(
    connection: Connection,
    project_id: str,
    user_id: str | None,
    values: Mapping[str, int],
    force: bool = False,
) -> None:
    """Set limits of a project, or of a user in it.

    Raises InvalidInput for a limit below the usage, or of a user above that of
    the project, unless ``force``.
    """
    if user_id is not None and PORTS in values:
        raise exception.InvalidInput(
            'The limit of ports is of a project, not of a user.'
        )
    lock_project(connection, project_id)
    if not force:
        _require_settable(connection, project_id, user_id, values)
    quota_limits.set_limits(connection, project_id, user_id, values)


def change_class(
    connection: Connection, name: str, values: Mapping[str, int]
) -> None:
    """Set limits of a quota class."""
    quota_usage.lock(connection, 'class', name)
    quota_limits.set_class(connection, name, values)


def reset_limits(
    connection: Connection,
    project_id: str,
    resources: Collection[str],
    user_id: str | None = None,
) -> None:
    """Return to the defaults, for a project and its users or for one user."""
    lock_project(connection, project_id)
    quota_limits.delete_limits(connection, project_id, resources, user_id)


def lock_project(connection: Connection, project_id: str) -> None:
    """Lock the usage of a project until the transaction ends."""
    quota_usage.lock(connection, 'project', project_id)


def _require_settable(
    connection: Connection,
    project_id: str,
    user_id: str | None,
    values: Mapping[str, int],
) -> None:
    used = get_used(connection, project_id, user_id)
    of_users = quota_limits.sum_of_users(connection, project_id, user_id)
    of_project = get_limits(connection, project_id)
    for name, limit in values.items():
        least, most = used[name], UNLIMITED
        if user_id is None:
            least = max(least, of_users.get(name, 0))
        elif of_project[name] != UNLIMITED:
            most = max(of_project[name] - of_users.get(name, 0), 0)
        if _amount(limit) < least:
            raise exception.InvalidInput(
                f'Quota limit {limit} for {name} must be greater than or '
                f'equal to already used and reserved {least}. Set "force" to '
                'set it nevertheless.'
            )
        if _amount(limit) > _amount(most):
            raise exception.InvalidInput(
                f'Quota limit {limit} for {name} must be less than or equal '
                f'to {most}: the project has {of_project[name]}. Raise the '
                'limit of the project first, or set "force".'
            )


def _amount(limit: int) -> float:
    return math.inf if limit == UNLIMITED else limit

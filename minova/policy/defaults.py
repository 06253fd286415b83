# SPDX-License-Identifier: Apache-2.0
"""The defaults of rules: each is the name of a base rule.

The names and the checks are Nova's. A role implies the roles below it, and
Keystone puts implied roles into each token: ``admin`` implies ``manager``,
this implies ``member``, this implies ``reader``.
"""

from typing import Final

#: Name, default, description, the requests that check it.
Row = tuple[str, ...]

ADMIN: Final = 'rule:context_is_admin'
MANAGER: Final = 'rule:project_manager_or_admin'
MEMBER: Final = 'rule:project_member_or_admin'
READER: Final = 'rule:project_reader_or_admin'
USER: Final = 'rule:user_or_admin'
PROJECT: Final = 'rule:project_or_admin'
SUBJECT: Final = 'rule:service_or_user_or_admin'
SERVICE: Final = 'rule:service_or_admin'
ONLY_USER: Final = 'rule:user_only'
ANY: Final = '@'

#: The callers that a default allows, for the error text.
AUDIENCES: Final = {
    ADMIN: 'administrators',
    MANAGER: 'managers of the project and administrators',
    MEMBER: 'members of the project and administrators',
    READER: 'readers of the project and administrators',
    USER: 'the owning user and administrators',
    PROJECT: 'users of the project and administrators',
    SUBJECT: 'the owning user, services and administrators',
    SERVICE: 'services and administrators',
    ONLY_USER: 'the owning user',
    ANY: 'every user',
}

_IS_ADMIN: Final = 'rule:context_is_admin'
_IN_PROJECT: Final = 'project_id:%(project_id)s'
_IS_USER: Final = 'user_id:%(user_id)s'

#: Name, check, description.
BASE: Final[tuple[tuple[str, str, str], ...]] = (
    (
        'context_is_admin',
        'role:admin',
        'An administrator, with a token for a project: sees all projects.',
    ),
    ('service_api', 'role:service', 'Another service of the cloud.'),
    (
        'project_manager_api',
        f'role:manager and {_IN_PROJECT}',
        'A manager of the owning project.',
    ),
    (
        'project_member_api',
        f'role:member and {_IN_PROJECT}',
        'A member of the owning project, who changes its resources.',
    ),
    (
        'project_reader_api',
        f'role:reader and {_IN_PROJECT}',
        'A reader of the owning project, who changes nothing.',
    ),
    (
        'project_manager_or_admin',
        f'rule:project_manager_api or {_IS_ADMIN}',
        'The default of requests by managers of the owning project.',
    ),
    (
        'project_member_or_admin',
        f'rule:project_member_api or {_IS_ADMIN}',
        'The default of requests that change resources of a project.',
    ),
    (
        'project_reader_or_admin',
        f'rule:project_reader_api or {_IS_ADMIN}',
        'The default of requests that read resources of a project.',
    ),
    (
        'user_or_admin',
        f'{_IS_USER} or {_IS_ADMIN}',
        'The default of requests by the owning user.',
    ),
    (
        'project_or_admin',
        f'{_IN_PROJECT} or {_IS_ADMIN}',
        'The default of requests about the own project.',
    ),
    (
        'service_or_user_or_admin',
        f'{_IS_USER} or rule:service_api or {_IS_ADMIN}',
        'The default of requests that services send about a user.',
    ),
    (
        'service_or_admin',
        f'rule:service_api or {_IS_ADMIN}',
        'The default of requests that other services send.',
    ),
    ('user_only', _IS_USER, 'The default of requests about a secret.'),
)

# SPDX-License-Identifier: Apache-2.0
"""The rules of the embedded identity service, with Keystone's names.

Users see themselves, their projects and the catalog, with any role and with
an unscoped token. Administrators see and change all accounts.
"""

from typing import Final

from minova.policy.defaults import ADMIN
from minova.policy.defaults import ANY
from minova.policy.defaults import ONLY_USER
from minova.policy.defaults import PROJECT
from minova.policy.defaults import Row
from minova.policy.defaults import SUBJECT
from minova.policy.defaults import USER

_ROOT: Final = '/v3'
_TOKENS: Final = f'{_ROOT}/auth/tokens'
_GRANTS: Final = f'{_ROOT}/projects/{{row_id}}/users/{{user_id}}/roles'
_CREDENTIALS: Final = f'{_ROOT}/users/{{row_id}}/application_credentials'

#: Plural, singular, the default of a list and the default of one row.
# fmt: off
_READS: Final = (
    ('domains', 'domain', ADMIN, ANY),
    ('groups', 'group', ADMIN, ADMIN),
    ('projects', 'project', ADMIN, PROJECT),
    ('users', 'user', ADMIN, USER),
    ('roles', 'role', ADMIN, ADMIN),
    ('services', 'service', ADMIN, ADMIN),
    ('endpoints', 'endpoint', ADMIN, ADMIN),
    ('regions', 'region', ANY, ANY),
)
_EDITED: Final = (('projects', 'project'), ('users', 'user'), ('roles', 'role'))
# fmt: on


def _reads() -> tuple[Row, ...]:
    rows: list[Row] = []
    for plural, singular, list_check, get_check in _READS:
        path = f'GET {_ROOT}/{plural}'
        rows += [
            (f'identity:list_{plural}', list_check, f'List {plural}', path),
            (
                f'identity:get_{singular}',
                get_check,
                f'Show a {singular}',
                f'{path}/{{row_id}}',
            ),
        ]
    return tuple(rows)


def _changes() -> tuple[Row, ...]:
    return tuple(
        (
            f'identity:{verb}_{singular}',
            ADMIN,
            f'{verb.capitalize()} a {singular}',
            f'{method} {_ROOT}/{plural}{suffix}',
        )
        for plural, singular in _EDITED
        for verb, method, suffix in (
            ('create', 'POST', ''),
            ('update', 'PATCH', '/{row_id}'),
            ('delete', 'DELETE', '/{row_id}'),
        )
    )


# fmt: off
RULES: Final[tuple[Row, ...]] = (
    ('identity:validate_token', SUBJECT, 'Show a token', f'GET {_TOKENS}'),
    ('identity:check_token', SUBJECT, 'Check a token', f'HEAD {_TOKENS}'),
    ('identity:revoke_token', USER, 'Revoke a token', f'DELETE {_TOKENS}'),
    ('identity:get_auth_catalog', ANY, 'Show the catalog', f'GET {_ROOT}/auth/catalog'),
    ('identity:get_auth_projects', ANY, 'List the own projects', f'GET {_ROOT}/auth/projects'),
    *_reads(),
    *_changes(),
    ('identity:change_password', ONLY_USER, 'Change the own password', f'POST {_ROOT}/users/{{row_id}}/password'),
    ('identity:list_user_projects', USER, 'List the projects of a user', f'GET {_ROOT}/users/{{row_id}}/projects'),
    ('identity:list_role_assignments', ADMIN, 'List the roles of users on projects', f'GET {_ROOT}/role_assignments'),
    ('identity:list_grants', ADMIN, 'List the roles of a user on a project', f'GET {_GRANTS}'),
    ('identity:check_grant', ADMIN, 'Check a role of a user on a project', f'GET {_GRANTS}/{{role_id}}', f'HEAD {_GRANTS}/{{role_id}}'),
    ('identity:create_grant', ADMIN, 'Give a user a role on a project', f'PUT {_GRANTS}/{{role_id}}'),
    ('identity:revoke_grant', ADMIN, 'Remove a role of a user on a project', f'DELETE {_GRANTS}/{{role_id}}'),
    ('identity:list_application_credentials', USER, 'List the application credentials of a user', f'GET {_CREDENTIALS}'),
    ('identity:create_application_credential', ONLY_USER, 'Create an own application credential', f'POST {_CREDENTIALS}'),
    ('identity:get_application_credential', USER, 'Show an application credential', f'GET {_CREDENTIALS}/{{credential_id}}'),
    ('identity:delete_application_credential', USER, 'Delete an application credential', f'DELETE {_CREDENTIALS}/{{credential_id}}'),
)
# fmt: on

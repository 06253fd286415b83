# SPDX-License-Identifier: Apache-2.0
"""The files of the accounts: the first start, reading and writing.

``identity.json`` has the records, with hashed passwords. ``admin-password``
has the password of ``admin`` as it is, because the all-in-one writes it into
clouds.yaml: a file that only the owner can read contains it.
"""

from collections.abc import Mapping
import dataclasses
import fcntl
import json
import os
import secrets
from typing import Any
from typing import Final

from minova import atomic_files
from minova import exception
from minova.identity import passwords
from minova.identity.records import Accounts
from minova.identity.records import ADMIN
from minova.identity.records import ApplicationCredential
from minova.identity.records import DEFAULT_DOMAIN
from minova.identity.records import Domain
from minova.identity.records import new_id
from minova.identity.records import Project
from minova.identity.records import Role
from minova.identity.records import RoleAssignment
from minova.identity.records import ROLES
from minova.identity.records import User

_VERSION: Final = 2
_FILE: Final = 'identity.json'
_PASSWORD_FILE: Final = 'admin-password'  # noqa: S105
#: The next password of admin, until ``identity.json`` has its hash.
_NEXT_PASSWORD_FILE: Final = 'admin-password.next'  # noqa: S105


def open_accounts(directory: str) -> tuple[Accounts, Mapping[str, str]]:
    """Return the records of a directory, and the passwords if it is new.

    Of two processes that create it at once one succeeds. The password file is
    written first: a crash between the two files leaves no valid directory.
    """
    atomic_files.make_directory(directory)
    path = os.path.join(directory, _FILE)
    given: dict[str, str] = {}
    with open(os.path.join(directory, '.lock'), 'wb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        atomic_files.remove_partial_files(directory)
        if not os.path.exists(path):
            accounts, given = _create_accounts()
            _write_password(directory, _PASSWORD_FILE, given[ADMIN])
            write_accounts(directory, accounts)
        else:
            accounts = _read_accounts(path)
            _finish_password_change(directory, accounts)
    return accounts, given


def write_accounts(
    directory: str, accounts: Accounts, admin_password: str | None = None
) -> None:
    """Write the records, and the password of admin if it changes.

    After a crash both files have the old password, or both the new one.
    """
    if admin_password is not None:
        _write_password(directory, _NEXT_PASSWORD_FILE, admin_password)
    document = {
        'version': _VERSION,
        'secret': accounts.secret.hex(),
        'domains': _documents(accounts.domains),
        'projects': _documents(accounts.projects),
        'users': _documents(accounts.users),
        'roles': _documents(accounts.roles),
        'assignments': [
            dataclasses.asdict(one) for one in accounts.assignments
        ],
        'credentials': _documents(accounts.credentials),
    }
    atomic_files.write_bytes(
        os.path.join(directory, _FILE), json.dumps(document).encode() + b'\n'
    )
    if admin_password is not None:
        _finish_password_change(directory, accounts)


def read_admin_password(directory: str) -> str:
    """Return the password of admin; ConfigInvalid if its file is missing."""
    path = os.path.join(directory, _PASSWORD_FILE)
    try:
        return _read_password(path)
    except (OSError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason=(
                f'the password of admin cannot be read from {path} ({error}); '
                'restore the file, or remove the directory to create new '
                'users.'
            )
        ) from error


def _documents(rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(row) for row in rows.values()]


def _write_password(directory: str, name: str, password: str) -> None:
    atomic_files.write_bytes(
        os.path.join(directory, name), password.encode() + b'\n'
    )


def _read_password(path: str) -> str:
    with open(path, encoding='utf-8', newline='') as file:
        return file.read().removesuffix('\n')


def _finish_password_change(directory: str, accounts: Accounts) -> None:
    """Keep the next password of admin if the records have its hash."""
    following = os.path.join(directory, _NEXT_PASSWORD_FILE)
    try:
        password = _read_password(following)
    except FileNotFoundError:
        return
    for user in accounts.users.values():
        if user.name == ADMIN and passwords.verify(user.password, password):
            atomic_files.rename(
                following, os.path.join(directory, _PASSWORD_FILE)
            )
            return
    atomic_files.remove(following)


def _create_accounts() -> tuple[Accounts, dict[str, str]]:
    """Return the records of a new directory, and its users' passwords."""
    roles = {name: Role(new_id(), name) for name in ROLES}
    projects = {
        name: Project(new_id(), name, DEFAULT_DOMAIN, f'The project {name}.')
        for name in (ADMIN, 'demo')
    }
    given = {name: secrets.token_urlsafe(18) for name in (ADMIN, 'demo')}
    users = {
        name: User(
            new_id(), name, DEFAULT_DOMAIN, passwords.hash_password(password)
        )
        for name, password in given.items()
    }
    held = (
        (ADMIN, ADMIN, 'admin'),
        (ADMIN, 'demo', 'admin'),
        ('demo', 'demo', 'member'),
    )
    return Accounts(
        secret=secrets.token_bytes(32),
        domains={DEFAULT_DOMAIN: Domain(DEFAULT_DOMAIN, 'Default')},
        projects={one.id: one for one in projects.values()},
        users={one.id: one for one in users.values()},
        roles={one.id: one for one in roles.values()},
        assignments=tuple(
            RoleAssignment(
                users[user].id, projects[project].id, roles[role].id
            )
            for user, project, role in held
        ),
    ), given


def _read_accounts(path: str) -> Accounts:
    """Return the records of a file; ConfigInvalid if they are damaged."""
    document = atomic_files.read_json(path)
    try:
        if document['version'] != _VERSION:
            raise exception.ConfigInvalid(
                reason=(
                    f'{path} was written by another version of Minova; move '
                    'its directory away to create new users.'
                )
            )
        found = _to_accounts(document)
    except (KeyError, TypeError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason=f'{path} is damaged: {error!r}'
        ) from error
    if len(found.secret) < 32:
        raise exception.ConfigInvalid(
            reason=(f'{path}: the secret is too short.')
        )
    return found


def _to_accounts(document: Any) -> Accounts:
    projects = [
        Project(**one | {'tags': tuple(one['tags'])})
        for one in document['projects']
    ]
    users = [
        User(**one | {'password': _to_hash(one['password'])})
        for one in document['users']
    ]
    credentials = [
        ApplicationCredential(
            **one
            | {
                'secret': passwords.Hash(**one['secret']),
                'role_ids': tuple(one['role_ids']),
            }
        )
        for one in document['credentials']
    ]
    return Accounts(
        secret=bytes.fromhex(document['secret']),
        domains={one['id']: Domain(**one) for one in document['domains']},
        projects={one.id: one for one in projects},
        users={one.id: one for one in users},
        roles={one['id']: Role(**one) for one in document['roles']},
        assignments=tuple(
            RoleAssignment(**one) for one in document['assignments']
        ),
        credentials={one.id: one for one in credentials},
    )


def _to_hash(stored: Any) -> passwords.Hash | None:
    return None if stored is None else passwords.Hash(**stored)

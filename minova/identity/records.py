# SPDX-License-Identifier: Apache-2.0
"""The users, projects and roles of the embedded identity service.

The first start creates them; nothing changes them later. Passwords are stored
as scrypt hashes (RFC 7914), except that of ``admin``: the all-in-one writes it
into clouds.yaml at each start, so a file that only the owner can read contains
it.
"""

from collections.abc import Mapping
import dataclasses
import fcntl
import hashlib
import hmac
import os
import secrets

from minova import clock
from minova import exception
from minova.identity import atomic_files

#: About 12 ms and 4 MiB for an attempt. A higher cost has no benefit: the
#: passwords have 144 random bits, and each thread that handles logins uses
#: that memory.
_SCRYPT_COST = {'n': 2**12, 'r': 8, 'p': 1}
#: The implied roles of a role, as in Keystone.
_IMPLIED_ROLES = {
    'admin': ('manager', 'member', 'reader'),
    'manager': ('member', 'reader'),
    'member': ('reader',),
}
_ROLES = ('admin', 'manager', 'member', 'reader')
_PASSWORD_FILE = 'admin-password'  # noqa: S105


@dataclasses.dataclass(frozen=True)
class Domain:
    """A name space of users and projects; there is one."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class Project:
    """The owner of servers and images."""

    id: str
    name: str
    domain_id: str
    description: str


@dataclasses.dataclass(frozen=True)
class User:
    """A user with a password."""

    id: str
    name: str
    domain_id: str
    salt: str
    password_hash: str


@dataclasses.dataclass(frozen=True)
class Role:
    """A role of users on projects."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class RoleAssignment:
    """A user has a role on a project."""

    user_id: str
    project_id: str
    role_id: str


@dataclasses.dataclass(frozen=True)
class Accounts:
    """All records by id, and the secret that signs tokens."""

    secret: bytes
    domains: Mapping[str, Domain]
    projects: Mapping[str, Project]
    users: Mapping[str, User]
    roles: Mapping[str, Role]
    assignments: tuple[RoleAssignment, ...]

    def roles_of(self, user_id: str, project_id: str) -> tuple[Role, ...]:
        """Return a user's roles on a project, implied ones too, by name."""
        names: set[str] = set()
        for one in self.assignments:
            if (one.user_id, one.project_id) == (user_id, project_id):
                name = self.roles[one.role_id].name
                names.update((name, *_IMPLIED_ROLES.get(name, ())))
        found = (role for role in self.roles.values() if role.name in names)
        return tuple(sorted(found, key=lambda role: role.name))


def hash_password(password: str, salt: str) -> str:
    """Return the scrypt hash of a password, in hex; ``salt`` is hex too."""
    return hashlib.scrypt(
        password.encode(), salt=bytes.fromhex(salt), **_SCRYPT_COST
    ).hex()


def verify_password(user: User | None, password: str) -> bool:
    """Return whether the password is correct; for None False, as slowly.

    The duration does not reveal whether the user exists.
    """
    salt, wanted = (
        ('00' * 16, '')
        if user is None
        else (
            user.salt,
            user.password_hash,
        )
    )
    return hmac.compare_digest(hash_password(password, salt), wanted)


def open_accounts(directory: str) -> tuple[Accounts, Mapping[str, str]]:
    """Return the records of a directory, and the passwords if it is new.

    Of two processes that create it at once one succeeds. The password file is
    written first: a crash between the two files leaves no valid directory.
    """
    atomic_files.make_directory(directory)
    path = os.path.join(directory, 'identity.json')
    given: dict[str, str] = {}
    with open(os.path.join(directory, '.lock'), 'wb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        atomic_files.remove_partial_files(directory)
        if not os.path.exists(path):
            document, given = _initial_document()
            atomic_files.write_bytes(
                os.path.join(directory, _PASSWORD_FILE),
                given['admin'].encode() + b'\n',
            )
            atomic_files.write_json(path, document)
    return _read_accounts(path), given


def read_admin_password(directory: str) -> str:
    """Return the password of admin; ConfigInvalid if its file is missing."""
    path = os.path.join(directory, _PASSWORD_FILE)
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason=(
                f'the password of admin cannot be read from {path} ({error}); '
                'restore the file, or remove the directory to create new '
                'users.'
            )
        ) from error


def new_id() -> str:
    """Return a new id in Keystone's form: 32 hex digits."""
    return clock.uuid4().replace('-', '')


def _initial_document() -> tuple[dict[str, object], dict[str, str]]:
    """Return the document of a new directory, and its users' passwords."""
    roles = {name: new_id() for name in _ROLES}
    projects = {name: new_id() for name in ('admin', 'demo')}
    users = {name: new_id() for name in ('admin', 'demo')}
    passwords = {name: secrets.token_urlsafe(18) for name in users}
    held = (
        ('admin', 'admin', 'admin'),
        ('admin', 'demo', 'admin'),
        ('demo', 'demo', 'member'),
    )
    rows = []
    for name, user_id in users.items():
        salt = secrets.token_hex(16)
        user = User(
            id=user_id,
            name=name,
            domain_id='default',
            salt=salt,
            password_hash=hash_password(passwords[name], salt),
        )
        rows.append(dataclasses.asdict(user))
    return {
        'version': 1,
        'secret': secrets.token_hex(32),
        'domains': [{'id': 'default', 'name': 'Default'}],
        'projects': [
            {
                'id': project_id,
                'name': name,
                'domain_id': 'default',
                'description': f'The project {name}.',
            }
            for name, project_id in projects.items()
        ],
        'users': rows,
        'roles': [{'id': id_, 'name': name} for name, id_ in roles.items()],
        'assignments': [
            {
                'user_id': users[user],
                'project_id': projects[project],
                'role_id': roles[role],
            }
            for user, project, role in held
        ],
    }, passwords


def _read_accounts(path: str) -> Accounts:
    """Return the records of a file; ConfigInvalid if they are damaged."""
    document = atomic_files.read_json(path)
    try:
        if document['version'] != 1:
            raise exception.ConfigInvalid(
                reason=f'{path} was written by a later version of Minova.'
            )
        found = Accounts(
            secret=bytes.fromhex(document['secret']),
            domains={one['id']: Domain(**one) for one in document['domains']},
            projects={
                one['id']: Project(**one) for one in document['projects']
            },
            users={one['id']: User(**one) for one in document['users']},
            roles={one['id']: Role(**one) for one in document['roles']},
            assignments=tuple(
                RoleAssignment(**one) for one in document['assignments']
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason=f'{path} is damaged: {error!r}'
        ) from error
    if len(found.secret) < 32:
        raise exception.ConfigInvalid(
            reason=(f'{path}: the secret is too short.')
        )
    return found

# SPDX-License-Identifier: Apache-2.0
"""The records of the embedded identity service, and all of them together.

Records are immutable. A change makes new ``Accounts``, so that a reader of the
old ones sees no half of a change.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any
from typing import Final

from minova import clock
from minova.identity.passwords import Hash

#: The roles that the policies of services name; they are immutable.
ROLES: Final = ('admin', 'manager', 'member', 'reader', 'service')
#: The implied roles of a role, as in Keystone.
IMPLIED_ROLES: Final = {
    'admin': ('manager', 'member', 'reader'),
    'manager': ('member', 'reader'),
    'member': ('reader',),
}
#: The account of clouds.yaml: its user and its project, in this domain.
ADMIN: Final = 'admin'
DEFAULT_DOMAIN: Final = 'default'


@dataclasses.dataclass(frozen=True)
class Domain:
    """A name space of users and projects; there is one."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class Project:
    """The owner of servers and images.

    ``extra`` has the attributes that clients add. A token with another
    ``generation`` is revoked.
    """

    id: str
    name: str
    domain_id: str
    description: str = ''
    enabled: bool = True
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    generation: int = 0


@dataclasses.dataclass(frozen=True)
class User:
    """A user; without a password it cannot log in.

    ``extra`` has description, email and the attributes that clients add. A
    token with another ``generation`` is revoked.
    """

    id: str
    name: str
    domain_id: str
    password: Hash | None = None
    enabled: bool = True
    default_project_id: str | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    generation: int = 0


@dataclasses.dataclass(frozen=True)
class Role:
    """A role of users on projects."""

    id: str
    name: str
    description: str | None = None


@dataclasses.dataclass(frozen=True)
class RoleAssignment:
    """A user has a role on a project."""

    user_id: str
    project_id: str
    role_id: str


@dataclasses.dataclass(frozen=True)
class ApplicationCredential:
    """A secret with which a program logs in for a user on a project.

    It has some of the user's roles. ``expires_at`` is in ISO 8601, UTC.
    """

    id: str
    name: str
    user_id: str
    project_id: str
    secret: Hash
    role_ids: tuple[str, ...]
    description: str | None = None
    expires_at: str | None = None
    unrestricted: bool = False


@dataclasses.dataclass(frozen=True)
class Accounts:
    """All records by id, and the secret that signs tokens."""

    secret: bytes
    domains: Mapping[str, Domain]
    projects: Mapping[str, Project]
    users: Mapping[str, User]
    roles: Mapping[str, Role]
    assignments: tuple[RoleAssignment, ...]
    credentials: Mapping[str, ApplicationCredential] = dataclasses.field(
        default_factory=dict
    )

    @functools.cached_property
    def _role_ids(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The ids of roles by user and project."""
        found: dict[tuple[str, str], set[str]] = {}
        for one in self.assignments:
            key = (one.user_id, one.project_id)
            found.setdefault(key, set()).add(one.role_id)
        return {key: frozenset(ids) for key, ids in found.items()}

    def assigned_roles(self, user_id: str, project_id: str) -> list[Role]:
        """Return a user's roles on a project without implied ones, by name."""
        ids = self._role_ids.get((user_id, project_id), frozenset())
        return _by_name(self.roles[role_id] for role_id in ids)

    def roles_of(self, user_id: str, project_id: str) -> list[Role]:
        """Return a user's roles on a project, implied ones too, by name."""
        return self.with_implied(self.assigned_roles(user_id, project_id))

    def with_implied(self, roles: list[Role]) -> list[Role]:
        """Return roles and those that they imply, by name."""
        names = {role.name for role in roles}
        for role in roles:
            names.update(IMPLIED_ROLES.get(role.name, ()))
        return [role for role in self.sorted_roles() if role.name in names]

    def sorted_roles(self) -> list[Role]:
        """Return all roles by name."""
        return _by_name(self.roles.values())

    def projects_of(self, user_id: str) -> list[Project]:
        """Return the projects on which a user has a role, by name."""
        found = [
            self.projects[project_id]
            for owner_id, project_id in self._role_ids
            if owner_id == user_id
        ]
        return sorted(found, key=lambda project: project.name)


def _by_name(roles: Iterable[Role]) -> list[Role]:
    return sorted(roles, key=lambda role: role.name)


def new_id() -> str:
    """Return a new id in Keystone's form: 32 hex digits."""
    return clock.uuid4().replace('-', '')

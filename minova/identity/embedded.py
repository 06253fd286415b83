# SPDX-License-Identifier: Apache-2.0
"""The embedded identity service, without HTTP: users, projects and tokens.

It authenticates; policy authorizes. A token is valid if its signature is
valid, it has not expired or been revoked, and its user still has a role on its
project.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import os
from typing import TypedDict

from minova import clock
from minova import conf
from minova import exception
from minova.identity import records
from minova.identity import tokens

#: type, name and path of the services in the catalog.
SERVICES = (
    ('compute', 'minova', '/v2.1'),
    ('image', 'minova-image', '/image'),
    ('network', 'minova-network', '/network'),
    ('identity', 'minova-identity', '/identity/v3'),
)
_INTERFACES = ('public', 'internal', 'admin')


@dataclasses.dataclass(frozen=True)
class Token:
    """A valid token: its user, scope and times.

    ``roles`` are names, implied ones included. An unscoped token has project
    None and no roles.
    """

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    roles: tuple[str, ...] = ()

    @property
    def audit_id(self) -> str:
        """The id of the token for logs."""
        return self.audit_ids[0]

    @property
    def is_admin(self) -> bool:
        """Return whether the roles include admin."""
        return 'admin' in self.roles


class CatalogService(TypedDict):
    """A service of the catalog."""

    id: str
    type: str
    name: str
    endpoints: list[dict[str, str]]


class Identity:
    """Users, projects and tokens in a directory, created at the first use.

    Only one process may use it: another process would not see revocations. It
    is safe to use from many threads.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.accounts, self.initial_passwords = records.open_accounts(
            directory
        )
        self._revoked = tokens.Revocations(
            os.path.join(directory, 'revoked.json')
        )

    accounts: records.Accounts
    """The users, projects and roles."""

    initial_passwords: Mapping[str, str]
    """The passwords by user name if this object created the directory.

    Otherwise it is empty: the password of ``demo`` is available only once.
    """

    def admin_password(self) -> str:
        """Return the password of admin; raise ConfigInvalid."""
        return records.read_admin_password(self._directory)

    def find_user(
        self,
        user_id: str | None = None,
        name: str | None = None,
        domain: Mapping[str, str] | None = None,
    ) -> records.User | None:
        """Return the user with this id, or this name in this domain."""
        if user_id is not None:
            return self.accounts.users.get(user_id)
        domain_id = self.find_domain(domain or {})
        for user in self.accounts.users.values():
            if (user.name, user.domain_id) == (name, domain_id):
                return user
        return None

    def find_project(
        self,
        project_id: str | None = None,
        name: str | None = None,
        domain: Mapping[str, str] | None = None,
    ) -> records.Project | None:
        """Return the project with this id, or this name in this domain."""
        if project_id is not None:
            return self.accounts.projects.get(project_id)
        domain_id = self.find_domain(domain or {})
        for project in self.accounts.projects.values():
            if (project.name, project.domain_id) == (name, domain_id):
                return project
        return None

    def find_domain(self, domain: Mapping[str, str]) -> str | None:
        """Return the id of the domain with this ``id`` or this ``name``."""
        for one in self.accounts.domains.values():
            if one.id == domain.get('id') or (
                'id' not in domain and one.name == domain.get('name')
            ):
                return one.id
        return None

    def projects_of(self, user_id: str) -> list[records.Project]:
        """Return the projects on which a user has a role, by name."""
        held = {
            one.project_id
            for one in self.accounts.assignments
            if one.user_id == user_id
        }
        found = [self.accounts.projects[project_id] for project_id in held]
        return sorted(found, key=lambda project: project.name)

    def authenticate(
        self, user: records.User | None, password: str
    ) -> records.User:
        """Return the user if the password is correct, or raise Unauthorized.

        None stands for an unknown user, and takes the same time.
        """
        good = records.verify_password(user, password)
        if user is None or not good:
            raise exception.Unauthorized
        return user

    def issue_token(
        self,
        user_id: str,
        project_id: str | None = None,
        methods: tuple[str, ...] = ('password',),
        parent: Token | None = None,
    ) -> str:
        """Return a new token for a user, on a project or (None) unscoped.

        A token from a ``parent`` token expires with it. Unauthorized if the
        user has no role on the project.
        """
        now = clock.now()
        audit_ids: tuple[str, ...] = (tokens.new_audit_id(),)
        if parent is None:
            lifetime = conf.CONF.identity.token_ttl
            expires_at = now + datetime.timedelta(seconds=lifetime)
        else:
            audit_ids += parent.audit_ids[-1:]
            expires_at = parent.expires_at
        claims = tokens.Claims(
            audit_ids=audit_ids,
            user_id=user_id,
            project_id=project_id,
            methods=methods,
            issued_at=now,
            expires_at=expires_at,
        )
        self._build_token(claims)
        return tokens.encode_token(claims, self.accounts.secret)

    def validate_token(self, token: str) -> Token:
        """Return a valid token, or raise Unauthorized."""
        return self._build_token(self._verify_claims(token))

    def find_token(self, token: str) -> Token | None:
        """Return a valid token, or None."""
        try:
            return self.validate_token(token)
        except exception.Unauthorized:
            return None

    def revoke_token(self, token: str) -> None:
        """Revoke a token; Unauthorized if it is invalid."""
        self._revoked.add(self._verify_claims(token))

    def catalog(self, base_url: str) -> list[CatalogService]:
        """Return the service catalog of the application at ``base_url``."""
        region = conf.CONF.identity.region
        return [
            {
                'id': stable_id(kind),
                'type': kind,
                'name': name,
                'endpoints': [
                    {
                        'id': stable_id(kind, interface),
                        'interface': interface,
                        'region': region,
                        'region_id': region,
                        'url': base_url + path,
                    }
                    for interface in _INTERFACES
                ],
            }
            for kind, name, path in SERVICES
        ]

    def _verify_claims(self, token: str) -> tokens.Claims:
        claims = tokens.decode_token(token, self.accounts.secret)
        if claims.audit_ids[0] in self._revoked:
            raise exception.Unauthorized
        if claims.expires_at <= clock.now():
            raise exception.Unauthorized
        return claims

    def _build_token(self, claims: tokens.Claims) -> Token:
        """Return the token of these claims, or raise Unauthorized."""
        user = self.accounts.users.get(claims.user_id)
        if user is None:
            raise exception.Unauthorized
        unscoped = Token(
            user_id=user.id,
            user_name=user.name,
            user_domain_id=user.domain_id,
            user_domain_name=self.accounts.domains[user.domain_id].name,
            methods=claims.methods,
            audit_ids=claims.audit_ids,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
        )
        if claims.project_id is None:
            return unscoped
        project = self.accounts.projects.get(claims.project_id)
        roles = self.accounts.roles_of(user.id, claims.project_id)
        if project is None or not roles:
            raise exception.Unauthorized
        return dataclasses.replace(
            unscoped,
            project_id=project.id,
            project_name=project.name,
            project_domain_id=project.domain_id,
            project_domain_name=self.accounts.domains[project.domain_id].name,
            roles=tuple(role.name for role in roles),
        )


def stable_id(*parts: str) -> str:
    """Return a stable id in Keystone's form."""
    return hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32]

# SPDX-License-Identifier: Apache-2.0
"""The embedded identity service, without HTTP: accounts and tokens.

It authenticates; policy authorizes. A token is valid if its signature is
valid, it has not expired or been revoked, its user and its project are enabled
and have not been changed so that their tokens end, and the user still has a
role on the project.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import os
from typing import TypedDict
from typing import TypeVar

from oslo_log import log as logging

from minova import atomic_files
from minova import clock
from minova import conf
from minova import exception
from minova.identity import account_file
from minova.identity import changes
from minova.identity import passwords
from minova.identity import records
from minova.identity import tokens

LOG = logging.getLogger(__name__)

T = TypeVar('T')

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
    user_generation: int = 0
    credential_id: str | None = None
    """The application credential that was used to log in."""

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
    """Accounts and tokens in a directory, created at the first use.

    Only one process may use it: another process would not see changes. It is
    safe to use from many threads.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock = clock.lock()
        self._on_admin_password: Callable[[str], None] | None = None
        self.accounts, self.initial_passwords = account_file.open_accounts(
            directory
        )
        self._revoked = tokens.Revocations(
            os.path.join(directory, 'revoked.json')
        )

    accounts: records.Accounts
    """The current accounts; a change replaces the object."""

    initial_passwords: Mapping[str, str]
    """The passwords by user name if this object created the directory.

    Otherwise it is empty: the password of ``demo`` is available only once.
    """

    def admin_password(self) -> str:
        """Return the password of admin; raise ConfigInvalid."""
        return account_file.read_admin_password(self._directory)

    def watch_admin_password(self, write: Callable[[str], None]) -> None:
        """Call ``write`` with each new password of admin."""
        self._on_admin_password = write

    # -- accounts -------------------------------------------------------------

    def has_project(self, project_id: str) -> bool:
        """Return whether a project exists, enabled or not."""
        return project_id in self.accounts.projects

    def change(
        self, make: Callable[[records.Accounts], tuple[records.Accounts, T]]
    ) -> T:
        """Apply a change of ``changes``, durably; return its result."""
        with self._lock, atomic_files.store_errors('The account store'):
            accounts, result = make(self.accounts)
            if accounts is not self.accounts:
                account_file.write_accounts(self._directory, accounts)
                self.accounts = accounts
            return result

    def create_user(
        self, password: str | None, values: changes.Values
    ) -> records.User:
        """Add a user with a password, or (None) without."""
        new = None if password is None else passwords.hash_password(password)
        return self.change(
            lambda accounts: changes.create_user(
                accounts, {**values, 'password': new}
            )
        )

    def set_password(
        self, user_id: str, password: str | None, values: changes.Values
    ) -> records.User:
        """Change a user, with a new password; None removes the password."""
        new = None if password is None else passwords.hash_password(password)
        with self._lock, atomic_files.store_errors('The account store'):
            accounts, user = changes.update_user(
                self.accounts, user_id, {**values, 'password': new}
            )
            is_admin = user.name == records.ADMIN
            account_file.write_accounts(
                self._directory, accounts, password if is_admin else None
            )
            self.accounts = accounts
            if is_admin and password:
                self._announce_admin_password(password)
            return user

    def _announce_admin_password(self, password: str) -> None:
        """Call the watcher; what it cannot write is written at a start."""
        if self._on_admin_password is None:
            return
        try:
            self._on_admin_password(password)
        except OSError as error:
            LOG.error(
                'The password of admin has changed, but a file with it could '
                'not be written: %s. The next start writes it.',
                error,
            )

    def find_user(
        self,
        user_id: str | None = None,
        name: str | None = None,
        domain: Mapping[str, str] | None = None,
    ) -> records.User | None:
        """Return the user with this id, or this name in this domain."""
        users = self.accounts.users
        if user_id is not None:
            return users.get(user_id)
        domain_id = self.find_domain(domain or {})
        for user in users.values():
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
        projects = self.accounts.projects
        if project_id is not None:
            return projects.get(project_id)
        domain_id = self.find_domain(domain or {})
        for project in projects.values():
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

    # -- tokens ---------------------------------------------------------------

    def authenticate(
        self, user: records.User | None, password: str
    ) -> records.User:
        """Return the user if the password is correct, or raise Unauthorized.

        None stands for an unknown user, and takes the same time. A disabled
        user is refused.
        """
        good = passwords.verify(user.password if user else None, password)
        if user is None or not good or not user.enabled:
            raise exception.Unauthorized
        return user

    def authenticate_credential(
        self, credential: records.ApplicationCredential | None, secret: str
    ) -> records.ApplicationCredential:
        """Return the credential if the secret is correct; Unauthorized."""
        stored = credential.secret if credential else None
        good = passwords.verify(stored, secret)
        if credential is None or not good:
            raise exception.Unauthorized
        return credential

    def issue_token(
        self,
        user_id: str,
        project_id: str | None = None,
        methods: tuple[str, ...] = ('password',),
        parent: Token | None = None,
        generation: int | None = None,
        credential_id: str | None = None,
    ) -> str:
        """Return a new token for a user, on a project or (None) unscoped.

        A token from a ``parent`` token expires with it. ``generation`` is that
        of the user when it was authenticated. Unauthorized if the user has
        changed since, or has no role on the project.
        """
        now = clock.now()
        audit_ids: tuple[str, ...] = (tokens.new_audit_id(),)
        if parent is None:
            lifetime = conf.CONF.identity.token_ttl
            expires_at = now + datetime.timedelta(seconds=lifetime)
        else:
            audit_ids += parent.audit_ids[-1:]
            expires_at = parent.expires_at
            generation = parent.user_generation
            credential_id = parent.credential_id
        accounts = self.accounts
        if generation is None:
            user = accounts.users.get(user_id)
            generation = user.generation if user else 0
        project = accounts.projects.get(project_id or '')
        claims = tokens.Claims(
            audit_ids=audit_ids,
            user_id=user_id,
            project_id=project_id,
            methods=methods,
            issued_at=now,
            expires_at=expires_at,
            user_generation=generation,
            project_generation=project.generation if project else 0,
            credential_id=credential_id,
        )
        _build_token(accounts, claims)
        return tokens.encode_token(claims, accounts.secret)

    def validate_token(self, token: str) -> Token:
        """Return a valid token, or raise Unauthorized."""
        accounts = self.accounts
        return _build_token(accounts, self._verify_claims(accounts, token))

    def find_token(self, token: str) -> Token | None:
        """Return a valid token, or None."""
        try:
            return self.validate_token(token)
        except exception.Unauthorized:
            return None

    def revoke_token(self, token: str) -> None:
        """Revoke a token; Unauthorized if it is invalid."""
        claims = self._verify_claims(self.accounts, token)
        with atomic_files.store_errors('The account store'):
            self._revoked.add(claims)

    def _verify_claims(
        self, accounts: records.Accounts, token: str
    ) -> tokens.Claims:
        claims = tokens.decode_token(token, accounts.secret)
        if claims.audit_ids[0] in self._revoked:
            raise exception.Unauthorized
        if claims.expires_at <= clock.now():
            raise exception.Unauthorized
        return claims

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


def _build_token(accounts: records.Accounts, claims: tokens.Claims) -> Token:
    """Return the token of these claims, or raise Unauthorized."""
    user = accounts.users.get(claims.user_id)
    if (
        user is None
        or not user.enabled
        or user.generation != claims.user_generation
    ):
        raise exception.Unauthorized
    unscoped = Token(
        user_id=user.id,
        user_name=user.name,
        user_domain_id=user.domain_id,
        user_domain_name=accounts.domains[user.domain_id].name,
        methods=claims.methods,
        audit_ids=claims.audit_ids,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        user_generation=claims.user_generation,
        credential_id=claims.credential_id,
    )
    roles = _find_roles(accounts, claims)
    if claims.project_id is None:
        return unscoped
    project = accounts.projects.get(claims.project_id)
    if (
        project is None
        or not project.enabled
        or project.generation != claims.project_generation
        or not roles
    ):
        raise exception.Unauthorized
    return dataclasses.replace(
        unscoped,
        project_id=project.id,
        project_name=project.name,
        project_domain_id=project.domain_id,
        project_domain_name=accounts.domains[project.domain_id].name,
        roles=tuple(role.name for role in roles),
    )


def _find_roles(
    accounts: records.Accounts, claims: tokens.Claims
) -> list[records.Role]:
    """Return the roles of a token; Unauthorized if its credential ended."""
    held = accounts.roles_of(claims.user_id, claims.project_id or '')
    if claims.credential_id is None:
        return held
    credential = accounts.credentials.get(claims.credential_id)
    if (
        credential is None
        or credential.project_id != claims.project_id
        or has_ended(credential)
    ):
        raise exception.Unauthorized
    chosen = [
        role
        for role_id in credential.role_ids
        if (role := accounts.roles.get(role_id)) in held
    ]
    return accounts.with_implied(chosen)


def has_ended(credential: records.ApplicationCredential) -> bool:
    """Return whether an application credential has expired."""
    ends = credential.expires_at
    return ends is not None and (
        datetime.datetime.fromisoformat(ends) <= clock.now()
    )


def stable_id(*parts: str) -> str:
    """Return a stable id in Keystone's form."""
    return hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32]

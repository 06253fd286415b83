# SPDX-License-Identifier: Apache-2.0
"""The policy rules of the API, with Nova's names.

A check takes the caller, and the project and user that own the target.
Operators change rules in ``policy.yaml``; a change applies within a few
seconds. No rule decides which instances a caller can see: those of the
caller's project, or all if ``context_is_admin`` holds.
"""

from collections.abc import Mapping
from typing import Final

from oslo_config import cfg
from oslo_policy import policy

from minova import clock
from minova import exception
from minova.context import Context

#: Seconds for which a decision is cached, so until a changed file applies.
_CACHE_SECONDS: Final = 5.0
#: The number of cached decisions at which the cache is cleared.
_CACHE_MAX_ENTRIES: Final = 10000

ADMIN: Final = 'rule:admin_api'
MANAGER: Final = 'rule:project_manager_or_admin'
ADMIN_OR_OWNER: Final = 'rule:admin_or_owner'
ADMIN_OR_USER: Final = 'rule:admin_or_user'

#: The callers that a default allows, for the error text.
_AUDIENCES: Final = {
    ADMIN: 'administrators',
    MANAGER: 'managers of the project and administrators',
    ADMIN_OR_OWNER: 'members of the project and administrators',
    ADMIN_OR_USER: 'the owning user and administrators',
}

_BASE: Final = (
    (
        'context_is_admin',
        'role:admin',
        'An administrator, who sees the instances of all projects.',
    ),
    ('admin_api', 'is_admin:True', 'The default of administrative requests.'),
    (
        'project_manager_api',
        'role:manager and project_id:%(project_id)s',
        'A manager of the owning project.',
    ),
    (
        'project_manager_or_admin',
        'is_admin:True or rule:project_manager_api',
        'The default of requests by managers of the owning project.',
    ),
    (
        'admin_or_owner',
        'is_admin:True or project_id:%(project_id)s',
        'The default of requests by members of the owning project.',
    ),
    (
        'admin_or_user',
        'is_admin:True or user_id:%(user_id)s',
        'The default of requests by the owning user.',
    ),
)

_ID: Final = '/servers/{server_id}'
_ACTION: Final = f'POST {_ID}/action'
_SERVERS: Final = 'os_compute_api:servers'

# fmt: off
#: Name, default, description, the requests that check it.
_RULES: Final = (
    (f'{_SERVERS}:index', ADMIN_OR_OWNER, 'List servers', 'GET /servers'),
    (f'{_SERVERS}:detail', ADMIN_OR_OWNER, 'List servers with details', 'GET /servers/detail'),
    (f'{_SERVERS}:index:get_all_tenants', ADMIN, 'List servers of all projects', 'GET /servers'),
    (f'{_SERVERS}:detail:get_all_tenants', ADMIN, 'List servers of all projects with details', 'GET /servers/detail'),
    (f'{_SERVERS}:allow_all_filters', ADMIN, 'Filter servers by every filter, also by host', 'GET /servers', 'GET /servers/detail'),
    (f'{_SERVERS}:show', ADMIN_OR_OWNER, 'Show a server', f'GET {_ID}'),
    (f'{_SERVERS}:show:host_status', ADMIN, 'See the status of the host of a server', f'GET {_ID}', 'GET /servers/detail'),
    (f'{_SERVERS}:show:flavor-extra-specs', ADMIN_OR_OWNER, 'See the extra specs of the flavor in a server', f'GET {_ID}', 'GET /servers/detail', f'PUT {_ID}'),
    ('os_compute_api:os-extended-server-attributes', ADMIN, 'See the host of a server and its name there', f'GET {_ID}', 'GET /servers/detail'),
    (f'{_SERVERS}:create', ADMIN_OR_OWNER, 'Create a server', 'POST /servers'),
    (f'{_SERVERS}:create:forced_host', ADMIN, 'Create a server on a host named in the availability zone', 'POST /servers'),
    ('compute:servers:create:requested_destination', ADMIN, 'Create a server on a requested host', 'POST /servers'),
    (f'{_SERVERS}:update', ADMIN_OR_OWNER, 'Rename or describe a server', f'PUT {_ID}'),
    (f'{_SERVERS}:delete', ADMIN_OR_OWNER, 'Delete a server', f'DELETE {_ID}'),
    ('os_compute_api:os-deferred-delete:force', ADMIN_OR_OWNER, 'Force-delete a server during any operation', f'{_ACTION} (forceDelete)'),
    (f'{_SERVERS}:start', ADMIN_OR_OWNER, 'Start a server', f'{_ACTION} (os-start)'),
    (f'{_SERVERS}:stop', ADMIN_OR_OWNER, 'Stop a server', f'{_ACTION} (os-stop)'),
    (f'{_SERVERS}:reboot', ADMIN_OR_OWNER, 'Reboot a server', f'{_ACTION} (reboot)'),
    ('os_compute_api:os-pause-server:pause', ADMIN_OR_OWNER, 'Pause a server', f'{_ACTION} (pause)'),
    ('os_compute_api:os-pause-server:unpause', ADMIN_OR_OWNER, 'Unpause a server', f'{_ACTION} (unpause)'),
    ('os_compute_api:os-suspend-server:suspend', ADMIN_OR_OWNER, 'Suspend a server', f'{_ACTION} (suspend)'),
    ('os_compute_api:os-suspend-server:resume', ADMIN_OR_OWNER, 'Resume a server', f'{_ACTION} (resume)'),
    ('os_compute_api:os-rescue', ADMIN_OR_OWNER, 'Rescue a server', f'{_ACTION} (rescue)'),
    ('os_compute_api:os-unrescue', ADMIN_OR_OWNER, 'Unrescue a server', f'{_ACTION} (unrescue)'),
    (f'{_SERVERS}:resize', ADMIN_OR_OWNER, 'Resize a server', f'{_ACTION} (resize)'),
    (f'{_SERVERS}:confirm_resize', ADMIN_OR_OWNER, 'Confirm a resize', f'{_ACTION} (confirmResize)'),
    (f'{_SERVERS}:revert_resize', ADMIN_OR_OWNER, 'Revert a resize', f'{_ACTION} (revertResize)'),
    ('os_compute_api:os-migrate-server:migrate', MANAGER, 'Cold migrate a server', f'{_ACTION} (migrate)'),
    ('os_compute_api:os-migrate-server:migrate:host', ADMIN, 'Cold migrate a server to a requested host', f'{_ACTION} (migrate)'),
    ('os_compute_api:os-migrate-server:migrate_live', MANAGER, 'Live migrate a server', f'{_ACTION} (os-migrateLive)'),
    ('os_compute_api:os-migrate-server:migrate_live:host', ADMIN, 'Live migrate a server to a requested host', f'{_ACTION} (os-migrateLive)'),
    ('os_compute_api:os-console-output', ADMIN_OR_OWNER, 'Read the console output of a server', f'{_ACTION} (os-getConsoleOutput)'),
    ('os_compute_api:os-remote-consoles', ADMIN_OR_OWNER, 'Get the URL of the console of a server', f'POST {_ID}/remote-consoles', f'{_ACTION} (os-getVNCConsole)'),
    ('os_compute_api:os-console-auth-tokens', ADMIN, 'Show the connection of a console token', 'GET /os-console-auth-tokens/{console_token}'),
    ('os_compute_api:server-metadata:index', ADMIN_OR_OWNER, 'List the metadata of a server', f'GET {_ID}/metadata'),
    ('os_compute_api:server-metadata:show', ADMIN_OR_OWNER, 'Show one item of metadata', f'GET {_ID}/metadata/{{key}}'),
    ('os_compute_api:server-metadata:create', ADMIN_OR_OWNER, 'Add or change metadata', f'POST {_ID}/metadata'),
    ('os_compute_api:server-metadata:update', ADMIN_OR_OWNER, 'Set one item of metadata', f'PUT {_ID}/metadata/{{key}}'),
    ('os_compute_api:server-metadata:update_all', ADMIN_OR_OWNER, 'Replace the metadata', f'PUT {_ID}/metadata'),
    ('os_compute_api:server-metadata:delete', ADMIN_OR_OWNER, 'Remove one item of metadata', f'DELETE {_ID}/metadata/{{key}}'),
    ('os_compute_api:os-server-tags:index', ADMIN_OR_OWNER, 'List the tags of a server', f'GET {_ID}/tags'),
    ('os_compute_api:os-server-tags:show', ADMIN_OR_OWNER, 'Check whether a server has a tag', f'GET {_ID}/tags/{{tag}}'),
    ('os_compute_api:os-server-tags:update', ADMIN_OR_OWNER, 'Add a tag to a server', f'PUT {_ID}/tags/{{tag}}'),
    ('os_compute_api:os-server-tags:update_all', ADMIN_OR_OWNER, 'Replace the tags', f'PUT {_ID}/tags'),
    ('os_compute_api:os-server-tags:delete', ADMIN_OR_OWNER, 'Remove a tag', f'DELETE {_ID}/tags/{{tag}}'),
    ('os_compute_api:os-server-tags:delete_all', ADMIN_OR_OWNER, 'Remove all tags', f'DELETE {_ID}/tags'),
    ('os_compute_api:ips:index', ADMIN_OR_OWNER, 'List the addresses of a server', f'GET {_ID}/ips'),
    ('os_compute_api:ips:show', ADMIN_OR_OWNER, 'List its addresses in one network', f'GET {_ID}/ips/{{network}}'),
    ('os_compute_api:os-instance-actions:list', ADMIN_OR_OWNER, 'List the actions of a server', f'GET {_ID}/os-instance-actions'),
    ('os_compute_api:os-instance-actions:show', ADMIN_OR_OWNER, 'Show an action of a server', f'GET {_ID}/os-instance-actions/{{request_id}}'),
    ('os_compute_api:os-instance-actions:events', ADMIN, 'See the events of an action before 2.51, and from then on their tracebacks and hosts', f'GET {_ID}/os-instance-actions/{{request_id}}'),
    ('os_compute_api:os-instance-actions:events:details', ADMIN, 'See the reason of a failed action, and from 2.84 the details of its events', f'GET {_ID}/os-instance-actions', f'GET {_ID}/os-instance-actions/{{request_id}}'),
    (f'{_SERVERS}:migrations:index', MANAGER, 'List the live migrations of a server in progress', f'GET {_ID}/migrations'),
    (f'{_SERVERS}:migrations:index:host', ADMIN, 'See the hosts of these live migrations', f'GET {_ID}/migrations'),
    (f'{_SERVERS}:migrations:show', ADMIN, 'Show a live migration in progress', f'GET {_ID}/migrations/{{migration_id}}'),
    (f'{_SERVERS}:migrations:force_complete', MANAGER, 'Force a live migration to complete', f'POST {_ID}/migrations/{{migration_id}}/action (force_complete)'),
    (f'{_SERVERS}:migrations:delete', MANAGER, 'Abort a live migration', f'DELETE {_ID}/migrations/{{migration_id}}'),
    ('os_compute_api:os-migrations:index', MANAGER, 'List the migrations of the servers of the own project', 'GET /os-migrations'),
    ('os_compute_api:os-migrations:index:all_projects', ADMIN, 'List the migrations of the servers of all projects', 'GET /os-migrations'),
    ('os_compute_api:os-migrations:index:host', ADMIN, 'See the hosts of migrations, and filter by host', 'GET /os-migrations'),
    ('os_compute_api:flavors', ADMIN_OR_OWNER, 'List and show flavors', 'GET /flavors', 'GET /flavors/detail', 'GET /flavors/{flavor_id}'),
    ('os_compute_api:os-flavor-manage:create', ADMIN, 'Create a flavor', 'POST /flavors'),
    ('os_compute_api:os-flavor-manage:update', ADMIN, 'Describe a flavor', 'PUT /flavors/{flavor_id}'),
    ('os_compute_api:os-flavor-manage:delete', ADMIN, 'Delete a flavor', 'DELETE /flavors/{flavor_id}'),
    ('os_compute_api:os-flavor-access', ADMIN, 'List the projects with access to a flavor that is not public, and see all such flavors', 'GET /flavors/{flavor_id}/os-flavor-access', 'GET /flavors'),
    ('os_compute_api:os-flavor-access:add_tenant_access', ADMIN, 'Give a project access to a flavor', 'POST /flavors/{flavor_id}/action (addTenantAccess)'),
    ('os_compute_api:os-flavor-access:remove_tenant_access', ADMIN, 'Remove the access of a project to a flavor', 'POST /flavors/{flavor_id}/action (removeTenantAccess)'),
    ('os_compute_api:os-flavor-extra-specs:index', ADMIN_OR_OWNER, 'List the extra specs of a flavor', 'GET /flavors/{flavor_id}/os-extra_specs', 'GET /flavors/detail', 'GET /flavors/{flavor_id}'),
    ('os_compute_api:os-flavor-extra-specs:show', ADMIN_OR_OWNER, 'Show one extra spec', 'GET /flavors/{flavor_id}/os-extra_specs/{key}'),
    ('os_compute_api:os-flavor-extra-specs:create', ADMIN, 'Add or change extra specs', 'POST /flavors/{flavor_id}/os-extra_specs'),
    ('os_compute_api:os-flavor-extra-specs:update', ADMIN, 'Change one extra spec', 'PUT /flavors/{flavor_id}/os-extra_specs/{key}'),
    ('os_compute_api:os-flavor-extra-specs:delete', ADMIN, 'Remove one extra spec', 'DELETE /flavors/{flavor_id}/os-extra_specs/{key}'),
    ('os_compute_api:os-keypairs:index', ADMIN_OR_USER, 'List key pairs', 'GET /os-keypairs'),
    ('os_compute_api:os-keypairs:show', ADMIN_OR_USER, 'Show a key pair', 'GET /os-keypairs/{name}'),
    ('os_compute_api:os-keypairs:create', ADMIN_OR_USER, 'Import or generate a key pair', 'POST /os-keypairs'),
    ('os_compute_api:os-keypairs:delete', ADMIN_OR_USER, 'Delete a key pair', 'DELETE /os-keypairs/{name}'),
    ('os_compute_api:os-services:list', ADMIN, 'List services', 'GET /os-services'),
    ('os_compute_api:os-services:update', ADMIN, 'Enable, disable or force down a service', 'PUT /os-services/{action}', 'PUT /os-services/{service_id}'),
    ('os_compute_api:os-services:delete', ADMIN, 'Delete a service', 'DELETE /os-services/{service_id}'),
    ('os_compute_api:os-hypervisors:list', ADMIN, 'List hypervisors', 'GET /os-hypervisors'),
    ('os_compute_api:os-hypervisors:list-detail', ADMIN, 'List hypervisors with details', 'GET /os-hypervisors/detail'),
    ('os_compute_api:os-hypervisors:show', ADMIN, 'Show a hypervisor', 'GET /os-hypervisors/{hypervisor_id}'),
    ('os_compute_api:os-hypervisors:statistics', ADMIN, 'Show the sums over all hypervisors', 'GET /os-hypervisors/statistics'),
    ('os_compute_api:os-hypervisors:uptime', ADMIN, 'Show the uptime of a hypervisor', 'GET /os-hypervisors/{hypervisor_id}/uptime'),
    ('os_compute_api:os-hypervisors:search', ADMIN, 'Find hypervisors by name', 'GET /os-hypervisors/{pattern}/search'),
    ('os_compute_api:os-hypervisors:servers', ADMIN, 'List the servers on hypervisors', 'GET /os-hypervisors/{pattern}/servers'),
    ('os_compute_api:os-networks:list', ADMIN_OR_OWNER, 'List networks', 'GET /os-networks'),
    ('os_compute_api:os-networks:show', ADMIN_OR_OWNER, 'Show a network', 'GET /os-networks/{network_id}'),
    ('os_compute_api:os-security-groups:list', ADMIN_OR_OWNER, 'List the security groups of a server', f'GET {_ID}/os-security-groups'),
    ('os_compute_api:os-availability-zone:list', ADMIN_OR_OWNER, 'List availability zones', 'GET /os-availability-zone'),
    ('os_compute_api:os-availability-zone:detail', ADMIN, 'List availability zones with their hosts', 'GET /os-availability-zone/detail'),
    ('os_compute_api:os-aggregates:index', ADMIN, 'List host aggregates', 'GET /os-aggregates'),
    ('os_compute_api:os-aggregates:show', ADMIN, 'Show a host aggregate', 'GET /os-aggregates/{aggregate_id}'),
    ('os_compute_api:limits', ADMIN_OR_OWNER, 'Show the limits of the own project', 'GET /limits'),
    ('os_compute_api:limits:other_project', ADMIN, 'Show the limits of another project', 'GET /limits'),
    ('os_compute_api:os-quota-sets:show', ADMIN_OR_OWNER, 'Show the quotas of a project', 'GET /os-quota-sets/{project_id}'),
    ('os_compute_api:os-quota-sets:detail', ADMIN_OR_OWNER, 'Show the quotas and the usage of a project', 'GET /os-quota-sets/{project_id}/detail'),
    ('os_compute_api:os-quota-sets:defaults', ADMIN_OR_OWNER, 'Show the default quotas', 'GET /os-quota-sets/{project_id}/defaults'),
)
# fmt: on

#: The scopes of tokens that a rule may allow, whatever the roles: tokens for
#: the whole system or for a domain own no server, as in Nova.
_SCOPES: Final = ['project']
_DEFAULTS: Final = {row[0]: row[1] for row in _RULES}


def _operation(request: str) -> policy.Operation:
    method, _, path = request.partition(' ')
    return {'method': method, 'path': path}


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules with their defaults, for oslo.policy's tools."""
    base = [
        policy.RuleDefault(name, check, description)
        for name, check, description in _BASE
    ]
    return base + [
        policy.DocumentedRuleDefault(
            name,
            check,
            f'{text}.',
            [_operation(one) for one in requests],
            scope_types=_SCOPES,
        )
        for name, check, text, *requests in _RULES
    ]


class Policy:
    """Checks rules; one per application, for any number of threads."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(list_rules())
        self._enforcer.load_rules()
        self._cache: dict[tuple[object, ...], bool] = {}
        self._cache_expires = clock.monotonic() + _CACHE_SECONDS

    def is_admin(self, creds: Mapping[str, object]) -> bool:
        """Tell whether a caller is an administrator.

        ``creds`` has user_id, project_id, roles and every other value that a
        rule may check.
        """
        return self._authorize('context_is_admin', creds, {})

    def is_allowed(
        self,
        context: Context,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> bool:
        """Tell whether ``rule`` allows the caller.

        ``project_id`` and ``user_id`` own the target; by default the caller's.
        """
        creds = {
            'user_id': context.user_id,
            'project_id': context.project_id,
            'roles': context.roles,
            'is_admin': bool(context.is_admin),
            'system_scope': context.system_scope,
            'domain_id': context.domain_id,
        }
        target = {
            'project_id': project_id or context.project_id,
            'user_id': user_id or context.user_id,
        }
        return self._authorize(rule, creds, target)

    def authorize(
        self,
        context: Context,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Raise Forbidden unless ``rule`` allows the caller."""
        if not self.is_allowed(context, rule, project_id, user_id):
            if context.system_scope or context.domain_id:
                raise exception.Forbidden(
                    f"Policy doesn't allow {rule} to be performed with a "
                    'token for the system or a domain. Use a token for a '
                    'project.'
                )
            audience = _AUDIENCES[_DEFAULTS[rule]]
            raise exception.Forbidden(
                f"Policy doesn't allow {rule} to be performed. By default "
                f'it is allowed for {audience}.'
            )

    def _authorize(
        self,
        rule: str,
        creds: Mapping[str, object],
        target: Mapping[str, object],
    ) -> bool:
        now = clock.monotonic()
        if now > self._cache_expires or len(self._cache) > _CACHE_MAX_ENTRIES:
            self._cache = {}
            self._cache_expires = now + _CACHE_SECONDS
        key = (
            rule,
            *(tuple(v) if isinstance(v, list) else v for v in creds.values()),
            *target.values(),
        )
        allowed = self._cache.get(key)
        if allowed is None:
            # oslo.policy reads the file again if it has changed.
            allowed = bool(
                self._enforcer.authorize(rule, dict(target), dict(creds))
            )
            self._cache[key] = allowed
        return allowed

# SPDX-License-Identifier: Apache-2.0
"""The policy: who may call the API. Rules have the names of the field.

============ ===============================================================
defaults     the base rules, by roles and projects
compute      the rules of the Compute API
image        the rules of the embedded image service
network      the rules of the embedded networking service
identity     the rules of the embedded identity service
============ ===============================================================

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
from minova.policy import compute
from minova.policy import defaults
from minova.policy import identity
from minova.policy import image
from minova.policy import network

#: Seconds for which a decision is cached, so until a changed file applies.
_CACHE_SECONDS: Final = 5.0
#: The number of cached decisions at which the cache is cleared.
_CACHE_MAX_ENTRIES: Final = 10000

_ROWS: Final = (*compute.RULES, *image.RULES, *network.RULES, *identity.RULES)
_AUDIENCES: Final = defaults.AUDIENCES | image.AUDIENCES
#: The scopes of tokens that a rule may allow, whatever the roles: tokens for
#: the whole system or for a domain own no server, as in Nova.
_SCOPES: Final = ['project']

#: The default of each rule.
DEFAULTS: Final = {row[0]: row[1] for row in _ROWS}


def _operation(request: str) -> policy.Operation:
    method, _, path = request.partition(' ')
    return {'method': method, 'path': path}


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules with their defaults, for oslo.policy's tools."""
    base = [
        policy.RuleDefault(name, check, description)
        for name, check, description in defaults.BASE
    ]
    return base + [
        policy.DocumentedRuleDefault(
            name,
            check,
            f'{text}.',
            [_operation(one) for one in requests],
            scope_types=_SCOPES,
        )
        for name, check, text, *requests in _ROWS
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
        """Tell whether a caller is an administrator of the cloud.

        ``creds`` has user_id, project_id, roles and every other value that a
        rule may check. The administrator of a domain or of the system is none
        without a token for a project, whatever ``policy.yaml`` says.
        """
        return bool(creds.get('project_id')) and self._authorize(
            'context_is_admin', creds, {}
        )

    def is_allowed(
        self,
        context: Context,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
        visibility: str | None = None,
    ) -> bool:
        """Tell whether ``rule`` allows the caller.

        ``project_id`` and ``user_id`` own the target; by default the caller's.
        An empty string is no owner. ``visibility`` is that of an image.
        """
        creds: dict[str, object] = {
            'user_id': context.user_id,
            'is_admin': bool(context.is_admin),
            'system_scope': context.system_scope,
            'domain_id': context.domain_id,
        }
        if context.project_id:
            # Without a project there are no roles on one, and a missing value
            # equals no owner.
            creds['project_id'] = context.project_id
            creds['roles'] = context.roles
        target = {
            'project_id': (
                context.project_id if project_id is None else project_id
            ),
            'user_id': context.user_id if user_id is None else user_id,
            'visibility': visibility,
        }
        return self._authorize(rule, creds, target)

    def authorize(
        self,
        context: Context,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
        visibility: str | None = None,
    ) -> None:
        """Raise Forbidden unless ``rule`` allows the caller."""
        if not self.is_allowed(context, rule, project_id, user_id, visibility):
            raise exception.Forbidden(_describe_refusal(context, rule))

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


def _describe_refusal(context: Context, rule: str) -> str:
    """Return the text of an error: what would be allowed."""
    refused = f"Policy doesn't allow {rule} to be performed"
    if not context.project_id:
        return (
            f'{refused} with a token without a project scope. Use a token for '
            'a project.'
        )
    audience = _AUDIENCES[DEFAULTS[rule]]
    return f'{refused}. By default it is allowed for {audience}.'

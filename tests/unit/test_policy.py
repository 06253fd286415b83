# SPDX-License-Identifier: Apache-2.0
"""Policy decisions and their cache."""

import os

from minova import clock
from minova import exception
from minova import policy
from minova.conf import CONF
from minova.context import Context
from tests import base
from tests.unit.identity.base import SetClock

_RULE = 'os_compute_api:servers:show'


def who(user='u', project='p', roles=('member', 'reader'), **values):
    return Context(
        user_id=user, project_id=project, roles=list(roles), **values
    )


def admin(project='p', **values):
    roles = ('admin', 'manager', 'member', 'reader')
    return who(project=project, roles=roles, **values)


class PolicyTest(base.TestCase):
    """A policy and its file."""

    def setUp(self):
        super().setUp()
        self.clock = SetClock()
        self.addCleanup(clock.install, clock.install(self.clock))
        self.path = os.path.join(self.directory, 'policy.yaml')
        self.write('{}')
        policy.Policy(CONF)  # registers the option
        self.config('oslo_policy', policy_file=self.path)
        self.policy = policy.Policy(CONF)

    def write(self, text):
        with open(self.path, 'w') as file:
            file.write(text)
        seconds = os.stat(self.path).st_mtime + 10
        os.utime(self.path, (seconds, seconds))

    def test_owner_and_administrator(self):
        allows = self.policy.is_allowed
        self.assertTrue(allows(who(), _RULE))
        self.assertTrue(allows(who(), _RULE, 'p'))
        self.assertFalse(allows(who(), _RULE, 'q'))
        self.assertTrue(allows(admin(), _RULE, 'q'))
        self.assertFalse(allows(who(), 'os_compute_api:os-services:list'))

    def test_cache_key_has_every_value(self):
        # Each differs from the previous one in one value.
        for caller, project, expected in (
            (who(), 'p', True),
            (who(project='q'), 'p', False),
            (admin(project='q'), 'p', True),
            (who(project='q'), 'p', False),
            (who(project='q'), 'q', True),
        ):
            for _ in range(2):
                found = self.policy.is_allowed(caller, _RULE, project)
                self.assertIs(expected, found)

    def test_roles_count(self):
        self.write(f'"{_RULE}": "role:watcher"')
        self.policy = policy.Policy(CONF)
        self.assertFalse(self.policy.is_allowed(who(), _RULE))
        self.assertTrue(self.policy.is_allowed(who(roles=['watcher']), _RULE))
        self.assertFalse(self.policy.is_allowed(who(), _RULE))

    def test_user_counts(self):
        self.write(f'"{_RULE}": "user_id:%(user_id)s"')
        self.policy = policy.Policy(CONF)
        self.assertTrue(self.policy.is_allowed(who(), _RULE, 'p', 'u'))
        self.assertFalse(self.policy.is_allowed(who(), _RULE, 'p', 'v'))
        self.assertTrue(self.policy.is_allowed(who(user='v'), _RULE, 'p', 'v'))

    def test_decisions_are_cached(self):
        asked = []
        authorize = self.policy._enforcer.authorize
        self.patch(
            self.policy._enforcer,
            'authorize',
            lambda *args: asked.append(args) or authorize(*args),
        )
        for _ in range(5):
            self.policy.is_allowed(who(), _RULE)
        self.assertEqual(1, len(asked))

    def test_changed_file_applies_after_the_cache_time(self):
        self.assertTrue(self.policy.is_allowed(who(), _RULE))
        self.write(f'"{_RULE}": "!"')
        self.assertTrue(self.policy.is_allowed(who(), _RULE))
        self.clock.forward(seconds=6)
        self.assertFalse(self.policy.is_allowed(who(), _RULE))

    def test_cache_is_bounded(self):
        self.patch(policy, '_CACHE_MAX_ENTRIES', 10)
        for number in range(100):
            self.policy.is_allowed(who(), _RULE, f'p{number}')
        self.assertLessEqual(len(self.policy._cache), 12)

    def test_refusal_names_the_rule(self):
        error = self.assertRaises(
            exception.Forbidden, self.policy.authorize, who(), _RULE, 'q'
        )
        self.assertEqual(
            f"Policy doesn't allow {_RULE} to be performed. By default it is "
            'allowed for readers of the project and administrators.',
            str(error),
        )

    def test_roles_of_the_defaults(self):
        update = 'os_compute_api:servers:update'
        migrate = 'os_compute_api:os-migrate-server:migrate'
        hosts = 'os_compute_api:os-hypervisors:list'
        flavors = 'os_compute_api:flavors'
        implied = ['admin', 'manager', 'member', 'reader']
        for roles, allowed in (
            ([], {flavors}),
            (['cinder_auditor'], {flavors}),
            (['service'], {flavors}),
            (implied[3:], {flavors, _RULE}),
            (implied[2:], {flavors, _RULE, update}),
            (implied[1:], {flavors, _RULE, update, migrate}),
            (implied, {flavors, _RULE, update, migrate, hosts}),
        ):
            found = {
                rule
                for rule in (flavors, _RULE, update, migrate, hosts)
                if self.policy.is_allowed(who(roles=roles), rule)
            }
            self.assertEqual(allowed, found, roles)

    def test_only_a_token_for_a_project_allows(self):
        for scope in ({'domain_id': 'd'}, {'system_scope': 'all'}, {}):
            caller = admin(None, **scope)
            creds = {'roles': caller.roles, 'project_id': None, **scope}
            self.assertFalse(self.policy.is_admin(creds))
            for rule in (_RULE, 'get_images', 'os_compute_api:flavors'):
                if rule.endswith('flavors') and not scope:
                    continue
                error = self.assertRaises(
                    exception.Forbidden, self.policy.authorize, caller, rule
                )
                self.assertIn('Use a token for a project.', str(error))
        creds = {'roles': ['admin'], 'project_id': 'p'}
        self.assertTrue(self.policy.is_admin(creds))

    def test_thing_without_an_owner(self):
        for caller in (who(), who(project=None), who(project='')):
            self.assertFalse(
                self.policy.is_allowed(caller, 'delete_image', '')
            )
        self.assertTrue(self.policy.is_allowed(admin(), 'delete_image', ''))

    def test_every_rule_has_a_scope_and_an_audience(self):
        for rule in policy.list_rules():
            if rule.name in policy.DEFAULTS:
                self.assertEqual(['project'], rule.scope_types)
                self.assertIn(rule.check_str, policy._AUDIENCES)

    def test_names_are_unique_and_described(self):
        rules = policy.list_rules()
        names = [rule.name for rule in rules]
        self.assertEqual(len(set(names)), len(names))
        for rule in rules:
            self.assertTrue(rule.description, rule.name)

# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords."""

import dataclasses

from minova.identity import passwords
from tests import base


class PasswordsTest(base.TestCase):
    def test_verified(self):
        stored = passwords.hash_password('a secret')
        self.assertTrue(passwords.verify(stored, 'a secret'))
        for wrong in ('', 'a secret ', 'A secret', 'é'):
            self.assertFalse(passwords.verify(stored, wrong))
        for password in ('', 'a secret'):
            self.assertFalse(passwords.verify(None, password))

    def test_salted(self):
        one, two = (passwords.hash_password('x') for _ in range(2))
        self.assertNotEqual(one.salt, two.salt)
        self.assertNotEqual(one.digest, two.digest)
        self.assertFalse(
            passwords.verify(dataclasses.replace(one, salt=two.salt), 'x')
        )

    def test_another_cost(self):
        # The cost rises with the years; older hashes stay good.
        stored = dataclasses.replace(
            passwords.hash_password('x'), log_cost=passwords._LOG_COST - 1
        )
        self.assertFalse(passwords.verify(stored, 'x'))
        digest = passwords._digest('x', stored.log_cost, stored.salt)
        stored = dataclasses.replace(stored, digest=digest)
        self.assertTrue(passwords.verify(stored, 'x'))

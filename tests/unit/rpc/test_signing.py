# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures as text."""

from minova.rpc import signing
from minova.rpc.signing import SigningKey
from tests import base


class SigningKeyTest(base.TestCase):
    """A key pair."""

    def test_the_text_makes_the_same_key(self):
        key = SigningKey.generate()
        again = SigningKey.from_text(key.to_text())
        self.assertEqual(key.public_key, again.public_key)
        self.assertTrue(
            signing.is_signed(key.public_key, again.sign(b'x'), b'x')
        )

    def test_other_texts_are_no_keys(self):
        for text in ('', 'x', 'Zm9v', '\u00e4' * 44):
            self.assertRaises(ValueError, SigningKey.from_text, text)
            self.assertRaises(ValueError, signing.check_public_key, text)

    def test_signatures(self):
        key, other = SigningKey.generate(), SigningKey.generate()
        signature = key.sign(b'x')
        self.assertFalse(signing.is_signed(key.public_key, signature, b'y'))
        self.assertFalse(signing.is_signed(other.public_key, signature, b'x'))
        self.assertFalse(signing.is_signed('no key', signature, b'x'))
        self.assertFalse(signing.is_signed(key.public_key, 'none', b'x'))

    def test_fingerprint(self):
        key = SigningKey.generate()
        name = signing.fingerprint(key.public_key)
        self.assertRegex(name, '^SHA256:[A-Za-z0-9+/]{43}$')
        self.assertEqual(name, signing.fingerprint(f'{key.public_key}'))

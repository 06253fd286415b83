# SPDX-License-Identifier: Apache-2.0
"""What a signed message looks like."""

import datetime
import json

from minova.context import Context
from minova.rpc import proof as proofs
from minova.rpc.proof import Proof
from tests import base
from tests.fixtures import senders


class SignerTest(base.TestCase):
    """Context and arguments as they are sent."""

    def sign(self, signer, **arguments):
        return signer.sign(
            'topic', None, 'method', Context().to_dict(), arguments
        )

    def test_a_transport_does_not_change_what_is_signed(self):
        keys = senders.Keys('a')
        context, arguments = self.sign(
            keys.signer('a'),
            numbers={2: 'b', 10: 'a'},
            pair=(1, 2.5),
            time=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
            text='\u00e4 \ud800',
        )
        self.assertEqual({'2': 'b', '10': 'a'}, arguments['numbers'])
        arrived = json.loads(json.dumps([context, arguments]))
        self.assertEqual([context, arguments], arrived)

    def test_each_message_has_its_number(self):
        signer = senders.Keys('a').signer('a')
        numbers = [
            self.sign(signer)[0][proofs.MEMBER]['number'] for _ in range(3)
        ]
        self.assertEqual([0, 1, 2], numbers)

    def test_a_proof_has_its_types(self):
        signer = senders.Keys('a').signer('a')
        found = self.sign(signer)[0][proofs.MEMBER]
        self.assertEqual('a', Proof.from_json(found).host)
        for name in found:
            changed = found | {name: ['x']}
            self.assertRaises(ValueError, Proof.from_json, changed)
        self.assertRaises(ValueError, Proof.from_json, found | {'more': 1})

# SPDX-License-Identifier: Apache-2.0
"""The requests that a server accepts, by the way that they came."""

from unittest import mock

from minova.rpc import rabbit_listener
from minova.rpc import routes
from tests import base


class OriginTest(base.TestCase):
    """A compute on n1, with one method for peers."""

    origin = rabbit_listener._Origin(
        frozenset({'compute.n1', 'compute_peer.n1'}), frozenset({'look'})
    )

    def find_fault(
        self,
        key='compute.n1',
        method='look',
        exchange=routes.EXCHANGE,
        headers=(),
    ):
        message = mock.MagicMock(
            _raw_message=mock.Mock(
                delivery_info={'exchange': exchange, 'routing_key': key},
                headers=dict(headers),
            )
        )
        message.get = {'method': method}.get
        return self.origin.find_fault(message)

    def test_requests(self):
        self.assertIsNone(self.find_fault())
        self.assertIsNone(self.find_fault(method='destroy'))
        self.assertIsNone(self.find_fault('compute_peer.n1'))

    def test_method_that_is_not_for_peers(self):
        self.assertEqual(
            "another compute may not call 'destroy'",
            self.find_fault('compute_peer.n1', 'destroy'),
        )
        self.assertIsNotNone(self.find_fault('compute_peer.n1', None))

    def test_ways_around_the_permissions(self):
        for values in (
            {'exchange': ''},
            {'exchange': 'nova'},
            {'key': 'compute.n0'},
            {'key': 'compute_peer.n0'},
            {'headers': {'x-death': []}},
        ):
            self.assertIsNotNone(self.find_fault(**values), values)

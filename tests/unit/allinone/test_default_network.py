# SPDX-License-Identifier: Apache-2.0
"""The network of an empty cloud."""

import os

from minova.allinone import default_network
from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import networks
from minova.network import definition
from tests import base


class DefaultNetworkTest(base.TestCase):
    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, 'minova.sqlite')
        self.database = engine.connect(CONF, f'sqlite:///{path}')
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)

    def names(self):
        default_network.create_default_network(self.database)
        return [one.name for one in self.database.read(networks.list_all)]

    def test_of_an_empty_cloud(self):
        self.assertEqual(['private'], self.names())
        # The next start finds it.
        self.assertEqual(['private'], self.names())
        (made,) = self.database.read(networks.list_all)
        self.assertEqual(
            (networks.USER, '10.0.0.0/16'), (made.kind, made.cidr)
        )
        self.assertIsNone(made.project_id)

    def test_not_beside_others(self):
        other = definition.define('lan', cidr='10.1.0.0/24', bridge='br0')
        definition.create(self.database, other)
        self.assertEqual(['lan'], self.names())

    def test_not_beside_configured_ones(self):
        # The conductor creates these at its start.
        self.config(group='network', network=['name=lan, user'])
        self.assertEqual([], self.names())

# SPDX-License-Identifier: Apache-2.0
"""Aggregates, server groups and hints with the ``openstack`` command."""

from tests.integration.allinone import StockClientTestCase


class StockClientPlacementTest(StockClientTestCase):
    """What administrators and users do about hosts."""

    def test_commands(self):
        self.image()
        self._aggregates()
        self._server_groups()

    def _aggregates(self):
        table = self.shell.table
        (host, *_) = sorted(
            row['Host']
            for row in table('compute service list --service nova-compute')
        )
        table('aggregate create --zone north rack')
        table(f'aggregate add host rack {host}')
        self.done('aggregate set --property ssd=true rack')
        shown = table('aggregate show rack')
        self.assertEqual([host], shown['hosts'])
        self.assertEqual({'ssd': 'true'}, shown['properties'])
        self.assertEqual('north', shown['availability_zone'])
        zones = {
            row['Zone Name']: row['Zone Status']
            for row in table('availability zone list --compute')
        }
        self.assertEqual('available', zones['north'])
        table(
            'server create --wait --image tiny --flavor m1.nano '
            '--nic none --availability-zone north one'
        )
        self.assertEqual(host, self.show('one')['OS-EXT-SRV-ATTR:host'])
        self.refused(
            f'aggregate remove host rack {host}', 'was created in availability'
        )
        self.refused('aggregate delete rack', 'not empty')
        self.done('server delete --wait one')
        table(f'aggregate remove host rack {host}')
        self.done('aggregate unset --property ssd rack')
        self.done('aggregate delete rack')
        self.assertEqual([], table('aggregate list'))

    def _server_groups(self):
        table = self.shell.table
        made = table('server group create --policy anti-affinity web')
        group = made['id']
        for name in ('one', 'two'):
            table(
                'server create --wait --image tiny --flavor m1.nano '
                f'--nic none --hint group={group} {name}'
            )
        hosts = {
            self.show(name)['OS-EXT-SRV-ATTR:host'] for name in ('one', 'two')
        }
        self.assertEqual(2, len(hosts))
        shown = table('server group show web')
        self.assertEqual(2, len(shown['members']))
        self.refused(
            'server create --wait --image tiny --flavor m1.nano '
            f'--nic none --hint group={group} three',
            'Error creating server',
        )
        self.done('server group delete web')
        self.assertEqual([], table('server group list'))

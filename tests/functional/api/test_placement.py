# SPDX-License-Identifier: Apache-2.0
"""The filters and weighers that read aggregates, flavors and images."""

import threading

import fixtures

from tests.functional.api.test_aggregates import AggregatesTestCase


class PlacementTest(AggregatesTestCase):
    """Host a is in an aggregate; b is in none."""

    def setUp(self):
        super().setUp()
        self.config('scheduler', host_state_max_age=0)
        self.number = self.make()
        self.add(self.number, 'a')

    def set(self, **metadata):
        reply = self.act(self.number, 'set_metadata', metadata=metadata)
        self.assertEqual(200, reply.status, reply.body)

    def specs(self, name, **specs):
        flavor = self.make_flavor(name)
        given = {key.replace('__', ':'): specs[key] for key in specs}
        reply = self.admin.post(
            f'/flavors/{flavor}/os-extra_specs', {'extra_specs': given}
        )
        self.assertEqual(200, reply.status, reply.body)
        return flavor

    def host(self, client=None, **values):
        uuid = self.boot(client, **values)
        return self.show(uuid, self.admin)['OS-EXT-SRV-ATTR:host']

    def hosts_of(self, count=3, **values):
        return {self.host(**values) for _ in range(count)}

    def test_aggregate_extra_specs(self):
        flavor = self.specs(
            'ssd', aggregate_instance_extra_specs__ssd='<or> true <or> yes'
        )
        uuid = self.boot(flavorRef=flavor)
        fault = self.show(uuid, self.admin)['fault']['message']
        self.assertIn('a: its aggregates set ssd to nothing', fault)
        self.set(ssd='maybe, true')
        self.assertEqual({'a'}, self.hosts_of(flavorRef=flavor))

    def test_capabilities(self):
        flavor = self.specs('b', capabilities__hypervisor_hostname='b')
        self.assertEqual({'b'}, self.hosts_of(flavorRef=flavor))
        flavor = self.specs('huge', capabilities__vcpus_total='>= 100000')
        uuid = self.boot(flavorRef=flavor)
        fault = self.show(uuid, self.admin)['fault']['message']
        self.assertIn('its capability vcpus_total is', fault)

    def test_image_isolation(self):
        self.set(os_distro='windows')
        linux = self.image_store.add(properties={'os_distro': 'debian'}).id
        self.assertEqual({'b'}, self.hosts_of(imageRef=linux))
        self.assertEqual({'a', 'b'}, self.hosts_of(5))

    def test_tenants(self):
        self.set(filter_tenant_id_1='33333333cccccccc,elsewhere')
        self.assertEqual({'b'}, self.hosts_of())
        self.assertEqual({'a', 'b'}, self.hosts_of(5, client=self.other))

    def test_multipliers_of_an_aggregate(self):
        self.set(
            ram_weight_multiplier='-5',
            cpu_weight_multiplier='-5',
            disk_weight_multiplier='x, -5',
        )
        self.assertEqual({'b'}, self.hosts_of())

    def test_filters_can_be_disabled(self):
        self.config('scheduler', enabled_filters=[])
        self.set(filter_tenant_id='33333333cccccccc')
        self.assertEqual({'a', 'b'}, self.hosts_of(5))

    def test_busy_hosts(self):
        self.config('scheduler', io_ops_weight_multiplier=-100.0)
        driver = self.cloud.computes['a'].driver
        start, continued = driver.start, threading.Event()

        def start_later(*arguments):
            continued.wait(60)
            start(*arguments)

        self.useFixture(fixtures.MockPatchObject(driver, 'start', start_later))
        self.addCleanup(continued.set)
        first = self.boot(self.admin, wait=False, availability_zone=':a')
        self.cloud.wait_for(lambda: self.cloud.instance(first).host == 'a')
        self.assertEqual('b', self.host())
        self.assertEqual('b', self.host())
        continued.set()
        self.cloud.settle(first)

# SPDX-License-Identifier: Apache-2.0
"""Evacuation of real guests: shared disks, fencing, a host that is cut off."""

import os
import sys
import urllib.parse

from tests.fixtures.proxy import Network
from tests.fixtures.user import Refused
from tests.integration.qemu import QemuTestCase


class EvacuationTestCase(QemuTestCase):
    """Two hosts, one of which is down."""

    def force_down(self, host, is_down=True):
        self.user.request(
            'PUT',
            '/os-services/force-down',
            {'host': host, 'binary': 'nova-compute', 'forced_down': is_down},
        )

    def state_of(self, host):
        """Return whether the compute service of a host is up or down."""
        path = f'/os-services?binary=nova-compute&host={host}'
        (service,) = self.user.request('GET', path)['services']
        return service['state']

    def evacuate(self, uuid):
        self.user.act(uuid, 'evacuate', {})

    def wait_released(self, uuid):
        """Wait for the end of the evacuation, whatever it is."""
        self.wait_for(
            lambda: self.user.show(uuid)['OS-EXT-STS:task_state'] is None
        )

    def last_action(self, uuid):
        """Return the newest action of a server, with its events."""
        path = f'/servers/{uuid}/os-instance-actions'
        (last, *_) = self.user.request('GET', path)['instanceActions']
        return self.user.request('GET', f'{path}/{last["request_id"]}')[
            'instanceAction'
        ]

    def restart(self, host):
        """Let a host return and have servers again."""
        self.force_down(host, False)
        self.computes[host].start()
        self.computes[host].wait_for('is ready.', times=2)


class SharedDiskTest(EvacuationTestCase):
    """Hosts with a shared directory; one of them dies."""

    shared = True

    def options(self):
        return {'fencing': {'trust_disk_locks': True}}

    def test_killed_host(self):
        uuid, here = self.boot()
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        self.computes[here].kill()
        self.rig.kill_guest(here, uuid)
        self.force_down(here)
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(there, self.user.host(uuid))
        after = self.rig.wait_for_count(there, uuid)
        # Another boot, from the same disk.
        self.assertNotEqual(before.boot, after.boot)
        self.assertEqual(before.disk, after.disk)
        self.restart(here)
        self.wait_for(
            lambda: (
                'removing the guest and its disks'
                in (self.computes[here].log_text())
            )
        )
        # The disk is still there, and so is the guest that writes to it.
        self.rig.wait_for_count(there, uuid)
        self.assert_runs_once(uuid, there)
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            before.disk, self.rig.wait_for_count(there, uuid).disk
        )
        self.user.delete(uuid)
        self.assert_nothing_left()

    def test_lock_as_proof(self):
        # The guest still runs; only the compute service has ended.
        uuid, here = self.boot()
        there = self.other(here)
        self.computes[here].kill()
        self.wait_for(lambda: self.state_of(here) == 'down')
        self.evacuate(uuid)
        self.wait_released(uuid)
        shown = self.user.show(uuid)
        self.assertEqual(here, shown['OS-EXT-SRV-ATTR:host'])
        self.assert_runs_once(uuid, here)
        self.rig.wait_for_count(here, uuid)
        events = self.last_action(uuid)['events']
        self.assertIn('Error', [event['result'] for event in events])
        self.rig.kill_guest(here, uuid)
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.wait_for(lambda: self.user.host(uuid) == there)
        self.rig.wait_for_count(there, uuid)
        self.assert_runs_once(uuid, there)
        self.restart(here)
        self.user.delete(uuid)
        self.assert_nothing_left()


#: The program that powers a host of a rig off, as a power switch would: it
#: takes the directory of the rig, a file and the name of the host, and fails
#: until the file exists.
_POWER_OFF = """
import os, sys
from minova.rig import hosts

directory, switch, name = sys.argv[1:]
if not os.path.exists(switch):
    sys.exit(f'the power switch of {name} does not answer')
hosts.stop(next(h for h in hosts.list_hosts(directory) if h.name == name))
print(f'{name} is off')
"""


class FencedHostTest(EvacuationTestCase):
    """Hosts with disks of their own and a power switch."""

    def options(self):
        program = os.path.join(self.directory, 'power_off')
        with open(program, 'w', encoding='utf-8') as file:
            file.write(_POWER_OFF)
        self.switch = os.path.join(self.directory, 'switch')
        rule = f'*: {sys.executable} {program} {self.rig.directory}'
        return {'fencing': {'commands': f'{rule} {self.switch} {{host}}'}}

    def test_silent_host(self):
        uuid, here = self.boot()
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        refused = self.assertRaises(Refused, self.evacuate, uuid)
        self.assertEqual(400, refused.status)
        self.assertIn('it counts as down in', refused.body)
        # The service ends, the guest runs on.
        self.computes[here].kill()
        self.wait_for(lambda: self.state_of(here) == 'down')
        self.evacuate(uuid)
        self.wait_released(uuid)
        (event,) = self.last_action(uuid)['events']
        self.assertEqual('Error', event['result'])
        self.assertEqual(here, self.user.host(uuid))
        self.rig.wait_for_count(here, uuid)
        # The power switch is repaired.
        with open(self.switch, 'w', encoding='utf-8'):
            pass
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.wait_for(lambda: self.user.host(uuid) == there)
        after = self.rig.wait_for_count(there, uuid)
        self.assertNotEqual(before.disk, after.disk)
        self.assert_runs_once(uuid, there)
        # The host returns, with the definition of the guest and its disks.
        self.assertEqual([uuid], self.rig.guest_directories()[here])
        self.rig.start_libvirtd(here)
        self.computes[here].start()
        self.computes[here].wait_for('is ready.', times=2)
        self.assertEqual([], self.rig.guest_directories()[here])
        self.assert_runs_once(uuid, there)
        # It takes servers again, also this one.
        self.assertEqual(here, self.live_migrate(uuid))
        self.assertEqual(after.boot, self.rig.wait_for_count(here, uuid).boot)
        self.user.delete(uuid)
        self.assert_nothing_left()


class CutLinkTest(EvacuationTestCase):
    """Hosts with a shared directory; one loses the control plane."""

    shared = True

    def route(self, name):
        if not name.startswith('compute-'):
            return self.urls
        if not hasattr(self, 'links'):
            self.network, self.links = self.useFixture(Network()), {}
        transport_url, database_url = self.urls
        there = urllib.parse.urlsplit(transport_url)
        link = self.network.link(there.port)
        self.links[name.removeprefix('compute-')] = link
        here = there.netloc.replace(f':{there.port}', f':{link.port}')
        return there._replace(netloc=here).geturl(), database_url

    def test_guest_on_each_side(self):
        uuid, here = self.boot()
        there = self.other(here)
        other = self.user.boot(availability_zone=f'nova:{there}')
        self.rig.wait_for_count(there, other)
        self.links[here].refuse()
        self.wait_for(lambda: self.state_of(here) == 'down')
        refused = self.assertRaises(Refused, self.evacuate, uuid)
        self.assertEqual(409, refused.status)
        self.assertIn('its guests may still run', refused.body)
        # The operator is wrong: the host runs on.
        self.force_down(here)
        self.evacuate(uuid)
        self.wait_released(uuid)
        self.assertEqual(here, self.user.host(uuid))
        self.assert_runs_once(uuid, here)
        self.rig.wait_for_count(here, uuid)
        self.rig.wait_for_count(there, other)
        # Now the guest is off, and its compute service still runs.
        self.rig.kill_guest(here, uuid)
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.wait_for(lambda: self.user.host(uuid) == there)
        self.rig.wait_for_count(there, uuid)
        # The link is back: the service removes what it had, then registers.
        self.links[here].clear_faults()
        self.force_down(here, False)
        self.wait_for(lambda: self.state_of(here) == 'up')
        self.assert_runs_once(uuid, there)
        self.assert_runs_once(other, there)
        self.assertEqual(here, self.live_migrate(uuid))
        self.rig.wait_for_count(here, uuid)
        for one in (uuid, other):
            self.user.delete(one)
        self.assert_nothing_left()

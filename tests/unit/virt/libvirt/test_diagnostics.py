# SPDX-License-Identifier: Apache-2.0
"""Diagnostics from a definition and libvirt's statistics."""

from minova.states import PowerState
from minova.virt.libvirt import diagnostics
from tests import base

DEFINITION = """
<domain type='kvm'>
  <memory unit='KiB'>524288</memory>
  <vcpu>2</vcpu>
  <devices>
    <disk><target dev='vda'/></disk>
    <disk><target dev='vdb'/></disk>
    <interface type='bridge'>
      <mac address='fa:16:3e:00:00:01'/><target dev='vnet0'/>
    </interface>
    <interface type='user'><mac address='fa:16:3e:00:00:02'/></interface>
  </devices>
</domain>
"""
STATS = {
    'vcpu.current': 2,
    'vcpu.0.time': 17,
    'block.count': 1,
    'block.0.name': 'vda',
    'block.0.rd.bytes': 4096,
    'block.0.rd.reqs': 2,
    'block.0.wr.bytes': 512,
    'block.0.wr.reqs': 1,
    'net.count': 1,
    'net.0.name': 'vnet0',
    'net.0.rx.bytes': 100,
    'net.0.rx.pkts': 3,
    'net.0.tx.bytes': 200,
    'net.0.tx.errs': 1,
}


class DescribeTest(base.TestCase):
    """Devices come from the definition, counts from the statistics."""

    def describe(self, **memory):
        return diagnostics.describe(
            DEFINITION,
            PowerState.RUNNING,
            diagnostics.Statistics(STATS, memory, {'vda': 0}),
        )

    def test_devices(self):
        found = self.describe()
        self.assertEqual('kvm', found.hypervisor)
        self.assertEqual([17, None], [cpu.time for cpu in found.cpus])
        self.assertEqual(512, found.memory_mb)
        vda, vdb = found.disks
        self.assertEqual(
            (4096, 2, 512, 1, 0),
            (
                vda.read_bytes,
                vda.read_requests,
                vda.write_bytes,
                vda.write_requests,
                vda.errors_count,
            ),
        )
        self.assertIsNone(vdb.read_bytes)
        bridged, user = found.nics
        self.assertEqual(
            ('vnet0', 100, 3, 200, 1, None),
            (
                bridged.name,
                bridged.rx_octets,
                bridged.rx_packets,
                bridged.tx_octets,
                bridged.tx_errors,
                bridged.tx_drop,
            ),
        )
        self.assertEqual('fa:16:3e:00:00:02', user.mac_address)
        self.assertIsNone(user.rx_octets)

    def test_used_memory(self):
        self.assertIsNone(self.describe(actual=524288).memory_used_mb)
        found = self.describe(available=500000, unused=295200)
        self.assertEqual(200, found.memory_used_mb)

# SPDX-License-Identifier: Apache-2.0
"""The kinds of guests that a QEMU host offers."""

import dataclasses

from minova.virt.libvirt import xml
from minova.virt.libvirt.qemu.host import QemuHost
from tests.unit.virt.libvirt.fake_libvirt import HostsTestCase

#: As libvirt 9 reports it on x86_64 with qemu-system-arm and KVM.
CAPABILITIES = """
<capabilities>
  <guest>
    <os_type>hvm</os_type>
    <arch name='aarch64'><domain type='qemu'/></arch>
  </guest>
  <guest>
    <os_type>hvm</os_type>
    <arch name='i686'><domain type='qemu'/><domain type='kvm'/></arch>
  </guest>
  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch>
  </guest>
  <guest>
    <os_type>hvm</os_type>
    <arch name='s390x'><domain type='qemu'/></arch>
  </guest>
</capabilities>
"""
PC = {('x86_64', 'qemu', 'hvm'), ('i686', 'qemu', 'hvm')}
KVM = {('x86_64', 'kvm', 'hvm'), ('i686', 'kvm', 'hvm')}
ARM = {('aarch64', 'qemu', 'hvm')}


class SupportedInstancesTest(HostsTestCase):
    """libvirt's capabilities, limited to what can be defined."""

    def supported(self, virt_type, *emulated):
        profile = dataclasses.replace(
            xml.PROFILES[virt_type],
            emulated=dict.fromkeys(emulated, xml.PROFILES['qemu']),
        )
        config = dataclasses.replace(self.a.host_config, virt_type=virt_type)
        host = QemuHost(self.a.connection, config, profile, self.a.disks)
        found = host._supported_instances(CAPABILITIES)
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def test_native(self):
        self.assertEqual(PC, self.supported('qemu'))
        self.assertEqual(PC | KVM, self.supported('kvm'))

    def test_emulated(self):
        self.assertEqual(PC | KVM | ARM, self.supported('kvm', 'aarch64'))

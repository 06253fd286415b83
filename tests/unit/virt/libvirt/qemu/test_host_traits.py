# SPDX-License-Identifier: Apache-2.0
"""The traits of a QEMU host."""

from minova.extra_specs import traits
from minova.virt.libvirt.firmware import Firmware
from minova.virt.libvirt.qemu import host_traits
from tests import base

#: As libvirt 9 reports it with swtpm.
CAPABILITIES = """
<domainCapabilities>
  <devices>
    <tpm supported='yes'>
      <enum name='model'>
        <value>tpm-tis</value>
        <value>tpm-crb</value>
      </enum>
      <enum name='backendModel'>
        <value>passthrough</value>
        <value>emulator</value>
      </enum>
      <enum name='backendVersion'>
        <value>1.2</value>
        <value>2.0</value>
      </enum>
    </tpm>
  </devices>
</domainCapabilities>
"""


class HostTraitsTest(base.TestCase):
    """Firmware and TPM."""

    def test_firmware(self):
        plain = Firmware('c', 't', 'x86_64', ('pc-q35-*',))
        secure = Firmware('c', 't', 'x86_64', ('pc-q35-*',), is_secure=True)
        arm = Firmware('c', 't', 'aarch64', ('virt-*',))
        self.assertEqual(set(), host_traits.of_firmware((arm,)))
        self.assertEqual({traits.UEFI}, host_traits.of_firmware((plain,)))
        self.assertEqual(
            {traits.UEFI, traits.SECURE_BOOT},
            host_traits.of_firmware((plain, secure)),
        )

    def test_tpm(self):
        every = set(traits.ALL) - {traits.UEFI, traits.SECURE_BOOT}
        self.assertEqual(every, host_traits.of_tpm(CAPABILITIES))
        for removed, missing in (
            ('<value>1.2</value>', {'COMPUTE_SECURITY_TPM_1_2'}),
            ('<value>tpm-crb</value>', {'COMPUTE_SECURITY_TPM_CRB'}),
            ('<value>emulator</value>', every),
            ('<tpm supported=', every),
        ):
            less = CAPABILITIES.replace(
                removed, '<tpm maybe=' if removed.startswith('<tpm') else ''
            )
            self.assertEqual(every - missing, host_traits.of_tpm(less))

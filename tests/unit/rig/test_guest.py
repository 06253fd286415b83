# SPDX-License-Identifier: Apache-2.0
"""The modules of the tiny guest, as each release of Debian packs them.

With those of Debian 13, which are compressed and below /usr, the guest had no
disk and did not obey the power button, and nothing said so.
"""

import lzma
import os

from minova import exception
from minova.rig import guest
from tests import base

_DEPENDS = {'virtio_blk': b'virtio_ring', 'virtio_net': b'net-failover'}


class ModulesTest(base.TestCase):
    def pack(self, lib, suffix, compress=bytes, builtin=()):
        """Write the package of a kernel; return the tree of the guest."""
        version = os.path.join(self.directory, lib, 'modules', '6.1.0-amd64')
        drivers = os.path.join(version, 'kernel', 'drivers')
        root = os.path.join(self.directory, 'root')
        os.makedirs(drivers)
        os.makedirs(os.path.join(root, 'modules'))
        for name in (*guest._MODULES, 'virtio_ring', 'net-failover'):
            if name not in builtin:
                depends = _DEPENDS.get(name, b'')
                text = b'\x7fELF\0depends=%s\0' % depends
                with open(f'{drivers}/{name}.{suffix}', 'wb') as file:
                    file.write(compress(text))
        with open(f'{version}/modules.builtin', 'w') as file:
            file.writelines(f'kernel/drivers/{b}.ko\n' for b in builtin)
        return root

    def check(self, root, missing=()):
        guest._copy_modules(self.directory, root)
        with open(f'{root}/modules/order') as file:
            order = file.read().split()
        wanted = [
            'virtio_pci.ko',
            *('virtio_ring.ko', 'virtio_blk.ko'),
            *('net_failover.ko', 'virtio_net.ko'),
            *('button.ko', 'evdev.ko', 'efivarfs.ko'),
        ]
        self.assertEqual([w for w in wanted if w not in missing], order)
        for name in order:
            with open(f'{root}/modules/{name}', 'rb') as file:
                self.assertTrue(file.read().startswith(b'\x7fELF'))

    def test_debian_12(self):
        self.check(self.pack('lib', 'ko'))

    def test_debian_13(self):
        root = self.pack(
            'usr/lib', 'ko.xz', lzma.compress, builtin=['virtio_pci']
        )
        self.check(root, missing=['virtio_pci.ko'])

    def test_a_module_that_is_missing(self):
        root = self.pack('lib', 'ko')
        os.unlink(
            f'{self.directory}/lib/modules/6.1.0-amd64/kernel/drivers/'
            'virtio_blk.ko'
        )
        error = self.assertRaises(
            exception.ConfigInvalid, guest._copy_modules, self.directory, root
        )
        self.assertIn('no module virtio_blk', str(error))

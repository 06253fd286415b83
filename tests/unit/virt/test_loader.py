# SPDX-License-Identifier: Apache-2.0
"""The driver that the configuration chooses, and its errors."""

import subprocess
import sys

from minova import exception
from minova.virt import loader
from minova.virt.fake.driver import FakeDriver
from minova.virt.libvirt.driver import LibvirtDriver
from tests import base


class LoaderTest(base.TestCase):
    """``load``."""

    def load(self, host='a', driver='libvirt', uri=None):
        self.config(group='compute', compute_driver=driver)
        if uri is not None:
            self.config(group='libvirt', connection_uri=uri)
        return loader.load_driver(host)

    def test_fake(self):
        driver = self.load(driver='fake')
        self.assertIsInstance(driver, FakeDriver)
        self.assertEqual('a', driver.inventory().hypervisor_hostname)

    def test_embedded(self):
        hosts = [self.load(host, uri='test:///') for host in 'ab']
        for host, driver in zip('ab', hosts, strict=True):
            self.addCleanup(driver.close)
            self.assertIsInstance(driver, LibvirtDriver)
            self.assertEqual(host, driver.inventory().hypervisor_hostname)

    def test_real_hosts(self):
        """They are opened whether or not their libvirt answers yet."""
        driver = self.load(uri='qemu+unix:///session?socket=/none')
        self.addCleanup(driver.close)
        self.assertIsInstance(driver, LibvirtDriver)
        error = self.assertRaises(exception.GuestFailed, driver.guests)
        self.assertIn('qemu+unix:///session?socket=/none', str(error))

    def test_other_hypervisors(self):
        error = self.assertRaises(
            exception.ConfigInvalid, self.load, uri='xen:///system'
        )
        self.assertIn('xen:///system', str(error))
        self.assertIn('qemu:///system', str(error))

    def test_other_test_hosts(self):
        for uri in ('test:///default', 'test:///tmp/node.xml', 'test://'):
            error = self.assertRaises(
                exception.ConfigInvalid, self.load, uri=uri
            )
            self.assertIn('embedded_directory', str(error))

    def without_libvirt(self, code):
        code = (
            'import sys\n'
            'sys.modules["libvirt"] = None\n'
            'from minova.conf import CONF\n'
            'from minova.virt import loader\n'
            'CONF([], default_config_files=[])\n'
            f'CONF.set_override("state_path", {self.directory!r})\n'
            'CONF.set_override("connection_uri", "test:///", "libvirt")\n'
        ) + code
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True
        )
        self.assertEqual('', done.stderr)
        return done.stdout

    def test_libvirt_python_is_missing(self):
        emitted = self.without_libvirt(
            'from minova import exception\n'
            'try: loader.load_driver("a")\n'
            'except exception.ConfigInvalid as error: print(error)\n'
        )
        self.assertIn('libvirt-python', emitted)
        self.assertIn('minova[libvirt]', emitted)

    def test_fake_needs_no_libvirt(self):
        emitted = self.without_libvirt(
            'CONF.set_override("compute_driver", "fake", "compute")\n'
            'print(loader.load_driver("a").guests())\n'
            'print([m for m in sys.modules if m.startswith('
            '"minova.virt.libvirt.")])\n'
        )
        self.assertEqual('[]\n[]\n', emitted)

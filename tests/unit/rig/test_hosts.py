# SPDX-License-Identifier: Apache-2.0
"""Hosts of a rig: their paths, their configuration, unusable libvirtd."""

import os
from unittest import mock

from minova import exception
from minova.rig import hosts
from tests import base

#: Below the configuration of a user, with a domain's id of five digits.
_AGENT = (
    'libvirt/qemu/channel/target/domain-12345-instance-00000001/'
    'org.qemu.guest_agent.0'
)


class LinkTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.host = hosts.host_at(self.directory, 1)
        os.makedirs(self.host.directory)
        self.addCleanup(self._remove_link)

    def _remove_link(self):
        if os.path.lexists(self.host.link):
            os.unlink(self.host.link)

    def test_the_socket_of_a_guest_agent_has_room(self):
        host = hosts.host_at('/' + 'x' * 60, 50)
        path = f'{host.link}/config/{_AGENT}'
        self.assertLessEqual(len(path), 107)

    def test_hosts_have_links_of_their_own(self):
        other = hosts.host_at(self.directory, 2)
        self.assertNotEqual(self.host.link, other.link)

    def test_made_and_found_again(self):
        for _ in range(2):
            hosts._make_link(self.host)
            self.assertEqual(
                os.path.realpath(self.host.directory),
                os.path.realpath(self.host.link),
            )

    def test_qemu_conf_has_the_keys_of_libvirt(self):
        """Check the keys: libvirtd silently ignores unknown ones."""
        hosts._configure(self.host)
        path = f'{self.host.directory}/config/libvirt/qemu.conf'
        with open(path, encoding='utf-8') as file:
            lines = file.read().split('\n')
        self.assertIn(f'migration_address = "{self.host.address}"', lines)
        self.assertIn(f'migration_host = "{self.host.address}"', lines)

    def test_gone_with_the_host(self):
        hosts._make_link(self.host)
        hosts.down(self.directory)
        self.assertFalse(os.path.lexists(self.host.link))
        self.assertFalse(os.path.lexists(self.host.address_link))

    def test_found_by_its_address(self):
        hosts._make_link(self.host)
        other = hosts.host_at(self.directory, 2)
        uri = other.live_migration_uri.replace('%s', self.host.address)
        self.assertEqual(
            os.path.realpath(self.host.socket),
            os.path.realpath(uri.partition('socket=')[2]),
        )

    def test_another_ones_is_not_used(self):
        os.symlink('/var', self.host.link)
        error = self.assertRaises(
            exception.ConfigInvalid, hosts._make_link, self.host
        )
        self.assertIn('exists but does not link to', str(error))


class RequireQemuTest(base.TestCase):
    """A libvirtd without the QEMU driver, as on Debian 13."""

    def check(self, reason):
        one = hosts.host_at(self.directory, 1)
        error = exception.ConfigInvalid(reason=reason)
        with mock.patch.object(hosts.subprocesses, 'run', side_effect=error):
            return str(
                self.assertRaises(
                    exception.ConfigInvalid, hosts._require_qemu, one, None
                )
            )

    def test_the_package_is_named(self):
        said = self.check('python: no connection driver available for qemu')
        self.assertIn('the libvirtd of host1 cannot be used: python: no', said)
        self.assertIn('(Debian package libvirt-daemon-driver-qemu)', said)

    def test_another_reason(self):
        said = self.check('python has not ended within 30 s')
        self.assertIn('has not ended within 30 s', said)
        self.assertNotIn('Debian package', said)

# SPDX-License-Identifier: Apache-2.0
"""The DevStack plugin, with stand-ins for the functions of DevStack.

What it does is said by these; nothing of the machine is touched.
"""

import configparser
import os
import pathlib
import re
import subprocess

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parents[1]

#: Functions and programs of DevStack; each prints its arguments.
STAND_INS = r"""
set -euo pipefail
for name in define_plugin plugin_requires disable_service \
    setup_develop install_package iniset iniset_rpc_backend \
    configure_keystone_authtoken_middleware create_service_user \
    get_or_create_service get_or_create_endpoint recreate_database \
    add_user_to_group restart_service stop_process; do
    eval "$name() { say $name \"\$@\"; }"
done
say() { local IFS=$'\t'; printf '%s\n' "$*" >&3; }
sudo() { say sudo "$@"; [[ "$1" != tee ]] || cat >&3; }
id() { echo stackers; }
hostname() { echo node1; }
get_python_exec_prefix() { echo "$DEST/bin"; }
database_connection_url() { echo "mysql+pymysql://root@127.0.0.1/$1"; }
enable_service() { [[ -n "$services" ]] || services=$*; }
is_service_enabled() {
    local name
    for name in "$@"; do
        [[ " $services " != *" $name "* ]] || return 0
    done
    return 1
}
run_process() { ! is_service_enabled "$1" || say run_process "$@"; }
STACK_USER=stack HOST_IP=192.0.2.1 SERVICE_HOST=192.0.2.9
SERVICE_LISTEN_ADDRESS=0.0.0.0 SERVICE_PROTOCOL=http REGION_NAME=one
ENABLE_DEBUG_LOG_LEVEL=True SERVICE_PASSWORD=secret
SERVICE_PROJECT_NAME=service SERVICE_DOMAIN_NAME=Default
KEYSTONE_SERVICE_URI=http://192.0.2.9/identity
DATA_DIR=$DEST/data
exec 3>&1 1>&2
. "$ROOT/devstack/settings"
phase() { . "$ROOT/devstack/plugin.sh"; }
for words in 'stack install' 'stack post-config' 'stack extra' unstack clean
do
    say phase $words
    phase $words
done
"""


class DevStackTest(base.TestCase):
    """All phases of a node."""

    def setUp(self):
        super().setUp()
        binaries = pathlib.Path(self.directory, 'bin')
        binaries.mkdir()
        manage = binaries / 'minova-manage'
        manage.write_text('#!/bin/sh\n')
        manage.chmod(0o755)

    def run_node(self, services='', **settings):
        """Return the actions of a node; ``services`` are the plugin's own."""
        done = subprocess.run(
            ['bash', '-c', STAND_INS],
            env={
                'PATH': os.environ['PATH'],
                'ROOT': str(ROOT),
                'DEST': self.directory,
                'services': services,
                **settings,
            },
            capture_output=True,
            text=True,
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.said = [line.split('\t') for line in done.stdout.splitlines()]

    def output(self, name):
        return [words[1:] for words in self.said if words[0] == name]

    def options(self):
        return {
            (section, key): value
            for _, section, key, value in self.output('iniset')
        }

    def commands(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        scripts = setup['entry_points']['console_scripts']
        return set(re.findall(r'^(\S+) =', scripts, re.MULTILINE))

    def test_every_service_is_started_and_stopped(self):
        self.run_node()
        started = {
            words[1].split()[0].rpartition('/')[2]: words[0]
            for words in self.output('run_process')
        }
        tools = {
            'minova-allinone', 'minova-fake-hypervisor', 'minova-manage',
            'minova-rig', 'minova-simulate',
        }  # fmt: skip
        self.assertEqual(self.commands() - tools, set(started))
        self.assertEqual(
            sorted(started.values()),
            sorted(name for (name,) in self.output('stop_process')),
        )
        binary = f'{self.directory}/bin/minova-compute'
        self.assertIn(
            [
                'minova-cpu',
                f'{binary} --config-file /etc/minova/minova.conf',
                'libvirt',
            ],
            self.output('run_process'),
        )

    def test_every_option_exists(self):
        self.run_node(MINOVA_PIN_CONDUCTOR='1.4')
        sample = (ROOT / 'etc/minova/minova.conf.sample').read_text()
        known, section = set(), None
        for line in sample.splitlines():
            if line.startswith('['):
                section = line.strip('[]')
            elif found := re.match(r'#(\w+) =', line):
                known.add((section, found[1]))
        # Those of a plugin of keystoneauth are not in any sample.
        plugin = {
            ('image', name)
            for name in (
                'auth_type', 'auth_url', 'username', 'password',
                'project_name', 'user_domain_name', 'project_domain_name',
            )
        }  # fmt: skip
        self.assertEqual(set(), set(self.options()) - known - plugin)

    def test_host_with_libvirt(self):
        self.run_node('minova-cpu')
        emitted = self.options()
        self.assertEqual(
            'qemu:///system', emitted['libvirt', 'connection_uri']
        )
        self.assertEqual(
            'qemu+ssh://stack@%s/system',
            emitted['libvirt', 'live_migration_uri'],
        )
        self.assertEqual('192.0.2.1', emitted['vnc', 'server_listen'])
        self.assertEqual(
            'http://192.0.2.9:6080/vnc_auto.html',
            emitted['vnc', 'novncproxy_base_url'],
        )
        # A compute has no database and no port; it uses only the bus.
        for option in (
            ('database', 'connection'),
            ('api', 'osapi_compute_listen_port'),
            ('vnc', 'novncproxy_port'),
        ):
            self.assertNotIn(option, emitted)
        self.assertIn(['user = "stack"'], self.said)
        self.assertIn(['group = "stackers"'], self.said)
        self.assertIn(['libvirtd'], self.output('restart_service'))
        (developed,) = self.output('setup_develop')
        self.assertEqual('keystone,libvirt', developed[1])

    def test_embedded_host(self):
        self.run_node('minova-cpu', MINOVA_LIBVIRT_URI='test:///')
        self.assertEqual(
            'test:///', self.options()['libvirt', 'connection_uri']
        )
        self.assertEqual([], self.output('restart_service'))
        ((_, command),) = self.output('run_process')
        self.assertIn('minova-compute', command)

    def test_controller_only(self):
        self.run_node('minova-api minova-cond minova-novnc')
        emitted = self.options()
        self.assertEqual([], [key for key in emitted if key[0] == 'libvirt'])
        self.assertEqual('6080', emitted['vnc', 'novncproxy_port'])
        self.assertEqual('name=private, user', emitted['network', 'network'])
        self.assertIn(['novnc'], self.output('install_package'))
        self.run_node('minova-api minova-cond', MINOVA_NETWORK='')
        self.assertNotIn(('network', 'network'), self.options())
        self.assertEqual([], self.output('install_package'))

# SPDX-License-Identifier: Apache-2.0
"""clouds.yaml and openrc."""

import os
import subprocess

import yaml

from minova.identity import client_files
from tests.unit.identity import base

#: Characters with a meaning in a shell and in YAML.
PASSWORD = 'a\'b"c$d `e` \\f: #g'
URL = 'http://127.0.0.1:8774'


class ClientFilesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.config.config(group='identity', region='here')
        client_files.write_client_files(self.path, URL, PASSWORD)

    def test_clouds(self):
        with open(self.file('clouds.yaml'), encoding='utf-8') as file:
            cloud = yaml.safe_load(file)['clouds']['minova']
        self.assertEqual(
            {
                'auth': {
                    'auth_url': URL + '/identity/v3',
                    'username': 'admin',
                    'password': PASSWORD,
                    'project_name': 'admin',
                    'user_domain_name': 'Default',
                    'project_domain_name': 'Default',
                },
                'region_name': 'here',
                'interface': 'public',
                'identity_api_version': 3,
                'private': True,
                'floating_ip_source': 'none',
                'secgroup_source': 'none',
            },
            cloud,
        )

    def test_openrc(self):
        shown = subprocess.run(
            ['/bin/sh', '-euc', '. ./openrc; env'],
            cwd=self.path,
            env={'OS_CLOUD': 'other', 'OS_TOKEN': 'x', 'PATH': '/usr/bin'},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        found = dict(
            line.split('=', 1)
            for line in shown.splitlines()
            if line.startswith('OS_')
        )
        self.assertEqual(
            {
                'OS_AUTH_URL': URL + '/identity/v3',
                'OS_USERNAME': 'admin',
                'OS_PASSWORD': PASSWORD,
                'OS_PROJECT_NAME': 'admin',
                'OS_USER_DOMAIN_NAME': 'Default',
                'OS_PROJECT_DOMAIN_NAME': 'Default',
                'OS_REGION_NAME': 'here',
                'OS_INTERFACE': 'public',
                'OS_IDENTITY_API_VERSION': '3',
            },
            found,
        )

    def test_only_owner_can_read_files(self):
        for name in ('clouds.yaml', 'openrc'):
            self.assertEqual('0o600', self.mode(name))

    def test_files_are_rewritten(self):
        client_files.write_client_files(self.path, URL, 'new')
        with open(self.file('clouds.yaml'), encoding='utf-8') as file:
            cloud = yaml.safe_load(file)['clouds']['minova']
        self.assertEqual('new', cloud['auth']['password'])
        self.assertEqual({'clouds.yaml', 'openrc'}, set(os.listdir(self.path)))

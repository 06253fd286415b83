# SPDX-License-Identifier: Apache-2.0
"""clouds.yaml and openrc for the ``openstack`` client."""

import json
import os
import shlex

from minova import atomic_files
from minova import conf

#: Variables of another openrc that would override those of this one.
_UNSET = (
    'OS_CLOUD',
    'OS_TOKEN',
    'OS_AUTH_TYPE',
    'OS_PROJECT_ID',
    'OS_TENANT_ID',
    'OS_TENANT_NAME',
    'OS_USER_ID',
    'OS_USER_DOMAIN_ID',
    'OS_PROJECT_DOMAIN_ID',
    'OS_DOMAIN_ID',
    'OS_DOMAIN_NAME',
    'OS_SYSTEM_SCOPE',
)


def write_client_files(directory: str, base_url: str, password: str) -> None:
    """Write ``clouds.yaml`` and ``openrc`` for admin into a directory.

    Both have mode 0600, because they contain the password. ``base_url`` is the
    URL of the APIs without a trailing slash. The name of the cloud in
    ``clouds.yaml`` is ``minova``.
    """
    atomic_files.make_directory(directory)
    auth = {
        'auth_url': f'{base_url}/identity/v3',
        'username': 'admin',
        'password': password,
        'project_name': 'admin',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
    }
    region = conf.CONF.identity.region
    atomic_files.write_bytes(
        os.path.join(directory, 'clouds.yaml'), _clouds(auth, region).encode()
    )
    atomic_files.write_bytes(
        os.path.join(directory, 'openrc'), _openrc(auth, region).encode()
    )


def _clouds(auth: dict[str, str], region: str) -> str:
    # Every JSON string is a valid YAML scalar.
    lines = [
        '# Written by minova-allinone at each start.',
        'clouds:',
        '  minova:',
        '    auth:',
        *(f'      {name}: {json.dumps(auth[name])}' for name in auth),
        f'    region_name: {json.dumps(region)}',
        '    interface: public',
        '    identity_api_version: 3',
        # Servers have fixed addresses only, and no security groups.
        '    private: true',
        '    floating_ip_source: none',
        '    secgroup_source: none',
    ]
    return '\n'.join(lines) + '\n'


def _openrc(auth: dict[str, str], region: str) -> str:
    exported = {f'OS_{name.upper()}': auth[name] for name in auth} | {
        'OS_REGION_NAME': region,
        'OS_INTERFACE': 'public',
        'OS_IDENTITY_API_VERSION': '3',
    }
    lines = [
        '# Written by minova-allinone at each start; for any POSIX shell.',
        f'unset {" ".join(_UNSET)}',
        *(f'export {name}={shlex.quote(exported[name])}' for name in exported),
    ]
    return '\n'.join(lines) + '\n'

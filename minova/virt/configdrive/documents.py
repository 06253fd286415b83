# SPDX-License-Identifier: Apache-2.0
"""The files on a config drive, by their paths.

::

    openstack/latest/meta_data.json     identity, key and metadata
    openstack/latest/network_data.json  devices and addresses
    openstack/latest/vendor_data.json   {}: no vendor data
    openstack/latest/user_data          user data, if any
    openstack/2018-08-27/               the same
    ec2/latest/meta-data.json, ec2/latest/user-data

cloud-init uses the newest dated directory that it knows and falls back to
``latest``. All files here are in the format of that date.

Two parts of the format are left out. ``admin_pass``: the API returns the
password once and does not store it. ``random_seed``: it would differ each time
the drive is built, and guests have a random number generator.
"""

import base64
from typing import Any

import orjson

from minova.virt.configdrive import network
from minova.virt.driver import ConfigDrive
from minova.virt.driver import GuestSpec

#: The version of the format.
VERSION = '2018-08-27'

_CERTIFICATE = '-----BEGIN CERTIFICATE-----'

Json = dict[str, Any]


def build_files(spec: GuestSpec) -> dict[str, bytes]:
    """Return the content of each file by its path, in a fixed order."""
    drive = spec.config_drive
    if drive is None:
        raise LookupError(f'guest {spec.uuid} has no config drive')
    documents = {
        'meta_data.json': _to_json(_meta_data(spec, drive)),
        'network_data.json': _to_json(network.network_data(spec.nics)),
        'vendor_data.json': _to_json({}),
    }
    ec2 = {'meta-data.json': _to_json(_ec2_meta_data(spec, drive))}
    if drive.user_data is not None:
        # The API accepts any Unicode whitespace here.
        content = base64.b64decode(''.join(drive.user_data.split()))
        documents['user_data'] = ec2['user-data'] = content
    found = {f'ec2/latest/{name}': ec2[name] for name in ec2}
    for version in (VERSION, 'latest'):
        found |= {
            f'openstack/{version}/{name}': documents[name]
            for name in documents
        }
    return dict(sorted(found.items()))


def _meta_data(spec: GuestSpec, drive: ConfigDrive) -> Json:
    found: Json = {
        'uuid': spec.uuid,
        'name': spec.title,
        'hostname': drive.hostname,
        'launch_index': drive.launch_index,
        'availability_zone': drive.availability_zone,
        'project_id': spec.project_id,
        'meta': drive.metadata,
        'devices': [],
    }
    if drive.key_name is not None and drive.key_data is not None:
        found['public_keys'] = {drive.key_name: drive.key_data}
        found['keys'] = [
            {
                'name': drive.key_name,
                'type': _key_type(drive.key_data),
                'data': drive.key_data,
            }
        ]
    return found


def _key_type(data: str) -> str:
    return 'x509' if data.lstrip().startswith(_CERTIFICATE) else 'ssh'


def _ec2_meta_data(spec: GuestSpec, drive: ConfigDrive) -> Json:
    """Return the EC2 metadata, such as the names of disks."""
    found: Json = {
        'instance-id': spec.uuid,
        'instance-type': spec.flavor,
        'hostname': drive.hostname,
        'local-hostname': drive.hostname,
        'ami-launch-index': drive.launch_index,
        'reservation-id': drive.reservation_id,
        'placement': {'availability-zone': drive.availability_zone},
        'block-device-mapping': {'ami': 'vda', 'root': '/dev/vda'},
    }
    if drive.key_name is not None and drive.key_data is not None:
        found['public-keys'] = {
            '0': {
                '_name': f'0={drive.key_name}',
                'openssh-key': drive.key_data,
            }
        }
    return found


def _to_json(document: Json) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

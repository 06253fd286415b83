# SPDX-License-Identifier: Apache-2.0
"""The payloads: keys and formats of Nova's unversioned notifications."""

from collections.abc import Mapping
from collections.abc import Sequence
import datetime
from typing import TypeAlias

from minova import exception
from minova.conf import CONF
from minova.notifications import audit_period
from minova.objects.audit_period import AuditPeriod
from minova.objects.instance import Instance

#: What JSON can hold.
Value: TypeAlias = (
    str | int | float | Sequence['Value'] | Mapping[str, 'Value'] | None
)
Payload: TypeAlias = dict[str, Value]


def instance_payload(instance: Instance) -> Payload:
    """Return the keys that each ``compute.instance`` notification has.

    The time formats are Nova's: ``created_at`` has a blank and an offset, the
    other times have a ``T`` and no offset, and are '' without a time.
    """
    flavor = instance.flavor
    return {
        'tenant_id': instance.project_id,
        'user_id': instance.user_id,
        'instance_id': instance.uuid,
        'display_name': instance.display_name,
        'reservation_id': instance.reservation_id,
        'hostname': instance.hostname,
        'instance_type': flavor.name,
        'instance_type_id': flavor.id,
        'instance_flavor_id': flavor.flavorid,
        'architecture': instance.architecture,
        'memory_mb': flavor.memory_mb,
        'disk_gb': flavor.root_gb + flavor.ephemeral_gb,
        'vcpus': flavor.vcpus,
        'root_gb': flavor.root_gb,
        'ephemeral_gb': flavor.ephemeral_gb,
        'host': instance.host,
        'node': instance.node,
        'availability_zone': instance.availability_zone,
        'cell_name': '',
        'created_at': _format_offset(instance.created_at),
        'terminated_at': _format_iso(instance.terminated_at),
        'deleted_at': _format_iso(instance.deleted_at),
        'launched_at': _format_iso(instance.launched_at),
        'image_ref_url': _image_url(instance.image_ref),
        'os_type': instance.os_type,
        'kernel_id': instance.kernel_id,
        'ramdisk_id': instance.ramdisk_id,
        'state': instance.vm_state,
        'state_description': instance.task_state or '',
        'progress': '' if instance.progress is None else instance.progress,
        'access_ip_v4': instance.access_ip_v4,
        'access_ip_v6': instance.access_ip_v6,
        'image_meta': {
            name: '' if value is None else str(value)
            for name, value in instance.image_meta.items()
        },
        'metadata': dict(instance.metadata),
    }


def fixed_ips(instance: Instance) -> list[Mapping[str, Value]]:
    """Return the value of the key ``fixed_ips``."""
    return [
        {**address, 'label': nic['label'], 'vif_mac': nic['mac']}
        for nic in instance.network_info
        for address in nic['addresses']
    ]


def update_payload(
    instance: Instance,
    old_states: tuple[str | None, str | None],
    now: datetime.datetime,
) -> Payload:
    """Return the payload of an ``update``.

    ``old_states`` is the vm_state and the task_state before the update.
    """
    begin = audit_period.find_beginning(now)
    return instance_payload(instance) | {
        'old_state': old_states[0],
        'old_task_state': old_states[1],
        'new_task_state': instance.task_state,
        'audit_period_beginning': _format_iso(begin),
        'audit_period_ending': _format_iso(now),
    }


def exists_payload(instance: Instance, period: AuditPeriod) -> Payload:
    """Return the payload of an ``exists`` for a period."""
    return instance_payload(instance) | {
        'audit_period_beginning': _format_plain(period.beginning),
        'audit_period_ending': _format_plain(period.ending),
    }


def fault_payload(error: exception.MinovaException) -> Payload:
    """Return the keys that an ``.error`` has in addition."""
    text = str(error)
    return {
        'exception': f'{type(error).__name__}: {text}',
        'message': text,
        'code': error.fault_code,
    }


def _image_url(image_ref: str) -> str:
    if not image_ref:
        return ''
    return f'{CONF.notifications.image_url}/images/{image_ref}'


def _format_iso(moment: datetime.datetime | None) -> str:
    return f'{moment:%Y-%m-%dT%H:%M:%S.%f}' if moment else ''


def _format_plain(moment: datetime.datetime) -> str:
    return f'{moment:%Y-%m-%d %H:%M:%S}'


def _format_offset(moment: datetime.datetime | None) -> str:
    return f'{moment:%Y-%m-%d %H:%M:%S}+00:00' if moment else ''

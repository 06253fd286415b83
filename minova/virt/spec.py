# SPDX-License-Identifier: Apache-2.0
"""The GuestSpec of an instance."""

from typing import Any

from minova.objects.instance import Instance
from minova.virt.driver import ConfigDrive
from minova.virt.driver import GuestSpec


def from_instance(
    instance: Instance,
    operation: str,
    generation: int,
    rescue: dict[str, Any] | None = None,
    placement: dict[str, Any] | None = None,
) -> GuestSpec:
    """Return the GuestSpec of an instance.

    ``rescue`` and ``placement`` are GuestSpec's.
    """
    flavor = instance.flavor
    return GuestSpec(
        uuid=instance.uuid,
        name=instance.name,
        title=instance.display_name,
        vcpus=flavor.vcpus,
        memory_mb=flavor.memory_mb,
        root_gb=flavor.root_gb,
        ephemeral_gb=flavor.ephemeral_gb,
        swap_mb=flavor.swap_mb,
        image_id=instance.image_ref,
        project_id=instance.project_id,
        user_id=instance.user_id,
        flavor=flavor.name,
        operation=operation,
        generation=generation,
        nics=tuple(instance.network_info),
        extra_specs=flavor.extra_specs,
        image=instance.image_meta,
        config_drive=_config_drive(instance),
        rescue=rescue,
        max_root_gb=flavor.max_root_gb,
        placement=placement,
    )


def _config_drive(instance: Instance) -> ConfigDrive | None:
    if not instance.config_drive:
        return None
    return ConfigDrive(
        hostname=instance.hostname,
        launch_index=instance.launch_index,
        reservation_id=instance.reservation_id,
        availability_zone=instance.availability_zone,
        metadata=instance.metadata,
        key_name=instance.key_name,
        key_data=instance.key_data,
        user_data=instance.user_data,
    )

# SPDX-License-Identifier: Apache-2.0
"""The refusal of operations that would lose the state of a TPM.

The state is on the host of the server, and not in an image of its disk.
"""

from minova import exception
from minova.extra_specs import parser
from minova.objects.instance import Instance


def require_no_tpm(instance: Instance, operation: str) -> None:
    """Raise OperationNotSupportedForVTPM for a server with a TPM."""
    flavor = instance.flavor
    found = parser.parse(
        flavor.extra_specs, instance.image_meta, flavor.vcpus, flavor.memory_mb
    ).requirements
    if found.tpm_version is not None:
        raise exception.OperationNotSupportedForVTPM(
            operation=operation, instance_id=instance.uuid
        )

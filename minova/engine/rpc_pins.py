# SPDX-License-Identifier: Apache-2.0
"""Pins: operations whose steps the pinned version of computes does not have.

A compute of an older release ignores a step whose method it does not have,
and the operation would wait until its deadline. So an operation with such a
step is refused before it changes anything.
"""

from minova import exception
from minova import flows
from minova import states
from minova.conf import CONF
from minova.flows.base import ComputeStep
from minova.rpc import contract


def require_supported(kind: str, instance_uuid: str) -> None:
    """Raise Conflict when the pin excludes a compute step of ``kind``."""
    pin = CONF.upgrade_levels.compute
    if pin is None:
        return
    for step in flows.FLOWS[kind].steps:
        if issubclass(step, ComputeStep) and (
            contract.parse(step.since) > contract.parse(pin)
        ):
            raise exception.Conflict(
                f"Cannot '{states.TABLE[kind].api_verb}' instance "
                f'{instance_uuid} yet: computes are pinned to version {pin} '
                f'([upgrade_levels] compute), and {step.method} came with '
                f'{step.since}. '
                'Remove the pin once all computes are of this release.'
            )

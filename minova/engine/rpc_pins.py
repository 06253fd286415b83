# SPDX-License-Identifier: Apache-2.0
"""What computes of another release can be asked for.

A step that a compute does not know would be owed to it until the operation's
deadline. So while the cluster is pinned to what an older release understands,
what came later is refused before anything is changed.
"""

from collections.abc import Iterator

from minova import exception
from minova import flows
from minova import states
from minova.conf import CONF
from minova.flows.base import ComputeStep
from minova.rpc import compute
from minova.rpc import contract


def require_supported(kind: str, instance_uuid: str) -> None:
    """Raise Conflict when the pin forbids a step that ``kind`` may owe."""
    pin = CONF.upgrade_levels.compute
    if pin is None:
        return
    for method, since in _steps_with_versions(kind):
        if contract.parse(since) > contract.parse(pin):
            raise exception.Conflict(
                f"Cannot '{states.TABLE[kind].api_verb}' instance "
                f'{instance_uuid} yet: computes are pinned to version {pin} '
                f'([upgrade_levels] compute), and {method} came with {since}. '
                'Remove the pin once all computes are of this release.'
            )


def _steps_with_versions(kind: str) -> Iterator[tuple[str, str]]:
    methods = compute.INTERFACE.methods()
    for step in flows.FLOWS[kind].steps:
        if issubclass(step, ComputeStep):
            yield step.method, methods[step.method].since

# SPDX-License-Identifier: Apache-2.0
"""The RPC interfaces of the services, with the methods of their steps."""

from collections.abc import Iterator
from typing import Final

from minova import flows
from minova.flows.base import AnyComputeStep
from minova.flows.base import AnyConductorStep
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.rpc import bus as buses
from minova.rpc import compute
from minova.rpc import conductor
from minova.rpc import contract
from minova.rpc.proof import Caller
from minova.rpc.proof import Signer
from minova.rpc.step_client import StepClient


def _methods(
    service: type[AnyComputeStep] | type[AnyConductorStep],
    *callers: Caller,
) -> Iterator[contract.Method]:
    for flow in flows.FLOWS.values():
        for step in flow.steps:
            if issubclass(step, service):
                yield contract.step_method(
                    step.method, step.since, step.reply_timeout, callers, step
                )


#: A compute wakes the next host, and calls its nested steps there.
COMPUTE: Final = compute.INTERFACE.with_steps(
    _methods(ComputeStep, Caller.CONTROL_PLANE, Caller.COMPUTE)
)
CONDUCTOR: Final = conductor.INTERFACE.with_steps(
    _methods(ConductorStep, Caller.CONTROL_PLANE)
)


def get_event_name(kind: str, topic: str, method: str) -> str:
    """Return the name of a step as an event of an instance action.

    ``kind`` is the kind of its operation. The name is Nova's where Nova has
    the step, such as ``compute__do_build_and_run_instance``.
    """
    for step in flows.FLOWS[kind].steps:
        if step.method == method and step.event_method is not None:
            method = step.event_method
    return f'{topic}_{method}'


def step_client(bus: buses.Bus, signer: Signer) -> StepClient:
    """Return a client for the steps of all services."""
    return StepClient(bus, (COMPUTE, CONDUCTOR), signer)

# SPDX-License-Identifier: Apache-2.0
"""The client of step methods: casts and calls by the name of the method."""

from collections.abc import Iterable

from minova.conf import CONF
from minova.context import Context
from minova.objects.step_results import StepResult
from minova.rpc import bus as buses
from minova.rpc import contract
from minova.rpc.proof import Signer


class StepClient:
    """Sends the methods of steps to conductors and computes."""

    def __init__(
        self,
        bus: buses.Bus,
        interfaces: Iterable[contract.Interface],
        signer: Signer,
    ) -> None:
        """``interfaces`` are those with steps (``flows.interfaces``)."""
        self._bus = bus
        self._signer = signer
        self._interfaces = {each.topic: each for each in interfaces}
        self._clients: dict[tuple[str, str | None], contract.Client] = {}

    def send(
        self,
        context: Context,
        topic: str,
        host: str | None,
        method: str,
        step: str,
    ) -> StepResult | None:
        """Send ``method`` of a step to a host; None: any host of the topic.

        Returns the result of a step whose method is a call, else None.
        Raises Unavailable, or the error of the step.
        """
        return self._client(topic, host).send_step(context, method, step)

    def _client(self, topic: str, host: str | None) -> contract.Client:
        if (topic, host) not in self._clients:
            self._clients[topic, host] = contract.Client(
                self._interfaces[topic],
                self._bus,
                host,
                pin=CONF.upgrade_levels[topic],
                signer=self._signer,
            )
        return self._clients[topic, host]

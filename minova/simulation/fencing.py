# SPDX-License-Identifier: Apache-2.0
"""The fence agent of the simulated hosts, and its sicknesses.

It powers a host off: its guests stop and its compute is killed. Before, it
may fail, hang until it is killed, or be slow; it never answers that a host is
off that is on.
"""

from typing import Final

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.conf.fencing import Rule
from minova.objects.step_results import HostFenced
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.machines import Machine
from minova.states import POWERED_ON
from minova.states import PowerState

#: The answers of the agent.
FAIL: Final = 'fail'
HANG: Final = 'hang'
SLOW: Final = 'slow'
#: Seconds that it takes.
_SECONDS: Final = 2.0


class SimulatedFenceAgent:
    """Fences the hosts of a simulated cloud."""

    def __init__(
        self, world: SimulatedWorld, machines: dict[str, Machine]
    ) -> None:
        self._world = world
        self._machines = machines
        #: The answers of its next runs; then it powers off.
        self.answers: list[str] = []

    def fence(self, rule: Rule, host: str) -> HostFenced:
        """Power a host off, as ``fence_agent.fence`` does."""
        began = clock.monotonic()
        answer = self.answers.pop(0) if self.answers else ''
        if answer == HANG:
            clock.sleep(CONF.fencing.timeout)
        elif answer == SLOW:
            clock.sleep(CONF.fencing.timeout - _SECONDS)
        clock.sleep(_SECONDS)
        if answer in (FAIL, HANG):
            raise exception.FenceFailed(
                host=host,
                agent=rule.program,
                reason='ended with exit code 1'
                if answer == FAIL
                else f'has not ended within {CONF.fencing.timeout:g} s',
            )
        self._power_off(host)
        return HostFenced(
            host=host,
            agent=rule.program,
            exit_code=0,
            output='off',
            seconds=clock.monotonic() - began,
        )

    def _power_off(self, host: str) -> None:
        self._machines[host].crash()
        for uuid in self._world.store.list_names(f'{host}/guests'):
            record = self._world.guest(host, uuid)
            if record is not None and record['power'] in POWERED_ON:
                self._world.set_power(host, uuid, PowerState.SHUTDOWN)

# SPDX-License-Identifier: Apache-2.0
"""The programs that fence a host: fence agents and commands of operators.

A fence agent reads its options from its standard input, a line NAME=VALUE
each, as the FenceAgentAPI of the fence-agents project documents it. The option
``action`` is ``off``, then ``status``, whose exit code is 0 for a host that is
on and 2 for one that is off. Any other exit code is a failure.
"""

import os
import re
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import subprocesses
from minova.conf import CONF
from minova.conf.fencing import Rule
from minova.objects.step_results import HostFenced

LOG = logging.getLogger(__name__)

#: The exit code of the action ``status`` for a host that is off.
_OFF: Final = 2
_MAX_OUTPUT: Final = 255
_SECRET: Final = re.compile('pass|token|secret|key')


def fence(rule: Rule, host: str) -> HostFenced:
    """Power a host off by the program of its rule.

    Raises FenceFailed with the exit code and the output of the program.
    """
    began = clock.monotonic()
    action = 'off' if rule.is_agent else None
    ended = _run(rule, host, action)
    if ended.exit_code != 0:
        raise _failure(rule, host, action, ended)
    if rule.is_agent:
        status = _run(rule, host, 'status')
        if status.exit_code != _OFF:
            raise _failure(rule, host, 'status', status)
    return HostFenced(
        host=host,
        agent=os.path.basename(rule.program),
        exit_code=0,
        output=ended.output[:_MAX_OUTPUT],
        seconds=clock.monotonic() - began,
    )


def _run(rule: Rule, host: str, action: str | None) -> subprocesses.Ended:
    """Run the program of a rule, an agent with its action."""
    LOG.info(
        'Host %s: running %s%s',
        host,
        rule.program,
        f' with action={action}' if action else '',
    )
    arguments = rule.arguments_for(host)
    stdin = ''
    if action is not None:
        stdin = ''.join(
            f'{line}\n' for line in (*arguments, f'action={action}')
        )
        arguments = []
    try:
        ended = subprocesses.run_to_exit(
            rule.program,
            *arguments,
            stdin=stdin,
            timeout=CONF.fencing.timeout,
        )
    except OSError as error:
        raise exception.FenceFailed(
            host=host,
            agent=os.path.basename(rule.program),
            reason=f'cannot be run ({error})',
        ) from error
    return subprocesses.Ended(
        ended.exit_code, _hide_secrets(rule, ended.output)
    )


def _hide_secrets(rule: Rule, output: str) -> str:
    """Replace the passwords among the options of an agent."""
    if rule.is_agent:
        for option in rule.arguments:
            name, _, value = option.partition('=')
            if value and _SECRET.search(name):
                output = output.replace(value, '***')
    return output


def _failure(
    rule: Rule, host: str, action: str | None, ended: subprocesses.Ended
) -> exception.FenceFailed:
    if ended.exit_code is None:
        reason = f'has not ended within {CONF.fencing.timeout:g} s'
    elif action == 'status' and ended.exit_code == 0:
        reason = 'says that the host is still on (exit code 0 of status)'
    else:
        reason = f'ended with exit code {ended.exit_code}'
    if action is not None:
        reason = f'action={action} {reason}'
    if ended.output:
        reason += f': {ended.output[:_MAX_OUTPUT].rstrip(".")}'
    return exception.FenceFailed(
        host=host, agent=os.path.basename(rule.program), reason=reason
    )

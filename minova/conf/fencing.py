# SPDX-License-Identifier: Apache-2.0
"""[fencing]: how a host that is down is proven not to run its guests."""

from collections.abc import Mapping
import dataclasses
import fnmatch
import shlex

from oslo_config import cfg
from oslo_config import types

GROUP = 'fencing'


@dataclasses.dataclass(frozen=True)
class Rule:
    """The program that fences the hosts whose name matches a pattern."""

    pattern: str
    program: str
    arguments: tuple[str, ...]
    #: The program speaks the interface of fence agents.
    is_agent: bool

    def matches(self, host: str) -> bool:
        """Tell whether the rule is for a host."""
        return fnmatch.fnmatchcase(host, self.pattern)

    def arguments_for(self, host: str) -> list[str]:
        """Return the arguments with the name of the host in them."""
        return [one.replace('{host}', host) for one in self.arguments]


class _RuleType(types.ConfigType):
    """``HOST: PROGRAM ARGUMENT ...``, quoted as in a shell."""

    def __init__(self, is_agent: bool) -> None:
        super().__init__(type_name='fencing rule')
        self.is_agent = is_agent

    def __call__(self, value: object) -> Rule:
        if isinstance(value, Rule):
            return value
        pattern, colon, command = str(value).partition(':')
        words = shlex.split(command)
        if not colon or not pattern.strip() or not words:
            raise ValueError('the form is HOST: PROGRAM ARGUMENT ...')
        if self.is_agent:
            for word in words[1:]:
                self._check_option(word)
        return Rule(pattern.strip(), words[0], tuple(words[1:]), self.is_agent)

    @staticmethod
    def _check_option(word: str) -> None:
        name, equals, _ = word.partition('=')
        if not equals or not name:
            raise ValueError(
                f'{word} is no option of a fence agent: write NAME=VALUE'
            )
        if name == 'action':
            raise ValueError('the option action is set by Minova: remove it')

    def _formatter(self, value: object) -> str:
        return str(value)

    def __repr__(self) -> str:
        return f'_RuleType({self.is_agent})'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _RuleType) and other.is_agent == self.is_agent

    def __hash__(self) -> int:
        return hash(self.is_agent)


def find_rule(
    options: Mapping[str, list[Rule] | None], host: str
) -> Rule | None:
    """Return the first rule of this group for a host, agents first."""
    rules = [*(options['agents'] or ()), *(options['commands'] or ())]
    return next((rule for rule in rules if rule.matches(host)), None)


OPTIONS = [
    cfg.MultiOpt(
        'agents',
        item_type=_RuleType(is_agent=True),
        secret=True,
        help="""
Fence agents, one for each line: the name of a host or a pattern (``*``,
``?``), a colon, the agent and its options as NAME=VALUE; ``{host}`` is
replaced by the name of the host. For example ``node7: fence_ipmilan
ip=10.0.9.7 username=admin password_script=/etc/minova/bmc-password
lanplus=1``. A conductor passes the options and ``action=off`` on the agent's
standard input, then ``action=status``: the host is fenced when the first ends
with exit code 0 and the second with 2. The first matching line counts.
Without one, and without one in commands, an operator must force a host down
before its servers are evacuated. Set the same value for all conductors and
minova-api.
""",
    ),
    cfg.MultiOpt(
        'commands',
        item_type=_RuleType(is_agent=False),
        secret=True,
        help="""
Commands that fence hosts, one for each line as in agents: the name of a host
or a pattern, a colon, the program and its arguments, without a shell;
``{host}`` is replaced by the name of the host. Exit code 0 must mean that the
host runs no guest any more and starts none by itself. Used for hosts that no
line in agents matches. Set the same value for all conductors and minova-api.
""",
    ),
    cfg.StrOpt(
        'early_evacuation',
        default='refuse',
        choices=[
            ('refuse', 'the request gets 400 with the seconds that are left'),
            ('wait', 'the operation begins, and waits until the host is down'),
        ],
        help="""
What an evacuation does whose host has sent a heartbeat within [conductor]
service_down_time and is not forced down. With ``wait`` the operation owns the
server meanwhile and shows until when it waits; it is rolled back when the host
sends another heartbeat. Waiting needs a line in agents or commands for the
host. Set the same value for all workers of minova-api.
""",
    ),
    cfg.BoolOpt(
        'trust_disk_locks',
        default=False,
        help="""
Whether the lock of a shared disk proves that a host runs a guest no more. A
silent host without a line in agents or commands is then evacuated without an
operator, but only servers whose disks the new host shares, and only while no
QEMU has the disk open. The storage must keep the locks between hosts (NFS 4
does, NFS 3 only without ``nolock``), and drop those of a host that is gone.
Set the same value for all workers of minova-api.
""",
    ),
    cfg.FloatOpt(
        'timeout',
        default=60,
        min=0.1,
        help="""
Seconds that a program in agents or commands may take; at least 0.1. Then it
is killed, the host is not fenced, and the evacuation is rolled back. Agents
run twice, so that they can take twice as long.
""",
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""A cloud of real processes, its users, and somebody who breaks everything.

``python -m tests.integration.nemesis --minutes 60 --seed 1`` from the top of
the source tree. The run goes in rounds: things are broken for a while, then
all is mended, and once nothing goes on any more the laws must hold. Ends with
0 when they did each time; else with 1 and the story of each server concerned,
and what the processes logged is kept.
"""

import minova  # noqa: F401, I001  keeps eventlet out, so before all others

import argparse
import datetime
import re
import shutil
import sys
import tempfile
import time

import fixtures
import sqlalchemy as sa

from minova.conf import CONF
from minova.db import engine
from minova.db import networks
from minova.db import tables
from minova.operations import timeline
from tests.fixtures import servers
from tests.fixtures.clients import Client
from tests.fixtures.clients import Club
from tests.fixtures.laws import Breach
from tests.fixtures.laws import Laws
from tests.fixtures.listener import Ledger
from tests.fixtures.mischief import Nemesis
from tests.fixtures import processes
from tests.fixtures.processes import Cluster
from tests.fixtures.proxy import Network
from tests.fixtures.servers import ports
from tests.fixtures.user import User

DATABASES = {'mariadb': servers.MariaDB, 'postgresql': servers.PostgreSQL}
DOWN_TIME = 5
#: Seconds in which everything must have ended once all is mended.
SETTLING = 120
#: Of how many servers the story is told when laws are broken.
_STORIES = 3

OPTIONS = {
    'compute': {
        'heartbeat_interval': 1,
        'sync_power_state_interval': 5,
        'event_delay': 0.5,
        'shutdown_timeout': 5,
        'wait_soft_reboot_seconds': 5,
    },
    'conductor': {
        'sweep_interval': 1,
        'service_down_time': DOWN_TIME,
        'lease_time': 3,
    },
    'database': {'max_retries': 1},
    'network': {'network': 'name=private, cidr=10.0.0.0/16, bridge=br0'},
    'oslo_messaging_rabbit': {'amqp_durable_queues': 'true'},
}


class Trial(fixtures.Fixture):
    """The cloud, the users and the nemesis."""

    def __init__(self, seed, database='mariadb', clients=4, directory=None):
        self.seed = seed
        self._kind = DATABASES[database]
        self._clients = clients
        self._directory = directory

    def _setUp(self):
        self.directory = (
            self._directory or self.useFixture(fixtures.TempDir()).path
        )
        self.broker = self.useFixture(servers.RabbitMQ())
        self.server = self.useFixture(self._kind())
        self._url = self.server.url('nemesis')
        processes.sync(self.directory, self._url)
        self._network = self.useFixture(Network())
        self._links = {}
        self.cluster = self.useFixture(
            Cluster(
                self.broker.url,
                self._url,
                self.directory,
                hypervisor=True,
                route=self._route,
                **OPTIONS,
            )
        )
        self.ledger = self.useFixture(Ledger(self.broker.url, durable=True))
        self.database = engine.connect(CONF, self._url)
        self.addCleanup(self.database.dispose)
        self.laws = Laws(self.database, self.cluster.world, self.ledger)
        self.nemesis = Nemesis(
            self.seed,
            self.cluster,
            self.broker,
            self.server,
            self._links,
            DOWN_TIME,
        )
        self.club = Club(most=4 * self._clients)
        self._start()

    def _route(self, name):
        """Give a service links of its own to broker and database."""
        found = []
        for url, place in ((self.broker.url, 'broker'),
                           (self._url, 'database')):  # fmt: skip
            port = int(re.search(r'127\.0\.0\.1:(\d+)', url)[1])
            link = self._network.link(port)
            if place == 'broker' or not name.startswith('compute'):
                self._links[f'{name} to the {place}'] = link
            found.append(url.replace(f':{port}', f':{link.port}'))
        return tuple(found)

    def _start(self):
        start = self.cluster.start
        for number in range(2):
            start('conductor', f'c{number}', wait=False)
        for number in range(3):
            start('compute', f'n{number}', wait=False)
        self.urls = []
        for number in range(2):
            port = ports.Port()
            self.addCleanup(port.release)
            # So that it is found again when it is started again.
            start('api', f'api{number}', wait=False, api={'port': port.number})
            self.urls.append(f'http://127.0.0.1:{port.number}/v2.1')
        for service in self.cluster.services.values():
            service.wait_for('is ready')
        # Every server is on it.
        assert self.database.read(networks.all_of)
        self.user = User(self.urls[0], 'admin:admin')
        self._image = self.user.image()
        self.user.flavor('small', 512)
        self.user.flavor('big', 1024)

    # -- a round -------------------------------------------------------------

    def round(self, seconds):
        """Break things for so long, mend, wait; return what is wrong."""
        users = [
            Client(number, self.seed, self.urls, self._image, self.club)
            for number in range(self._clients)
        ]
        for user in users:
            user.start()
        try:
            self.nemesis.rage(seconds)
        finally:
            for user in users:
                user.ask_to_stop()
            self.nemesis.stop()
            for user in users:
                user.join()
        return [*self._settle(), *self._lost(), *self.laws.broken()]

    def _settle(self):
        """Wait until nothing goes on; yield what still does too late."""
        until = time.monotonic() + SETTLING
        while time.monotonic() < until:
            if not self.laws.unsettled() and not self.laws.unheard():
                self.nemesis.diary.note('all has settled')
                return
            time.sleep(0.5)
        for line in self.laws.unsettled():
            yield Breach(3, None, line)
        for line in self.laws.unheard():
            yield Breach(6, None, line)

    def _lost(self):
        """Yield the requests that were accepted and then never heard of."""
        t = tables.operations
        query = sa.select(t.c.request_id, t.c.instance_uuid, t.c.kind)
        known, going = set(), set()
        for number, uuid, kind in self.database.read(
            lambda connection: connection.execute(query).all()
        ):
            known.add(number)
            if kind == 'delete':
                going.add(uuid)
        for one in self.club.accepted:
            # Who asks again for what is going on begins nothing new.
            again = one.what == 'delete' and one.uuid in going
            if one.request_id not in known and not again:
                yield Breach(3, one.uuid, f'{one.what} of {one.at} is lost')
        for trouble in self.club.troubles:
            yield Breach(3, None, f'an answer that nobody may get: {trouble}')

    # -- the story -----------------------------------------------------------

    def report(self, breaches):
        """Return what is wrong, and the story of the servers concerned."""
        lines = [f'The seed is {self.seed!r}.']
        lines += [str(breach) for breach in breaches]
        uuids = dict.fromkeys(b.uuid for b in breaches if b.uuid)
        for uuid in list(uuids)[:_STORIES]:
            lines += ['', f'The story of {uuid}:', *self._story(uuid)]
        if not uuids:
            lines += [f'{at:%H:%M:%S.%f} {text}' for at, text in self._diary()]
        return '\n'.join(lines)

    def _diary(self):
        for at, text in self.nemesis.diary.entries:
            yield at, f'* {text}'

    def _story(self, uuid):
        """Merge the diary, the operations and the hypervisor's calls."""
        told = [*self._calls(uuid), *self._asked(uuid)]
        story = self.database.read(
            lambda connection: list(timeline.of_instance(connection, uuid))
        )
        for operation, entries in story:
            told.append((operation.started_at, f'{operation.kind} begins'))
            told += [
                (e.at, f'  {e.service} {e.host} {e.what} {e.detail}')
                for e in entries
            ]
            end = f'{operation.kind} {operation.state} {operation.error or ""}'
            if operation.finished_at is None:
                end += f'; waits for {operation.waits_for}'
            told.append((operation.finished_at or operation.updated_at, end))
        began = min((at for at, _ in told), default=None)
        if began is not None:
            margin = datetime.timedelta(seconds=15)
            end = max(at for at, _ in told) + margin
            told += [
                one for one in self._diary() if began - margin < one[0] < end
            ]
        told.sort(key=lambda one: one[0])
        return [f'{at:%H:%M:%S.%f} {text}' for at, text in told]

    def _asked(self, uuid):
        for one in self.club.accepted:
            if one.uuid == uuid:
                yield one.at, f'# {one.what} was accepted'

    def _calls(self, uuid):
        for line in self.cluster.hypervisor.said().splitlines():
            if uuid in line:
                at = datetime.datetime.fromisoformat(line[:23]).astimezone()
                yield at, f'    {line.partition("[-] ")[2]}'


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--round', type=float, default=3, metavar='MINUTES')
    parser.add_argument('--seed', default=None)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument(
        '--database', choices=sorted(DATABASES), default='mariadb'
    )
    return parser.parse_args()


def _say(text):
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()


def main():
    """Run rounds until the time is up or a law is broken."""
    arguments = _arguments()
    seed = arguments.seed or str(time.time_ns())
    CONF([], project='minova', default_config_files=[])
    directory = tempfile.mkdtemp(prefix='minova-nemesis-')
    _say(f'The seed is {seed}; logs are in {directory}.')
    with Trial(
        seed, arguments.database, arguments.clients, directory
    ) as trial:
        until = time.monotonic() + arguments.minutes * 60
        while (left := until - time.monotonic()) > 0:
            breaches = trial.round(min(left, arguments.round * 60))
            if breaches:
                _say(trial.report(breaches))
                return 1
            _say(
                f'{len(trial.nemesis.diary.entries)} entries in the diary, '
                f'answers {trial.club.answers}: no law is broken.'
            )
    shutil.rmtree(directory)
    return 0


if __name__ == '__main__':
    sys.exit(main())

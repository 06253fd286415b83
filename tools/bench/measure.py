#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure any Compute API v2.1: the duration and the cost of actions.

    tools/bench/measure.py --url http://HOST:8774/v2.1 --token TOKEN \
        --flavor 1 --bigger 2 [--image ID]

The quota of the project must allow 4 * ``--count`` servers, and ``--many``::

    openstack quota set --instances -1 --cores -1 --ram -1 PROJECT

A time is the time of a client: from the request until a poll shows the end.
With access to counters (``--rabbitmq`` the URL of RabbitMQ's Prometheus
metrics, ``--mariadb`` a database URL) the script also counts the messages and
SQL statements of an action: those of many actions, minus those of an idle
period of the same length, divided by the number of actions.
"""

import argparse
import concurrent.futures
import http.client
import json
import re
import statistics
import sys
import threading
import time
import urllib.parse
import urllib.request

_STATEMENTS = ('Com_select', 'Com_insert', 'Com_update', 'Com_delete')


class Client:
    """A client of a Compute API; one connection per thread."""

    def __init__(self, url, token, version):
        self._parts = urllib.parse.urlsplit(url)
        self._headers = {
            'X-Auth-Token': token,
            'Content-Type': 'application/json',
            'Accept': 'application/json',
            'OpenStack-API-Version': f'compute {version}',
            'X-OpenStack-Nova-API-Version': version,
        }
        self._local = threading.local()

    def request(self, method, path, body=None, good=(200, 201, 202, 204)):
        """Send a request; return status and decoded body."""
        data = None if body is None else json.dumps(body)
        for attempt in (1, 2):
            connection = getattr(self._local, 'connection', None)
            if connection is None:
                connection = self._local.connection = (
                    http.client.HTTPConnection(self._parts.netloc, timeout=60)
                )
            try:
                connection.request(
                    method, self._parts.path + path, data, self._headers
                )
                answer = connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError):
                # A kept connection may have been closed meanwhile.
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise
        if answer.status not in good:
            raise SystemExit(
                f'{method} {path}: {answer.status} {text[:500]!r}'
            )
        decoded = json.loads(text) if text else None
        return answer.status, decoded


class Servers:
    """The measured actions."""

    def __init__(self, client, arguments):
        self._client = client
        self._options = arguments
        self._made = 0

    def create(self):
        """Create a server; return its id."""
        self._made += 1
        server = {
            'name': f'bench-{self._made}',
            'flavorRef': self._options.flavor,
            'imageRef': self._options.image,
            'networks': 'none',
        }
        _, body = self._client.request('POST', '/servers', {'server': server})
        return body['server']['id']

    def wait(self, uuid, *statuses):
        """Poll until a server has one of these statuses."""
        until = time.monotonic() + 300
        while True:
            _, body = self._client.request('GET', f'/servers/{uuid}')
            status = body['server']['status']
            task = body['server'].get('OS-EXT-STS:task_state')
            if status in statuses and task is None:
                return body['server']
            if status == 'ERROR':
                raise SystemExit(f'{uuid}: {body["server"].get("fault")}')
            if time.monotonic() > until:
                raise SystemExit(f'{uuid} is {status} {task} for 300 s')
            time.sleep(self._options.poll)

    def boot(self):
        """Create a server and wait until it is active."""
        uuid = self.create()
        self.wait(uuid, 'ACTIVE')
        return uuid

    def act(self, uuid, action, good=(202, 204)):
        """Request an action."""
        self._client.request('POST', f'/servers/{uuid}/action', action, good)

    def delete(self, uuid):
        """Delete a server and wait until it is gone."""
        self._client.request('DELETE', f'/servers/{uuid}')
        until = time.monotonic() + 300
        while (
            self._client.request('GET', f'/servers/{uuid}', good=(200, 404))[0]
            == 200
        ):
            if time.monotonic() > until:
                raise SystemExit(f'{uuid} is not deleted after 300 s')
            time.sleep(self._options.poll)

    def live_migrate(self, uuid):
        """Live-migrate a server."""
        self.act(
            uuid, {'os-migrateLive': {'host': None, 'block_migration': 'auto'}}
        )
        self.wait(uuid, 'ACTIVE')

    def resize(self, uuid, flavor):
        """Resize a server and confirm."""
        self.act(uuid, {'resize': {'flavorRef': flavor}})
        self.wait(uuid, 'VERIFY_RESIZE')
        self.act(uuid, {'confirmResize': None})
        self.wait(uuid, 'ACTIVE')

    def list_all(self, limit):
        """List servers with all details."""
        _, body = self._client.request('GET', f'/servers/detail?limit={limit}')
        return len(body['servers'])


class Counters:
    """The counters of messages and statements, where available."""

    def __init__(self, arguments):
        self._rabbitmq = arguments.rabbitmq
        self._mariadb = arguments.mariadb

    def read(self):
        """Return the available counters by name."""
        found = {}
        if self._rabbitmq:
            with urllib.request.urlopen(self._rabbitmq) as answer:
                text = answer.read().decode()
            found['messages'] = sum(
                float(number)
                for number in re.findall(
                    r'^rabbitmq_global_messages_received_total\{[^}]*\} (\S+)',
                    text,
                    re.MULTILINE,
                )
            )
        if self._mariadb:
            found['statements'] = self._statements()
        return found

    def _statements(self):
        import pymysql

        parts = urllib.parse.urlsplit(self._mariadb)
        connection = pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or '',
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
            status = dict(cursor.fetchall())
        return sum(int(status[name]) for name in _STATEMENTS)


def timed(work, times):
    """Return the durations of ``count`` calls in milliseconds."""
    spans = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        spans.append((time.perf_counter() - began) * 1000)
    return spans


def cost(counters, work, times):
    """Return the messages and statements of one call.

    ``work`` must not poll: polls would count as well.
    """
    idle = 2.0
    if not counters.read():
        return {}
    time.sleep(3.0)  # what was done before has its after-effects
    before = counters.read()
    time.sleep(idle)
    between = counters.read()
    began = time.monotonic()
    work(times)
    span = time.monotonic() - began
    after = counters.read()
    return {
        name: (
            after[name]
            - between[name]
            - (between[name] - before[name]) / idle * span
        )
        / times
        for name in after
    }


class Bench:
    """The measurements."""

    def __init__(self, client, arguments):
        self.servers = Servers(client, arguments)
        self.options = arguments
        self.counters = Counters(arguments)
        self.rows = []

    def add_row(self, what, spans):
        """Store and print median and 95th percentile of durations."""
        spans = sorted(spans)
        worst = spans[min(len(spans) - 1, int(len(spans) * 0.95))]
        row = (what, statistics.median(spans), worst, len(spans))
        self.rows.append(row)
        print(f'{what:<34} p50 {row[1]:8.1f} ms  p95 {worst:8.1f} ms', end='')
        print(f'  ({len(spans)})', flush=True)

    def run(self):
        """Measure everything."""
        count = self.options.count
        self.servers.delete(self.servers.boot())
        made = []
        self.add_row(
            'create to ACTIVE, one at a time',
            timed(lambda n: made.append(self.servers.boot()), count),
        )
        self.add_row(
            'live migration',
            timed(lambda n: self.servers.live_migrate(made[n]), count),
        )
        self.add_row(
            'resize + confirm',
            timed(
                lambda n: self.servers.resize(made[n], self.options.bigger),
                count,
            ),
        )
        self.add_row(
            'delete', timed(lambda n: self.servers.delete(made[n]), count)
        )
        self.at_once(8, count * 4)
        self.costs(count)
        self.list_many(self.options.many)

    def at_once(self, threads, times):
        """Create with several clients at once."""
        spans = []

        def one(_):
            began = time.perf_counter()
            made = self.servers.boot()
            spans.append((time.perf_counter() - began) * 1000)
            return made

        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            made = list(pool.map(one, range(times)))
        span = time.perf_counter() - began
        self.add_row(f'create to ACTIVE, {threads} at once', spans)
        print(f'{"":<34} {times / span:8.2f} creates/s', flush=True)
        self.rows.append((f'creates/s, {threads} at once', times / span))
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(self.servers.delete, made))

    def costs(self, count):
        """Count messages and statements of actions, without polls."""
        made = []

        def create(times):
            for _ in range(times):
                made.append(self.servers.create())
                time.sleep(0.2)
            time.sleep(1.0)

        def migrate(times):
            for uuid in made[:times]:
                self.servers.act(
                    uuid,
                    {
                        'os-migrateLive': {
                            'host': None,
                            'block_migration': 'auto',
                        }
                    },
                )
                time.sleep(0.4)
            time.sleep(1.0)

        for what, work in (('create', create), ('live migration', migrate)):
            for name, number in cost(self.counters, work, count).items():
                print(f'{name} of a {what:<20} {number:8.1f}', flush=True)
                self.rows.append((f'{name} of a {what}', number))
        for uuid in made:
            self.servers.delete(uuid)

    def list_many(self, many):
        """List many servers; time a create among them too."""
        made = []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made += pool.map(lambda _: self.servers.create(), range(many))
        for uuid in made:
            self.servers.wait(uuid, 'ACTIVE')
        assert self.servers.list_all(many) == many
        self.add_row(
            f'list of {many}, all details',
            timed(lambda n: self.servers.list_all(many), 20),
        )
        extra = []
        self.add_row(
            f'create to ACTIVE beside {many}',
            timed(lambda n: extra.append(self.servers.boot()), 20),
        )
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.servers.delete, made + extra))


def parser():
    """Return the command line."""
    made = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument('--url', required=True, help='the Compute endpoint')
    made.add_argument('--token', required=True, help='for X-Auth-Token')
    made.add_argument('--flavor', required=True, help='id of a flavor')
    made.add_argument('--bigger', required=True, help='id of a larger one')
    made.add_argument('--image', default='', help='id of an image')
    made.add_argument('--count', type=int, default=25, help='(%(default)s)')
    made.add_argument(
        '--many', type=int, default=1000, help='servers to list (%(default)s)'
    )
    made.add_argument(
        '--poll', type=float, default=0.01, help='seconds (%(default)s)'
    )
    made.add_argument('--version', default='2.37', help='(%(default)s)')
    made.add_argument('--rabbitmq', help='URL of the Prometheus metrics')
    made.add_argument('--mariadb', help='mysql://USER:PASSWORD@HOST:PORT/')
    made.add_argument('--json', help='write the figures to this file')
    return made


def main():
    """Measure and print."""
    arguments = parser().parse_args()
    client = Client(arguments.url, arguments.token, arguments.version)
    bench = Bench(client, arguments)
    bench.run()
    if arguments.json:
        with open(arguments.json, 'w', encoding='utf-8') as file:
            json.dump(bench.rows, file)
    return 0


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Sends the requests of a range of numbers and judges every reply."""

import concurrent.futures
import math
import statistics
import threading
import time
import traceback
import urllib.parse

from minova.conf import CONF
from minova.policy import Policy
from tests.fuzz import endpoints
from tests.fuzz.checks import Checks
from tests.fuzz.cloud import Pools
from tests.fuzz.generator import Generator
from tests.fuzz.raw_http import Connection
from tests.fuzz.report import Report

#: Requests between two repairs of the cloud.
_REFRESH = 250
_MAX_FAILURES = 200
#: Logins at the same time, at least as many as the service has threads.
_LOGINS = 20
#: Seconds after which a server counts as stuck.
_STUCK = 60
#: Seconds in which everything must be deleted at the end.
_END = 180
#: The memory may grow by this part and these MiB from the second to the last
#: quarter of a run: caches fill and fragments stay. A leak of 1 KiB a request
#: is more in a run of 100,000.
_GROWTH = 1.05
_GROWTH_MIB = 16


class Campaign:
    """A fuzz of one cloud."""

    def __init__(self, url, password, seed, patience, memory=None):
        """Take ``memory()``, which returns the MiB of the service."""
        self._seed = seed
        self._memory = memory
        self.report = Report()
        self._pools = Pools(url, password)
        self._checks = Checks(Policy(CONF), self._pools, patience)
        self._generator = Generator(
            seed, endpoints.find_endpoints(), self._pools
        )
        parts = urllib.parse.urlsplit(url)
        self._host = parts.netloc
        self._address = (parts.hostname, parts.port or 80)
        self._lock = threading.Lock()

    def run(self, first, count, threads, seconds=math.inf):
        """Send requests in several threads, for at most some seconds."""
        self._until = time.monotonic() + seconds
        self._warm_up()
        self._numbers = iter(range(first, first + count))
        self._every = max(count // 20, 50)
        workers = [threading.Thread(target=self._work) for _ in range(threads)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        self._check_memory()

    def _warm_up(self):
        """Let each thread of the service compute the hash of a password.

        Each keeps the memory for it, which is no growth.
        """
        with concurrent.futures.ThreadPoolExecutor(_LOGINS) as pool:
            for one in [
                pool.submit(self._pools.fail_to_log_in)
                for _ in range(2 * _LOGINS)
            ]:
                one.result()

    def finish(self):
        """Delete everything; record what cannot be deleted."""
        self.report.failures += self._pools.clear(_END)

    def _work(self):
        connection = Connection(self._address, _STUCK)
        try:
            for index in self._next():
                self._one(connection, index)
        except Exception:
            self._fail(f'the fuzz itself failed: {traceback.format_exc()}')
            raise
        finally:
            connection.close()

    def _next(self):
        while len(self.report.failures) < _MAX_FAILURES:
            with self._lock:
                index = next(self._numbers, None)
            if index is None or time.monotonic() > self._until:
                return
            if index % _REFRESH == 0:
                self._pools.refresh()
            if self._memory and index % self._every == 0:
                self.report.memory.append((index, self._memory()))
            yield index

    def _one(self, connection, index):
        request = self._generator.make(index)
        token = self._pools.token(request.actor)
        data = request.to_bytes(self._host, token)
        try:
            reply = connection.send(request.method, data, request.may_close)
        except TimeoutError:
            self._fail(self._text(request, f'no reply within {_STUCK} s'))
            return
        with self._lock:
            self.report.add(request, reply)
        for wrong in self._checks.find(request, reply, token):
            text = f'{wrong}; {reply.status} {reply.body[:300]!r}'
            self._fail(self._text(request, text))
        if (
            reply.status == 401
            and token
            and b'\r\nX-Auth-Token: \r' not in (data)
        ):
            self._renew(request, token)

    def _renew(self, request, token):
        """Replace a token that a request has revoked."""
        try:
            self._pools.callers[request.actor].log_in(token)
        except AssertionError as error:
            self._fail(self._text(request, f'the account is lost: {error}'))

    def _text(self, request, wrong):
        shown = request.to_bytes(self._host, f'TOKEN-{request.actor}')
        return (
            f'{request.label} as {request.actor}: {wrong}\n'
            f'    {shown[:1500]!r}\n'
            f'    repeat: --seed {self._seed} --first {request.index} '
            '--requests 1'
        )

    def _fail(self, text):
        with self._lock:
            self.report.failures.append(text)

    def _check_memory(self):
        sizes = [size for _, size in self.report.memory]
        if len(sizes) < 8:
            return
        quarter = len(sizes) // 4
        before = statistics.median(sizes[quarter : 2 * quarter])
        after = statistics.median(sizes[-quarter:])
        if after > before * _GROWTH + _GROWTH_MIB:
            self._fail(f'memory grew from {before:.0f} to {after:.0f} MiB')

# SPDX-License-Identifier: Apache-2.0
"""Run RabbitMQ and PostgreSQL for a demo until SIGTERM.

The servers are the fixtures of the tests, on free ports of 127.0.0.1 with
temporary directories. The script prints their addresses as two options of
minova.conf, and ends with SIGTERM or with its parent process::

    transport_url = rabbit://...
    connection = postgresql+psycopg://...

If it is killed the servers end too.
"""

import os
import signal
import sys
import time
import types

# From a checkout: the tests are not installed.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.fixtures import servers


def _end(number: int, frame: types.FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    """Run the servers."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, _end)
    try:
        with servers.RabbitMQ() as broker, servers.PostgreSQL() as database:
            sys.stdout.write(
                f'transport_url = {broker.url}\n'
                f'connection = {database.url("minova")}\n'
            )
            sys.stdout.flush()
            while os.getppid() == parent:
                time.sleep(0.2)
    except servers.ServerError as error:
        sys.stderr.write(f'{error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

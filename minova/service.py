# SPDX-License-Identifier: Apache-2.0
"""How a process lives: it reads its configuration, starts, runs and stops.

Every process of ours is a master with one or more workers (oslo.service's
threading backend). The master has no connections: it checks what can be
checked without any, and starts a worker again when it dies. A worker makes
everything it needs in ``start``, waits there for a broker or a database that
is away, and ends on SIGTERM when what it has in hand is done or left owed.

Exit codes: 0 after SIGTERM, 1 after SIGINT or when a worker did not stop in
``graceful_shutdown_timeout``, 2 for a configuration that cannot work.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import gc
import sys
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service as oslo_service

from minova import clock
from minova import conf
from minova import exception
from minova import version
from minova.conf import CONF

LOG = logging.getLogger(__name__)

#: Seconds between two tries to start.
_AGAIN = 2.0


class Runnable(Protocol):
    """What a worker runs."""

    def start(self) -> None:
        """Make connections and begin; Unavailable when that must wait."""

    def stop(self) -> None:
        """End, with nothing half done silently."""


class Worker(oslo_service.Service):
    """A worker process around what it runs.

    Holds nothing live until ``start``: it is made in the master.
    """

    def __init__(
        self, name: str, build: Callable[[], Runnable], ready: str
    ) -> None:
        super().__init__()
        self._name = name
        self._build = build
        self._ready = ready
        self._made: Runnable | None = None
        self._stopping = False

    def start(self) -> None:
        """Build and start; again and again while something is away."""
        LOG.info('%s %s starts.', self._name, version.release())
        while not self._stopping:
            away = self._try()
            if away is None:
                if self._ready:
                    sys.stdout.write(f'{self._ready}\n')
                    sys.stdout.flush()  # whoever waits may read a pipe
                return
            LOG.warning('%s waits: %s', self._name, away)
            clock.sleep(_AGAIN)

    def _try(self) -> exception.Unavailable | None:
        """Build and start; return what is away, if something is."""
        try:
            made = self._build()
            made.start()
        except exception.Unavailable as error:
            return error
        self._made = made
        # What is there now stays: it need not be looked through for garbage.
        gc.collect()
        gc.freeze()
        return None

    def stop(self, graceful: bool = False) -> None:
        """Stop what runs."""
        self._stopping = True
        if self._made is not None:
            self._made.stop()
        LOG.info('%s has stopped.', self._name)
        super().stop(graceful)


def configure(argv: list[str], prog: str) -> None:
    """Read options from the command line and configuration files.

    By default /etc/minova/minova.conf; ``--config-file`` names others. Ends
    the process with 2 and one line on stderr when they cannot be read.
    """
    logging.register_options(CONF)
    logging.set_defaults(
        default_log_levels=[
            *logging.get_default_log_levels(),
            'oslo.messaging=WARNING',
            'oslo_messaging=WARNING',
            'oslo_service=WARNING',
            'oslo_db.sqlalchemy.engines=ERROR',
            'amqp=ERROR',
            'kombu=WARNING',
            'alembic=WARNING',
        ]
    )
    with fatal(prog):
        CONF(argv, project='minova', prog=prog, version=version.release())
        _read_all()
    logging.setup(CONF, 'minova', version.release())


def _read_all() -> None:
    """Read every option once, so that a wrong value is found at the start."""
    for module in conf.GROUPS:
        group = CONF[module.GROUP] if module.GROUP else CONF
        for option in module.OPTIONS:
            getattr(group, option.dest)


@contextlib.contextmanager
def fatal(prog: str) -> Iterator[None]:
    """End the process with 2 and one line for an error of configuration."""
    try:
        yield
    except (exception.ConfigInvalid, cfg.Error) as error:
        sys.stderr.write(f'{prog}: {error}\n')
        sys.exit(2)


def run(
    name: str,
    build: Callable[[], Runnable],
    workers: int = 1,
    ready: str = '',
) -> int:
    """Run workers until told to stop; return the exit code.

    ``ready`` is what a worker says on stdout when it has started.
    """
    launcher = oslo_service.launch(
        CONF,
        Worker(name, build, ready),
        workers=workers,
        restart_method='mutate',
    )
    return int(launcher.wait() or 0)

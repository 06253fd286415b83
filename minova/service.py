# SPDX-License-Identifier: Apache-2.0
"""How a process lives: it reads its configuration, starts, runs and stops.

Every process of ours is a master with one or more workers (oslo.service's
threading backend). The master has no connections: it checks what can be
checked without any, and starts a worker again when it dies. A worker makes
everything it needs in ``start``, waits there for a broker or a database that
is away, and ends on SIGTERM when what it has in hand is done or left owed.

A worker that cannot go on ends with 1 by itself (``give_up``).

Exit codes: 0 after SIGTERM, 1 after SIGINT or when a worker did not stop in
``graceful_shutdown_timeout``, 2 for a configuration that cannot work.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import gc
import logging as std_logging
import multiprocessing
import os
import signal
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
from minova.conf import libraries

LOG = logging.getLogger(__name__)

#: What is raised for a configuration that cannot work.
WRONG = (exception.ConfigInvalid, cfg.Error)
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
        self._master = os.getpid()
        self._wrong = multiprocessing.Value('b', False)
        self._made: Runnable | None = None
        self._stopping = False

    @property
    def is_wrong(self) -> bool:
        """Whether the configuration turned out not to work; for the master."""
        return bool(self._wrong.value)

    def start(self) -> None:
        """Build and start; again and again while something is away."""
        LOG.info('%s %s starts.', self._name, version.release())
        while not self._stopping:
            try:
                away = self._try()
            except WRONG as error:
                self._give_up(error)
                return
            except OSError as error:
                # The master starts another worker, which may have more luck.
                LOG.warning('%s cannot start: %s', self._name, error)
                sys.exit(1)
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

    def _give_up(self, error: Exception) -> None:
        """End the master, too: another worker would fare no better."""
        with self._wrong.get_lock():
            if not self._wrong.value:
                sys.stderr.write(f'{self._name}: {error}\n')
            self._wrong.value = True
        if os.getppid() == self._master:
            os.kill(self._master, signal.SIGTERM)

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
    libraries.set_log_levels()
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
    except WRONG as error:
        sys.stderr.write(f'{prog}: {error}\n')
        sys.exit(2)


def give_up(why: str) -> None:
    """End this worker at once with 1, so that the master starts another.

    What it had in hand is taken up by that one, as after any crash: to stop
    in good order is not to be relied on where something does not work.
    """
    LOG.critical('%s. This worker ends, another one is started.', why)
    std_logging.shutdown()
    os._exit(1)


def run(
    name: str,
    build: Callable[[], Runnable],
    workers: int = 1,
    ready: str = '',
    ending: Callable[[], None] | None = None,
) -> int:
    """Run workers until told to stop; return the exit code.

    ``ready`` is what a worker says on stdout when it has started. ``ending``
    is called in the master before the workers are told to stop.
    """
    worker = Worker(name, build, ready)
    with fatal(name):
        # This reads the options of the libraries, too.
        launcher = oslo_service.launch(
            CONF, worker, workers=workers, restart_method='mutate'
        )
    if ending is not None:
        # The library under oslo.service has hooks, oslo.service none.
        launcher._manager.register_hooks(on_terminate=ending)
    code = int(launcher.wait() or 0)
    return 2 if worker.is_wrong else code

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
CONFIG_ERRORS = (exception.ConfigInvalid, cfg.Error)
#: Seconds between two tries to start.
_RETRY_SECONDS = 2.0


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
        self, name: str, build: Callable[[], Runnable], ready_message: str
    ) -> None:
        super().__init__()
        self._name = name
        self._build = build
        self._ready_message = ready_message
        self._master = os.getpid()
        self._config_error = multiprocessing.Value('b', False)
        self._runnable: Runnable | None = None
        self._stopping = False

    @property
    def has_config_error(self) -> bool:
        """Whether the configuration turned out not to work; for the master."""
        return bool(self._config_error.value)

    def start(self) -> None:
        """Build and start; again and again while something is away."""
        LOG.info('%s %s starts.', self._name, version.release())
        while not self._stopping:
            try:
                unavailable = self._start_once()
            except CONFIG_ERRORS as error:
                self._stop_master(error)
                return
            except OSError as error:
                # The master starts another worker, which may have more luck.
                LOG.warning('%s cannot start: %s', self._name, error)
                sys.exit(1)
            if unavailable is None:
                if self._ready_message:
                    sys.stdout.write(f'{self._ready_message}\n')
                    sys.stdout.flush()  # whoever waits may read a pipe
                return
            LOG.warning('%s waits: %s', self._name, unavailable)
            clock.sleep(_RETRY_SECONDS)

    def _start_once(self) -> exception.Unavailable | None:
        """Build and start; return what is away, if something is."""
        try:
            made = self._build()
            made.start()
        except exception.Unavailable as error:
            return error
        self._runnable = made
        # What is there now stays: it need not be looked through for garbage.
        gc.collect()
        gc.freeze()
        return None

    def _stop_master(self, error: Exception) -> None:
        """End the master, too: another worker would fare no better."""
        with self._config_error.get_lock():
            if not self._config_error.value:
                sys.stderr.write(f'{self._name}: {error}\n')
            self._config_error.value = True
        if os.getppid() == self._master:
            os.kill(self._master, signal.SIGTERM)

    def stop(self, graceful: bool = False) -> None:
        """Stop what runs."""
        self._stopping = True
        if self._runnable is not None:
            self._runnable.stop()
        LOG.info('%s has stopped.', self._name)
        super().stop(graceful)


def configure(argv: list[str], prog: str) -> None:
    """Read options from the command line and configuration files.

    By default /etc/minova/minova.conf; ``--config-file`` names others. Ends
    the process with 2 and one line on stderr when they cannot be read.
    """
    logging.register_options(CONF)
    libraries.set_log_levels()
    with exit_on_config_error(prog):
        CONF(argv, project='minova', prog=prog, version=version.release())
        _validate_options()
    logging.setup(CONF, 'minova', version.release())


def _validate_options() -> None:
    """Read every option once, so that a wrong value is found at the start."""
    for module in conf.GROUPS:
        group = CONF[module.GROUP] if module.GROUP else CONF
        for option in module.OPTIONS:
            getattr(group, option.dest)


@contextlib.contextmanager
def exit_on_config_error(prog: str) -> Iterator[None]:
    """End the process with 2 and one line for an error of configuration."""
    try:
        yield
    except CONFIG_ERRORS as error:
        sys.stderr.write(f'{prog}: {error}\n')
        sys.exit(2)


def exit_worker(reason: str) -> None:
    """End this worker at once with 1, so that the master starts another.

    What it had in hand is taken up by that one, as after any crash: to stop
    in good order is not to be relied on where something does not work.
    """
    LOG.critical('%s. This worker ends, another one is started.', reason)
    std_logging.shutdown()
    os._exit(1)


def run(
    name: str,
    build: Callable[[], Runnable],
    workers: int = 1,
    ready_message: str = '',
    on_terminate: Callable[[], None] | None = None,
) -> int:
    """Run workers until told to stop; return the exit code.

    ``ready`` is what a worker says on stdout when it has started. ``ending``
    is called in the master before the workers are told to stop.
    """
    worker = Worker(name, build, ready_message)
    with exit_on_config_error(name):
        # This reads the options of the libraries, too.
        launcher = oslo_service.launch(
            CONF, worker, workers=workers, restart_method='mutate'
        )
    if on_terminate is not None:
        # The library under oslo.service has hooks, oslo.service none.
        launcher._manager.register_hooks(on_terminate=on_terminate)
    code = int(launcher.wait() or 0)
    return 2 if worker.has_config_error else code

# SPDX-License-Identifier: Apache-2.0
"""The life of a service process: configure, start, run, stop.

Every process is a master with one or more workers (the threading backend of
oslo.service). The master has no connections: it checks the configuration and
restarts a worker that has died. A worker creates its connections in
``start``, retries there while the broker or the database is unavailable, and
ends on SIGTERM after its work is done or left pending.

A worker that cannot continue ends itself with 1 (``exit_worker``), also when
one of its loops has ended (``loops``). The master kills a worker that does not
respond, and each worker that does not stop within
``graceful_shutdown_timeout``: ``watchdog.py``. It tells systemd when the
service is ready and healthy: ``sd_notify.py``. SIGHUP replaces the workers by
new ones, which read the configuration again.

Exit codes: 0 after SIGTERM, 1 after SIGINT or if a worker did not stop within
``graceful_shutdown_timeout``, 2 for an invalid configuration.
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
from typing import runtime_checkable

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service as oslo_service

from minova import clock
from minova import conf
from minova import exception
from minova import log_format
from minova import loops
from minova import private_files
from minova import version
from minova.conf import CONF
from minova.conf import libraries
from minova.sd_notify import Notifier
from minova.watchdog import Watchdog

LOG = logging.getLogger(__name__)

#: The errors of an invalid configuration.
CONFIG_ERRORS = (exception.ConfigInvalid, cfg.Error)
#: Seconds between two attempts to start.
_RETRY_SECONDS = 2.0
#: Seconds between two questions whether a service serves.
_POLL_SECONDS = 0.1


class Runnable(Protocol):
    """The service that a worker runs."""

    def start(self) -> None:
        """Connect and start; raise Unavailable for a later attempt."""

    def stop(self) -> None:
        """Finish or hand back the work in progress, then disconnect."""


@runtime_checkable
class Registering(Runnable, Protocol):
    """A service that serves some time after its ``start``."""

    @property
    def is_serving(self) -> bool:
        """Whether the service does its work."""


class Worker(oslo_service.Service):
    """A worker process that runs one service.

    The master creates it, so it has no connection or thread until ``start``.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Runnable],
        ready_message: str,
        watchdog: Watchdog,
    ) -> None:
        super().__init__()
        self._name = name
        self._build = build
        self._watchdog = watchdog
        self._ready_message = ready_message
        self._master = os.getpid()
        self._config_error = multiprocessing.Value('b', False)
        self._runnable: Runnable | None = None
        self._stopping = False

    @property
    def has_config_error(self) -> bool:
        """Whether a worker found the configuration invalid; for the master."""
        return bool(self._config_error.value)

    def start(self) -> None:
        """Build and start the service; retry while it raises Unavailable."""
        LOG.info('Service %s %s is starting', self._name, version.release())
        self._health_check = loops.watch(
            exit_worker, self._watchdog.mark_healthy
        )
        while not self._stopping:
            try:
                unavailable = self._start_once()
            except CONFIG_ERRORS as error:
                self._stop_master(error)
                return
            except OSError as error:
                # The master starts another worker.
                LOG.warning(
                    'Service %s cannot start; restarting the worker: %s',
                    self._name,
                    error,
                )
                sys.exit(1)
            if unavailable is None:
                if self._ready_message:
                    sys.stdout.write(f'{self._ready_message}\n')
                    sys.stdout.flush()  # stdout may be a pipe
                self._wait_until_serving()
                return
            LOG.warning(
                'Service %s cannot start yet; retrying in %.0f s: %s',
                self._name,
                _RETRY_SECONDS,
                unavailable,
            )
            self._watchdog.mark_waiting(str(unavailable))
            clock.sleep(_RETRY_SECONDS)

    def _start_once(self) -> exception.Unavailable | None:
        """Build and start the service; return its Unavailable, if any."""
        try:
            runnable = self._build()
            runnable.start()
        except exception.Unavailable as error:
            return error
        self._runnable = runnable
        # The objects created so far live as long as the process.
        gc.collect()
        gc.freeze()
        return None

    def _wait_until_serving(self) -> None:
        """Report that the service serves as soon as it does."""
        if isinstance(self._runnable, Registering):
            self._watchdog.mark_waiting('not registered yet, see the log')
            while not self._runnable.is_serving:
                if self._stopping:
                    return
                clock.sleep(_POLL_SECONDS)
        self._watchdog.mark_serving()

    def _stop_master(self, error: Exception) -> None:
        """End the master too: another worker would fail the same way."""
        with self._config_error.get_lock():
            if not self._config_error.value:
                sys.stderr.write(f'{self._name}: {error}\n')
            self._config_error.value = True
        if os.getppid() == self._master:
            os.kill(self._master, signal.SIGTERM)

    def stop(self, graceful: bool = False) -> None:
        """Stop the service."""
        self._stopping = True
        if self._runnable is not None:
            self._runnable.stop()
        self._watchdog.mark_stopped()
        LOG.info('Service %s has stopped', self._name)
        super().stop(graceful)


def configure(argv: list[str], prog: str) -> None:
    """Read options from the command line and configuration files.

    The default file is /etc/minova/minova.conf; ``--config-file`` names
    others. An error ends the process with 2 and one line on stderr.
    """
    private_files.set_umask()
    logging.register_options(CONF)
    libraries.set_log_levels()
    with exit_on_config_error(prog):
        CONF(argv, project='minova', prog=prog, version=version.release())
        _validate_options()
    logging.setup(CONF, 'minova', version.release())
    log_format.install(CONF, 'minova', version.release())


def _validate_options() -> None:
    """Read every option once, so that an invalid value fails the start."""
    for module in conf.GROUPS:
        group = CONF[module.GROUP] if module.GROUP else CONF
        for option in module.OPTIONS:
            getattr(group, option.dest)


@contextlib.contextmanager
def exit_on_config_error(prog: str) -> Iterator[None]:
    """End the process with 2 and one line for an invalid configuration."""
    try:
        yield
    except CONFIG_ERRORS as error:
        sys.stderr.write(f'{prog}: {error}\n')
        sys.exit(2)


def exit_worker(reason: str) -> None:
    """End this worker at once with 1, so that the master starts another.

    The new worker recovers the work in progress as after any crash: a graceful
    stop may hang in a broken process.
    """
    LOG.critical('%s. This worker exits; the master starts another', reason)
    std_logging.shutdown()
    os._exit(1)


def run(
    name: str,
    build: Callable[[], Runnable],
    workers: int = 1,
    ready_message: str = '',
    on_terminate: Callable[[], None] | None = None,
) -> int:
    """Run workers until a signal stops them; return the exit code.

    A started worker prints ``ready_message`` on stdout. The master calls
    ``on_terminate`` before it stops the workers.
    """
    watchdog = Watchdog(workers)
    # Before oslo.service, which would say too early that it is ready.
    notifier = Notifier(watchdog, workers)
    worker = Worker(name, build, ready_message, watchdog)
    with exit_on_config_error(name):
        # This reads the options of the libraries too.
        launcher = oslo_service.launch(
            CONF, worker, workers=workers, restart_method='mutate'
        )
    # Only cotyledon, which oslo.service uses, has hooks.
    manager = launcher._manager
    manager.register_hooks(
        on_terminate=notifier.stop, on_reload=notifier.reload
    )
    manager.register_hooks(
        on_terminate=watchdog.limit_shutdown,
        on_new_worker=watchdog.start_counting,
        on_dead_worker=watchdog.forget,
    )
    if on_terminate is not None:
        manager.register_hooks(on_terminate=on_terminate)
    watchdog.start()
    notifier.start()
    code = _wait(launcher)
    if worker.has_config_error:
        return 2
    # oslo.service ends with 2 for an error of its own.
    return int(bool(code) or not watchdog.has_stopped())


def _wait(launcher: oslo_service.ServiceLauncher) -> int:
    """Wait for the end of the workers; return the exit code."""
    try:
        return int(launcher.wait() or 0)
    except SystemExit as ended:  # the launcher of several workers raises it
        return int(ended.code or 0)

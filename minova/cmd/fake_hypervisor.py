# SPDX-License-Identifier: Apache-2.0
"""minova-fake-hypervisor: the fake hosts of several computes in one process.

For tests and trials: computes whose ``[fake] socket`` names its socket can be
killed, frozen and restarted while their guests continue to run. The records
of guests are in memory, or in ``[fake] directory`` if set.
"""

import signal
import sys
import types

from minova import exception
from minova import service
from minova.conf import CONF
from minova.virt.fake.hypervisor import Hypervisor
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import MemoryRecordStore
from minova.virt.record_store import RecordStore

PROG = 'minova-fake-hypervisor'


def _open_record_store() -> RecordStore:
    if CONF.fake.directory:
        return DirectoryRecordStore(CONF.fake.directory)
    return MemoryRecordStore()


def _exit_on_signal(number: int, frame: types.FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    """Run minova-fake-hypervisor until SIGTERM."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        if not CONF.fake.socket:
            raise exception.ConfigInvalid(
                reason='[fake] socket is not set; set the path of a socket'
            )
        hypervisor = Hypervisor(_open_record_store(), CONF.fake.socket)
        hypervisor.listen()
    signal.signal(signal.SIGTERM, _exit_on_signal)
    sys.stdout.write(f'{PROG} is ready at {CONF.fake.socket}\n')
    sys.stdout.flush()
    try:
        hypervisor.serve()
    finally:
        hypervisor.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())

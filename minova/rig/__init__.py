# SPDX-License-Identifier: Apache-2.0
"""Several libvirt hosts on one machine, for tests and demonstrations.

Not for production: the hosts share the memory and the disks of the machine.

============ =================================================================
module       what it holds
============ =================================================================
hosts        starting and stopping the hosts
capabilities what libvirt knows of QEMU, for the next hosts
guest        a tiny guest that shows whether it is still the same one
image        a Debian image with cloud-init
boot_disk    a disk that boots, built without mounting
emulator     a QEMU that migrates guests safely
packages     Debian packages, unpacked without installing
subprocesses the programs that a rig needs
============ =================================================================
"""

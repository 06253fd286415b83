# SPDX-License-Identifier: Apache-2.0
"""Hosts that are driven through libvirt.

The modules here serve every hypervisor of libvirt; they import nothing from
the packages below. Importing this package does not need libvirt-python,
importing its modules does.

================== ===========================================================
module             what it holds
================== ===========================================================
driver             the parts of a host behind one interface
host               the host: resources, events
guests             the guests
interfaces         their network interfaces, attached while they run too
disks              the disks: files, in one directory per guest
snapshot_files     copies of disks, for images
root_disk          the root disk of a guest, from its definition
plain_files        disks that are plain sparse files
sparse_files       copying and extending files with holes
qcow2_header       the backing file of a qcow2 disk, from its header
consoles           console logs and graphics endpoints
spice              SPICE servers of guests
diagnostics        what libvirt counts of a guest
guest_agent        the QEMU guest agent
networks           host networks, bridges and DHCP reservations
network_filters    filters of what guests send to a network
xml                the XML of a guest
xml_devices        the parts that extra specs and image properties change
firmware           UEFI firmware: its choice and its elements
tpm                the element of the emulated TPM
xml_placement      the parts that bind a guest to CPUs and NUMA cells
xml_elements       elements whose content is always valid XML
connection         the connection to libvirt
connection_attempt one attempt to open it
events             libvirt's event loop, and the guests that changed
errors             libvirt's errors, and the exceptions for them
qemu               QEMU hosts, with real guests
embedded           hosts on libvirt's test driver, without real guests
================== ===========================================================
"""

# SPDX-License-Identifier: Apache-2.0
"""QEMU hosts, with real guests.

====================== =======================================================
module                 what it holds
====================== =======================================================
driver                 the driver of a host
host_config            the configuration of a host
permissions            the access of QEMU's account to the disks
host                   the host: inventory, version of QEMU
acceleration           the test whether KVM works
guest_profile          what definitions contain, by the configuration
firmware_descriptors   the UEFI firmware of the host
host_traits            the traits of the host: firmware, TPM
guests                 the guests, with their reserved addresses
consoles               their serial consoles, by libvirt
interfaces             their network interfaces, on networks of the host
disks                  the disks: overlays of images, maybe on shared storage
nvram                  the variables of UEFI firmware
tpm_state              the state of emulated TPMs
snapshots              copies of the disks, for images
disk_ownership         the owner of disks on shared storage
disk_transfer          the transfer of disks to another machine
overlay_checks         the checks of received overlays
qcow2                  creating and growing disks with qemu-img
live_migration         live migration
live_migration_checks  its checks at destination and source
migration_plan         the check of the source's plan at the destination
migration_xml          its XML
domain_jobs            its progress, from libvirt's job
config_drive_migration the config drive of a guest that migrates
shared_storage         the test whether two hosts share a directory
====================== =======================================================
"""

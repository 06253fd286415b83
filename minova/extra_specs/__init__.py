# SPDX-License-Identifier: Apache-2.0
"""Extra specs of flavors and properties of images, as guest requirements.

Pure functions: no hypervisor and no option. The API rejects with them what no
host supports; a driver reads the requirements of a guest from them.

In the namespaces of ``table.NAMESPACES`` only the extra specs of the table are
accepted: another one would make a server differ from its flavor. Extra specs
of other namespaces (``trait:``, ``aggregate_instance_extra_specs:``) belong to
other components and have no effect. Image properties that are not in the table
have no effect either, since every user can write them.

=========== ==================================================================
module      what it holds
=========== ==================================================================
table       all extra specs and image properties
value_types the types of their values
firmware    firmware, Secure Boot and TPM of a guest
numa        CPU policies and NUMA cells of a guest
parser      GuestRequirements of a flavor and an image
traits      the traits that a host needs for the firmware and the TPM
=========== ==================================================================
"""

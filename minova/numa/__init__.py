# SPDX-License-Identifier: Apache-2.0
"""NUMA cells of hosts, and the placement of guests on their CPUs and memory.

Pure functions: no hypervisor, no database, no option. A compute reports the
cells of its host. The conductor fits a guest into them and stores the
placement with the claim, which the driver of the host applies.

=========== ==================================================================
module      what it holds
=========== ==================================================================
host_cells  HostCell: a NUMA cell of a host
request     NumaRequest: what a flavor and an image require of cells
placement   Placement: where the cells of a guest are on a host
fitting     the choice of a placement, or the reason why there is none
=========== ==================================================================
"""

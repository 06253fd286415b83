# SPDX-License-Identifier: Apache-2.0
"""Quotas: what a project or a user may have of each resource.

=========  ==================================================================
limits     the limits in effect, and their changes
checks     refusals, in the transaction that creates the rows
=========  ==================================================================

The options of ``[quota]`` set the defaults. Rows of the database override
them: of the quota class ``default``, of a project, of a user in a project. A
usage is counted from the rows of the resources, under a lock of the project,
so that concurrent requests cannot exceed a limit.
"""

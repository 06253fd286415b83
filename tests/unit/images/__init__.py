# SPDX-License-Identifier: Apache-2.0
"""The embedded image service and the client of a Glance."""

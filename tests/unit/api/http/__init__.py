# SPDX-License-Identifier: Apache-2.0
"""The HTTP framework of the API."""

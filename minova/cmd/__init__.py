# SPDX-License-Identifier: Apache-2.0
"""One file per process: read the options, check them, run."""

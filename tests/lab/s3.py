# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of S3 that verifies signatures: versitygw, which keeps buckets as directories."""

from __future__ import annotations

from .golang import Program

SERVER = Program("github.com/versity/versitygw/cmd/versitygw", "v1.8.0")

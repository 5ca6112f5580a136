# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a golden image takes from nothing: packages are fetched anew."""

from measure import Samples, milliseconds

TITLE = "image build from an empty store"


def measure(bench):
    took, _ = milliseconds(bench.place.taskbox, "image", "build", "debian",
                           XDG_DATA_HOME=bench.place.make("empty-store"))
    bench.report.figure("image build", Samples([took]))

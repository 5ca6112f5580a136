# SPDX-License-Identifier: LGPL-2.1-or-later
"""What else runs a command on the same root filesystem: podman, guestfish.

Each has prepare (not timed; Failed says why it cannot be measured here), once, and end.
"""

import os
import shutil
import subprocess

from measure import Failed, run


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Failed(f"'{program}' is not installed")


def guestfish(place, image, *arguments, **options):
    env = place.env | ({} if image.kvm else {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"})
    return run(["guestfish", "--ro", "--format=qcow2", "-a", image.disk, "-m", "/dev/sda", *arguments],
               env=env, **options)


class Guestfish:
    """libguestfs boots its appliance and runs the command in the image."""

    name = "guestfish --ro"

    def __init__(self, place, image):
        self.place, self.image = place, image

    def prepare(self):
        need("guestfish")
        self.once()

    def once(self):
        guestfish(self.place, self.image, "command", "true")

    def end(self):
        pass


class Podman:
    """A container of the same root filesystem; no network, as a box has none."""

    name = "podman run --rm"

    def __init__(self, place, image):
        self.place, self.image = place, image
        self.root = place.make("podman")

    def podman(self, *arguments):
        return run(["podman", "--root", f"{self.root}/root", "--runroot", f"{self.root}/run",
                    "--tmpdir", f"{self.root}/tmp", "--cgroup-manager", "cgroupfs", *arguments],
                   env=self.place.env)

    def prepare(self):
        need("podman", "guestfish")
        tar = f"{self.root}/rootfs.tar"
        guestfish(self.place, self.image, "tar-out", "/", tar)
        self.podman("import", "-q", tar, "taskbox-bench")
        os.unlink(tar)
        self.once()

    def once(self):
        self.podman("run", "--rm", "--network", "none", "--ulimit", "host", "taskbox-bench", "true")

    def end(self):
        if not shutil.which("podman"):
            return
        remove = ["rm", "-rf", self.root]
        if os.getuid() == 0:  # its storage is mounted on itself
            while subprocess.run(["umount", f"{self.root}/root/overlay"], check=False,
                                 stderr=subprocess.DEVNULL).returncode == 0:
                pass
        else:
            remove = ["podman", "unshare", *remove]
        subprocess.run(remove, env=self.place.env, check=False)


def all_of(place, image):
    return [Guestfish(place, image), Podman(place, image)]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the measurements live: a home of their own that is gone at the end, as tests/lib/lib.sh has.

Only golden images are shared with the tests (TASKBOX_TEST_HOME), because a build takes a minute.
"""

import json
import os
import shutil
import subprocess
import tempfile
from types import SimpleNamespace

from measure import Failed, run

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Place:
    """Directories, environment and the program under test."""

    def __init__(self):
        self.program = os.path.realpath(os.environ.get("TASKBOX", f"{SOURCE}/build/taskbox"))
        if not os.access(self.program, os.X_OK):
            raise Failed(f"no program to measure at '{self.program}' (./bootstrap build makes it)")
        self.shared = os.path.realpath(os.environ.get(
            "TASKBOX_TEST_HOME", os.path.expanduser("~/.cache/taskbox-tests")))
        self.root = os.path.realpath(tempfile.mkdtemp(prefix="tb-bench."))
        os.chmod(self.root, 0o755)  # other uids run boxes, and libvirt's domains
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("TASKBOX_", "GIT_", "LIBGUESTFS_", "LIBVIRT_"))}
        self.env |= {
            "HOME": self.make("home"), "XDG_DATA_HOME": f"{self.shared}/data",
            "XDG_CACHE_HOME": self.make("cache"), "XDG_STATE_HOME": self.make("state"),
            "XDG_CONFIG_HOME": self.make("config"), "XDG_RUNTIME_DIR": self.make("run", 0o700),
            "TMPDIR": self.make("tmp", 0o1777), "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "PAGER": "cat",
            "GIT_AUTHOR_NAME": "Tester", "GIT_AUTHOR_EMAIL": "tester@example.org",
            "GIT_COMMITTER_NAME": "Tester", "GIT_COMMITTER_EMAIL": "tester@example.org",
            "GIT_CONFIG_NOSYSTEM": "1", "LIBGUESTFS_BACKEND": "direct"}
        self.can_fork = "--cold" in self.taskbox("run", "--help")
        self._image = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(["chmod", "-R", "u+rwX", self.root])
        shutil.rmtree(self.root)

    def make(self, name, mode=0o755):
        """A directory of this run; one that is there already is kept."""
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def scratch(self):
        """A new empty directory; the caller removes it, or the end of everything does."""
        return tempfile.mkdtemp(dir=self.make("scratch"))

    def taskbox(self, *arguments, **env):
        """Runs taskbox to its end; what it wrote on stdout."""
        return run([self.program, *arguments], env=self.env | env)

    def task(self, project, *command, flags=()):
        """One task; its record, with the time of each phase."""
        return json.loads(self.taskbox("run", "--json", *flags, "-C", project, "--", *command))

    def start(self, project, *command, flags=()):
        """A task that goes on; the caller ends it."""
        return subprocess.Popen([self.program, "run", *flags, "-C", project, "--", *command],
                                env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def start_reading(self, project, *command, flags=()):
        """The same, and what its command writes can be read."""
        return subprocess.Popen([self.program, "run", *flags, "-C", project, "--", *command],
                                env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)

    def cold(self):
        """The flags of a run that boots its box."""
        return ("--cold",) if self.can_fork else ()

    def image(self, recipe="debian"):
        """A golden image, built when no test has built it yet."""
        if recipe == "debian" and self._image:
            return self._image
        digest = self.taskbox("image", "build", recipe).split()[-1]
        manifest = json.loads(self.taskbox("image", "show", digest))
        directory = f"{self.shared}/data/taskbox/images/{digest}"
        image = SimpleNamespace(
            digest=digest, kernel=f"{directory}/kernel", initrd=f"{directory}/initrd",
            disk=f"{directory}/disk.qcow2", cmdline=manifest["cmdline"], cpus=manifest["cpus"],
            memory=manifest["memory"], disk_size=manifest["disk"], kvm=False)
        if recipe == "debian":
            self._image = image
        return image

    def user_recipe(self, name, text):
        """Makes a recipe that `image build` knows by its name."""
        directory = self.make("config/taskbox/images")
        with open(f"{directory}/{name}.yaml", "w", encoding="utf-8") as file:
            file.write(text)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""`virsh` defines a domain and starts it, as a user of libvirt without taskbox would.

The domain is the one of a box: tests/unit/vm/data/domain-plain.xml, with the paths of this run.
"""

import os
import re
import shutil
import socket
import subprocess
from types import SimpleNamespace

import qemu
from channel import Channel, ChannelError
from measure import Failed, run
from place import SOURCE


class Virsh:
    """Define, start, run the command, destroy, undefine."""

    name = "virsh define, start, destroy"

    def __init__(self, place, image):
        self.place, self.image = place, image
        self.directory = place.scratch()
        self.uri = "qemu:///system" if os.getuid() == 0 else "qemu:///session"
        self.xml = f"{self.directory}/domain.xml"

    def virsh(self, *arguments):
        return run(["virsh", "-q", "-c", self.uri, *arguments], env=self.place.env)

    def prepare(self):
        if not shutil.which("virsh"):
            raise Failed("virsh is not installed")
        try:
            self.virsh("version")
        except Failed as error:
            raise Failed(f"{self.uri}: {error}") from None
        self.domain = f"taskbox-bench-{os.getpid()}"
        image, directory = self.image, self.directory
        if os.getuid() == 0:  # the daemon runs QEMU as a user of its own, who sees nothing of a home
            image = SimpleNamespace(**vars(image))
            for name in ("disk", "kernel", "initrd"):
                setattr(image, name, shutil.copy(getattr(image, name), f"{directory}/base-{name}"))
            self.image = image
        with open(f"{SOURCE}/tests/unit/vm/data/domain-plain.xml", encoding="utf-8") as file:
            xml = file.read()
        for old, new in ((r"(?<=<name>)[^<]*", self.domain), (r"(?<=unit=.b.>)\d+", image.memory),
                         (r"(?<=placement=.static.>)\d+", image.cpus),
                         (r"(?<=<cmdline>)[^<]*", image.cmdline), ("/vm/", f"{directory}/"),
                         ("/image/disk.qcow2", image.disk), ("/image/kernel", image.kernel),
                         ("/image/initrd", image.initrd)):
            xml = re.sub(old, str(new), xml)
        if image.kvm:
            xml = xml.replace('type="qemu"', 'type="kvm"', 1)
            xml = re.sub(r"<tcg>.*</tcg>", "", xml, flags=re.DOTALL)
            xml = re.sub(r"<cpu .*</cpu>", '<cpu mode="host-passthrough"/>', xml, flags=re.DOTALL)
        with open(self.xml, "w", encoding="utf-8") as file:
            file.write(xml)
        os.chmod(self.directory, 0o777)

    def once(self):
        qemu.overlay(self.directory, self.image.disk, self.image.disk_size)
        path = f"{self.directory}/chan.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            os.chmod(path, 0o777)
            listener.listen(1)
            try:
                self.virsh("define", self.xml)
                self.virsh("start", self.domain)
                listener.settimeout(qemu.DEADLINE)
                channel = Channel(listener.accept()[0], qemu.DEADLINE)
                channel.hello()
                channel.setup()
                if channel.run(["true"]) != 0:
                    raise Failed("the command did not end well")
                channel.close()
            except (ChannelError, socket.timeout) as error:
                raise Failed(str(error)) from error
            finally:
                os.unlink(path)
                self.quietly("destroy")
                self.quietly("undefine")

    def quietly(self, verb):
        subprocess.run(["virsh", "-q", "-c", self.uri, verb, self.domain], env=self.place.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def end(self):
        shutil.rmtree(self.directory, ignore_errors=True)

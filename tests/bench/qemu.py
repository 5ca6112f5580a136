# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same machine as a box's (src/vm/domain.c), on plain QEMU: no libvirt, no jail, no project.

What taskbox is held against: a cold boot of the image, and the fork of a frozen machine done by
hand with as little as it takes. Monitor and channel are socket pairs that QEMU inherits, so nothing
is ever waited for by polling.
"""

import json
import os
import socket
import subprocess
import time

from channel import Channel, ChannelError

EMULATOR = "qemu-system-x86_64"
DEADLINE = 180


class QemuError(Exception):
    """QEMU did not do what it was asked."""


class Monitor:
    """QMP over a connected socket."""

    def __init__(self, connection):
        self.connection = connection
        self.lines = connection.makefile("rb")
        self.connection.settimeout(DEADLINE)

    def _message(self):
        line = self.lines.readline()
        if not line:
            raise QemuError("QEMU is gone")
        return json.loads(line)

    def greeting(self):
        self._message()
        self.command("qmp_capabilities")

    def command(self, name, fd=None, **arguments):
        data = json.dumps({"execute": name, "arguments": arguments}).encode()
        if fd is None:
            self.connection.sendall(data)
        else:
            socket.send_fds(self.connection, [data], [fd])
        while True:
            message = self._message()
            if "error" in message:
                raise QemuError(f"{name}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def await_migration(self):
        """Needs the capability `events`."""
        while True:
            message = self._message()
            if message.get("event") == "MIGRATION":
                status = message["data"]["status"]
                if status == "completed":
                    return
                if status == "failed":
                    raise QemuError("the migration failed")


class Machine:
    """A running QEMU. `with` ends it, whatever happens."""

    def __init__(self, image, directory, disk, memory=None, placeholder=None, incoming=False,
                 append=""):
        """memory: arguments of a memory-backend-file, or None for anonymous memory."""
        ours, theirs = socket.socketpair()
        channel, guest = socket.socketpair()
        fds = (theirs.fileno(), guest.fileno())
        self.monitor = Monitor(ours)
        self.channel = Channel(channel, DEADLINE)
        log = open(os.path.join(directory, "qemu.log"), "ab")
        with log, theirs, guest:
            self.process = subprocess.Popen(
                [EMULATOR, *arguments(image, directory, disk, memory, placeholder, incoming, append, *fds)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.channel.close()
        self.monitor.connection.close()


def arguments(image, directory, disk, memory, placeholder, incoming, append, monitor, guest):
    """QEMU's command line; the devices and their places are those of a box."""
    size = image.memory
    argv = ["-name", "bench", "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "q35,usb=off,vmport=off,smm=off,dump-guest-core=off,i8042=off"
            + (",memory-backend=ram" if memory else ""),
            "-m", f"{size >> 20}M", "-smp", str(image.cpus), "-rtc", "base=utc", "-no-hpet",
            "-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1"]
    if image.kvm:
        argv += ["-accel", "kvm", "-cpu", "host"]
    else:
        argv += ["-accel", "tcg,tb-size=512", "-cpu", "max,la57=off"]
    if memory:
        argv += ["-object", f"memory-backend-file,id=ram,size={size},{memory}"]
    if incoming:  # all that is left of a kernel that was loaded once, and faster than loading it
        argv += ["-option-rom", "linuxboot_dma.bin", "-incoming", "defer"]
    else:
        argv += ["-kernel", image.kernel, "-initrd", image.initrd,
                 "-append", f"{image.cmdline} {append}".strip()]
    argv += ["-drive", f"if=none,id=d0,file={disk},format=qcow2,cache=unsafe,discard=unmap",
             "-device", "virtio-blk-pci-non-transitional,drive=d0,addr=2,bootindex=1"]
    if placeholder:
        argv += ["-drive", f"if=none,id=d1,file={placeholder},format=raw,readonly=on",
                 "-device", "virtio-blk-pci-non-transitional,drive=d1,addr=3,serial=tbproject"]
    argv += ["-device", "virtio-serial-pci-non-transitional,addr=4",
             "-chardev", f"socket,id=c0,fd={guest}",
             "-device", "virtserialport,chardev=c0,name=taskbox.channel.0",
             "-chardev", f"file,id=s0,path={directory}/console,append=on",
             "-device", "isa-serial,chardev=s0",
             "-chardev", f"socket,id=m0,fd={monitor}", "-mon", "chardev=m0,mode=control"]
    return argv


def overlay(directory, backing, size):
    """A fresh qcow2 overlay in the directory."""
    path = os.path.join(directory, "overlay.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", backing, "-F", "qcow2",
                    path, str(size)], check=True)
    return path


# Before the freeze: the boot is over, no timer goes off when the clock is set, and nothing is cached.
QUIET = """systemctl is-system-running --wait; systemctl stop '*.timer'; sleep 2
sync; echo 3 >/proc/sys/vm/drop_caches"""

CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]


def freeze(image, directory):
    """Boots a machine and freezes it, when it is quiet, into files of the directory."""
    disk = overlay(directory, image.disk, image.disk_size)
    placeholder = os.path.join(directory, "placeholder")
    with open(placeholder, "wb") as file:
        file.truncate(64 << 30)
    memory = f"mem-path={directory}/ram,share=on"
    with Machine(image, directory, disk, memory, placeholder) as machine:
        machine.channel.hello()
        machine.channel.run(["sh", "-c", QUIET], as_root=True)
        machine.channel.setup()  # once, so that what every fork does is cached
        machine.channel.run(["true"])
        machine.monitor.greeting()
        machine.monitor.command("stop")
        machine.monitor.command("migrate-set-capabilities", capabilities=CAPABILITIES)
        state = os.open(os.path.join(directory, "state"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        machine.monitor.command("getfd", fd=state, fdname="state")
        os.close(state)
        machine.monitor.command("migrate", uri="fd:state")
        machine.monitor.await_migration()
    os.rename(disk, os.path.join(directory, "disk.qcow2"))


def fork(image, template, directory, argv=("true",)):
    """One fork of a frozen machine, and a command in it. Returns the time of each step in ms."""
    steps, last = {}, time.perf_counter()

    def step(name):
        nonlocal last
        now = time.perf_counter()
        steps[name] = (now - last) * 1000
        last = now

    disk = overlay(directory, os.path.join(template, "disk.qcow2"), image.disk_size)
    step("overlay")
    memory = f"mem-path={template}/ram,share=off"
    placeholder = os.path.join(template, "placeholder")
    with Machine(image, directory, disk, memory, placeholder, incoming=True) as machine:
        machine.monitor.greeting()
        step("qemu")
        machine.monitor.command("migrate-set-capabilities", capabilities=CAPABILITIES)
        state = os.open(os.path.join(template, "state"), os.O_RDONLY)
        machine.monitor.command("getfd", fd=state, fdname="state")
        os.close(state)
        machine.monitor.command("migrate-incoming", uri="fd:state")
        machine.monitor.await_migration()
        step("incoming")
        machine.monitor.command("cont")
        machine.channel.hello()
        step("hello")
        machine.channel.setup()
        step("setup")
        code = machine.channel.run(list(argv))
        step("exec")
        if code != 0:
            raise ChannelError(f"'{argv[0]}' ended with {code}")
    step("kill")
    return steps


def cold(image, directory, argv=("true",)):
    """A boot from nothing, a command as soon as the guest program answers, and a power-off."""
    disk = overlay(directory, image.disk, image.disk_size)
    with Machine(image, directory, disk) as machine:
        machine.channel.hello()
        machine.channel.setup()
        if machine.channel.run(list(argv)) != 0:
            raise ChannelError(f"'{argv[0]}' did not end well")
        machine.channel.shutdown()
        machine.process.wait(DEADLINE)


def cold_systemd(image, directory, command="/bin/true"):
    """The same without anything of taskbox: systemd runs the command when it is up, and powers off."""
    disk = overlay(directory, image.disk, image.disk_size)
    append = (f"systemd.run={command} systemd.run_success_action=poweroff "
              "systemd.unit=kernel-command-line.target")
    with Machine(image, directory, disk, append=append) as machine:
        machine.process.wait(DEADLINE)

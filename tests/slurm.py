"""A SLURM cluster of one node, this machine, for tests: started, used, and stopped again.

By hand, for one command and what it starts: `python tests/slurm.py -- squeue`. It needs to be root, and Debian's
packages `slurm-wlm` and `munge`. All that the daemons write lies in a temporary folder, but for their configuration:
SLURM's steps read it from `/etc/slurm` and from nowhere else. Where that holds the configuration of another cluster,
nothing is started.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("slurmctld", "slurmd", "munged", "squeue", "sbatch", "scancel", "setpriv")
OURS = "# Written by tests/slurm.py of neanderthal_nlp, and removed when it ends.\n"
_PATIENCE = 60.0
_TEXT = """\
ClusterName=neanderthal-nlp-tests
SlurmctldHost=localhost
SlurmctldPort=26817
SlurmdPort=26818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/slurmctld
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
KillWait=5
NodeName=localhost CPUs={cores} RealMemory={memory}
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)}: not installed"
    if os.geteuid() != 0:
        return "SLURM's daemons are started by root only"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text(encoding="utf-8").startswith(OURS):
        return f"{CONFIGURATION} is that of another cluster"
    return None


@contextmanager
def cluster() -> Iterator[Path]:
    """A running cluster and the folder with the logs of its daemons; a second one waits until the first has ended."""
    reason = missing()
    if reason:
        raise RuntimeError(reason)
    with ExitStack() as stack:
        CONFIGURATION.parent.mkdir(exist_ok=True)
        lock = os.open(CONFIGURATION.parent, os.O_RDONLY)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        for name in ("munge", "slurmctld", "slurmd"):
            (folder / name).mkdir()
        _write_key(folder / "munge")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        text = OURS + _TEXT.format(folder=folder, cores=os.cpu_count(), memory=memory)
        CONFIGURATION.write_text(text, encoding="utf-8")
        stack.callback(CONFIGURATION.unlink)
        files = ("key-file", "socket", "pid-file", "log-file", "seed-file")
        munged = ["--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--foreground", "--force",
                  *(f"--{name}={folder}/munge/{name.removesuffix('-file')}" for name in files)]  # fmt: skip
        for name, words in (("munged", munged), ("slurmctld", ["slurmctld", "-D"]),
                            ("slurmd", ["slurmd", "-D", "-N", "localhost"])):  # fmt: skip
            stack.enter_context(_daemon(words, folder / f"{name}.log"))
        _wait_until(lambda: _printed("sinfo", "--noheader", "--format=%T") == "idle", folder)
        try:
            yield folder
        finally:
            _printed("scancel", "--partition=all")
            _wait_until(lambda: _printed("squeue", "--noheader") == "", folder)


def _write_key(folder: Path) -> None:
    """A folder of munge's own with a key in it: all that it wants is that others cannot write there."""
    shutil.chown(folder, "munge")
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    shutil.chown(key, "munge")


@contextmanager
def _daemon(words: Sequence[str], path: Path) -> Iterator[None]:
    with path.open("ab") as log:
        # It ends with this process, even if that is killed. In a session of its own it does not hear the Ctrl-C that
        # ends the tests: jobs are cancelled through it.
        process = subprocess.Popen(["setpriv", "--pdeathsig=TERM", *words], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True)  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE)


def _printed(*command: str) -> str | None:
    """What a command prints, or None if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def _wait_until(condition, folder: Path) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.log")))
            raise RuntimeError(f"SLURM is not ready\n{logs}")
        time.sleep(0.2)


def main(arguments: Sequence[str]) -> int:
    """Run a command while a cluster is there; its status is the program's."""
    with cluster():
        return subprocess.run(arguments, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]))

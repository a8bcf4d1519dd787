"""The nursery: forks server processes from one that has loaded what they need, and reaps them.

A stand-in so starts within milliseconds and shares its parent's memory. The host asks for starts
and ends over a socket; the nursery alone signals its children, which it has not reaped yet, so that
no signal can meet a stranger. All end with it, and it ends with the host.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, final

from markopt.cloud.local.processes import die_with_parent

LARGEST_MESSAGE = 1 << 20
FIRST_LISTENER = 100
"""Another program finds the sockets that listen for it under this number and those after it."""

Target = Callable[[Mapping[str, Any], Sequence[socket.socket]], None]
"""What a forked child does, given settings and the sockets that listen for it."""


def listening_socket() -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


@final
class Nursery:
    """Serves one host: ``start``, ``execute`` and ``signal`` messages, JSON, one per datagram.

    Args:
        host: the connection (``SOCK_SEQPACKET``); its end ends every child.
        targets: what children may do, by name.
    """

    def __init__(self, host: socket.socket, targets: Mapping[str, Target]) -> None:
        self._host = host
        self._targets = targets
        self._children: dict[int, str] = {}
        self._pids: dict[str, int] = {}

    def run(self) -> NoReturn:
        """Serve until the host is gone, then kill what is left and exit."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the host ends it, after its children
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            while True:
                ready, _, _ = select.select([self._host.fileno(), woken], [], [])
                if woken in ready:
                    os.read(woken, 4096)
                    self._reap()
                if self._host.fileno() in ready and not self._serve():
                    break
        except (BrokenPipeError, ConnectionError):
            pass
        for pid in self._children:
            self._send_signal(pid, signal.SIGKILL)
        for pid in self._children:  # until then the folder's lock, which is inherited, is held
            os.waitpid(pid, 0)
        os._exit(0)

    def _serve(self) -> bool:
        text = self._host.recv(LARGEST_MESSAGE)
        if not text:
            return False
        message = json.loads(text)
        if message["do"] == "signal":
            pid = self._pids.get(message["key"])
            if pid is not None:
                self._send_signal(pid, message["number"])
            return True
        listeners = [listening_socket() for _ in range(message["listeners"])]
        ports = [listener.getsockname()[1] for listener in listeners]
        pid = os.fork()
        if pid == 0:
            self._become(message, listeners)
        for listener in listeners:
            listener.close()
        key = message["key"]
        self._children[pid], self._pids[key] = key, pid
        self._tell({"started": key, "pid": pid, "ports": ports})
        return True

    def _become(self, message: Mapping[str, Any], listeners: Sequence[socket.socket]) -> NoReturn:
        """Be the child that was asked for."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            die_with_parent(_parent_of_child)
            self._host.close()
            if message["do"] == "execute":
                os.setpgid(0, 0)
                _execute(message["arguments"], listeners)
            self._targets[message["target"]](message["settings"], listeners)
            code = 0
        except Exception:  # noqa: BLE001 - a child's fault goes to the log, not into the nursery
            import traceback

            traceback.print_exc()  # to the host's log
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            key = self._children.pop(pid)
            del self._pids[key]
            self._tell({"ended": key, "status": os.waitstatus_to_exitcode(status)})

    def _send_signal(self, pid: int, number: int) -> None:
        """Signal a child, with its group where it leads one."""
        try:
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
        except ProcessLookupError:  # it has ended and waits to be reaped
            return

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._host.send(json.dumps(message).encode())


_parent_of_child = 0
"""The nursery's pid, which its children find here after the fork."""


def _execute(arguments: Sequence[str], listeners: Sequence[socket.socket]) -> NoReturn:
    """Run another program in this process."""
    for number, listener in enumerate(listeners, FIRST_LISTENER):
        os.dup2(listener.fileno(), number, inheritable=True)
    os.execv(arguments[0], list(arguments))


def fork_nursery(targets: Mapping[str, Target]) -> tuple[socket.socket, int]:
    """Fork a nursery from this process; returns the connection to it and its pid.

    To be called before the process has threads or an event loop.
    """
    global _parent_of_child  # noqa: PLW0603 - the fork is what passes it on
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host = os.getpid()
    pid = os.fork()
    if pid:
        its.close()
        return mine, pid
    try:
        mine.close()
        die_with_parent(host)
        _parent_of_child = os.getpid()
        Nursery(its, targets).run()
    finally:
        os._exit(1)

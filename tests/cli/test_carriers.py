"""The accounts, watched from another process, at a keyboard and through a pipe."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "gateway.cli", "carriers", "--watch"]
TREE = Path(__file__).parents[2]


def environment(language: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TREE), "GATEWAY_LANG": language, "TERM": "xterm", "COLUMNS": "160"}


def test_watched_through_a_pipe_each_look_is_a_line(site: Path) -> None:
    with subprocess.Popen([*COMMAND, "--json"], cwd=site, stdout=subprocess.PIPE, env=environment("en")) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    for look in looks:
        (account,) = look["carriers"]
        assert (account["name"], account["live"], account["health"]["parts"]) == ("simulator", None, 0)


def test_at_a_keyboard_q_ends_it(site: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=site, stdin=theirs, stdout=theirs, stderr=theirs, env=environment("zh")) as seen:
        os.close(theirs)
        said = b""
        while "没有在运行".encode() not in said:
            said += os.read(ours, 4096)
        os.write(ours, b"q")
        assert seen.wait(20) == 0
    os.close(ours)

"""Who types, and on which site: opens the gateway for one command.

Policy
- The site is `--site`, else $GATEWAY_SITE, else the nearest directory upwards with a config.toml.
- A verb that changes something is done by an official: `--as` or $GATEWAY_OFFICIAL, whose password is asked for, or
  taken from $GATEWAY_PASSWORD where nobody sits at a terminal. Reading asks for nobody: whoever may read the site's
  files may read its database. Who says who they are (`look`) is shown what that official may see, and no more.
- Commands beside a running `serve` only write to the database; it sends what they queue.
- What is logged goes to standard error, so that standard output holds the answer alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from gateway.cli.language import t
from gateway.errors import GatewayError, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config import Config
    from gateway.officials import Official

T = TypeVar("T")

SITE_FILE = "config.toml"


@dataclass(slots=True)
class Caller:
    """The options that hold for every command."""

    site: Path | None
    login: str | None
    seen: Config | None = None
    """The settings that the gateway was opened with."""

    def directory(self) -> Path:
        """The site's directory; NotFound where there is none."""
        if self.site is not None:
            return _with_config(self.site)
        here = Path.cwd()
        found = next((one for one in (here, *here.parents) if (one / SITE_FILE).is_file()), None)
        if found is None:
            raise NotFound(
                f"这里没有站点（{SITE_FILE}）。请进入站点目录，或用 --site 目录；新建用 gateway init 目录",
                f"no site ({SITE_FILE}) here: go to its directory or give --site DIR; gateway init DIR makes one",
            )
        return found

    def config(self) -> Config:
        """The site's settings; where the gateway was not opened, they are loaded alone."""
        from gateway import config

        if self.seen is None:
            self.seen = config.load(self.directory())
        return self.seen

    def read(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        """Do something that changes nothing."""
        return self._open(lambda gateway: work(gateway))

    def look(self, work: Callable[[Gateway, Official | None], Awaitable[T]]) -> T:
        """The same with the eyes of the official who was named, if one was; that takes no password: it shows less."""

        async def seen(gateway: Gateway) -> T:
            return await work(gateway, await gateway.officials.get(self.login) if self.login else None)

        return self._open(seen)

    def act(self, work: Callable[[Gateway, Official], Awaitable[T]]) -> T:
        """Do something that an official signs for; their password is asked for first."""

        async def signed(gateway: Gateway) -> T:
            return await work(gateway, await self._sign_in(gateway))

        self._named()
        return self._open(signed)

    async def _sign_in(self, gateway: Gateway) -> Official:
        login = self._named()
        return await gateway.officials.sign_in(login, password(t(f"{login} 的密码：", f"Password of {login}: ")))

    def _named(self) -> str:
        if not self.login:
            raise typer.BadParameter(
                t(
                    "要说明是谁在操作：加 --as 登录名，或设置 GATEWAY_OFFICIAL",
                    "say who you are: --as LOGIN, or set GATEWAY_OFFICIAL",
                )
            )
        return self.login

    def _open(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        from gateway.app import open_gateway

        directory = self.directory()

        async def opened() -> T:
            async with open_gateway(directory) as gateway:
                self.seen = gateway.config
                return await work(gateway)

        from gateway.store import DATABASE_ERRORS

        quiet_log()
        try:
            return asyncio.run(opened())
        except DATABASE_ERRORS as error:
            raise out_of_reach(error) from error


def out_of_reach(error: BaseException) -> GatewayError:
    """What to tell of a file or a database that cannot be used; never the database's words, which quote people."""
    if isinstance(error, OSError) and error.filename:
        return Refused(f"{error.filename}：不能读写（{error.strerror}）", f"{error.filename}: {error.strerror}")
    kind = type(error).__name__
    return Unavailable(
        f"数据库现在用不了，请稍后再试（{kind}）", f"the database cannot be used now ({kind}): try again"
    )


def caller(ctx: typer.Context) -> Caller:
    """The one that the command line began with."""
    found: Caller = ctx.find_root().obj
    return found


def password(prompt: str, variable: str = "GATEWAY_PASSWORD") -> str:
    """From the environment, else typed unseen; Refused where nobody can type."""
    if given := os.environ.get(variable):
        return given
    if not sys.stdin.isatty():
        raise Refused(
            f"这里不能输入密码，请设置环境变量 {variable}", f"no terminal to ask for a password: set {variable}"
        )
    from getpass import getpass

    return getpass(prompt)


def quiet_log() -> None:
    """Warnings and worse, to standard error."""
    log_to_stderr("warning")


def log_to_stderr(level: str) -> None:
    """Everything of this level and above, to standard error, in UTC as everything stored is.

    Tracebacks come without the values of variables, and every line is masked last: what a database or a carrier
    says of a row may hold its number.
    """
    import logging

    import structlog

    from gateway.phone import mask_text

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
            lambda _logger, _method, line: mask_text(str(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _with_config(directory: Path) -> Path:
    if not (directory / SITE_FILE).is_file():
        raise NotFound(f"{directory} 里没有 {SITE_FILE}", f"there is no {SITE_FILE} in {directory}")
    return directory

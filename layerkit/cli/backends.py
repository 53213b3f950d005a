"""``layerkit backends``: what computes here, and what would if it were installed."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from layerkit.cli.say import say
from layerkit.cli.table import table
from layerkit.errors import LayerkitError
from layerkit.plugins import registry

__all__ = ["command"]


@click.command()
@click.option("--devices", is_flag=True, help="Start each backend, and ask it for its devices.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(devices: bool, as_json: bool) -> None:
    """List what computes here, and what would if it were installed.

    The default is LAYERKIT_BACKEND if that is set, else the best one that is installed. A command's --backend and, in
    Python, lk.use_backend choose another.
    """
    default = os.environ.get("LAYERKIT_BACKEND") or registry.default_backend_name()
    registry.backends.get(default)  # says so where LAYERKIT_BACKEND names none
    found = [_about(name, default, devices) for name in registry.backend_names()]
    if as_json:
        for about in found:
            click.echo(json.dumps(about))
        return
    header = ["backend", "from", "state", "default", *(["devices"] if devices else [])]
    rows = [
        [
            about["name"],
            about["distribution"],
            about["problem"] or (f"missing: {about['remedy']}" if about["missing"] else "ready"),
            "yes" if about["default"] else "",
            *([", ".join(about["devices"])] if devices else []),
        ]
        for about in found
    ]
    say(table(header, rows))


def _about(name: str, default: str, devices: bool) -> dict[str, Any]:
    offer = registry.backends.offer(name)
    missing = registry.missing_modules(offer.constructor)
    about: dict[str, Any] = {
        "name": name,
        "distribution": offer.distribution,
        "available": not missing,
        "missing": list(missing),
        "remedy": registry.remedy(offer.constructor) if missing else "",
        "default": offer.constructor is registry.backends.get(default),
        "problem": "",
    }
    if devices:
        about["devices"] = []
        if not missing:
            try:
                about["devices"] = [str(device) for device in registry.make_backend(name).devices()]
            except LayerkitError as error:
                about["problem"] = str(error)
            except Exception as error:
                about["problem"] = f"{type(error).__name__}: {error}"
    return about

"""``layerkit plugins check``: does a plugin keep the rules?"""

from __future__ import annotations

import click

from layerkit.cli.say import say

__all__ = ["command"]


@click.command("check")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check alone; may be given several times.")
@click.option("--strict", is_flag=True, help="Fail as well if the plugin prints or warns while it is imported.")
@click.option("--all", "everything", is_flag=True, help="Show the checks that passed as well.")
@click.pass_context
def command(
    ctx: click.Context, name: str, as_json: bool, only: tuple[str, ...], strict: bool, everything: bool
) -> None:
    """Try everything that the installed distribution NAME offers.

    Exits with 1 if anything fails, or the plugin cannot be used. Checking a plugin runs its code.
    """
    from layerkit import testing
    from layerkit.testing.distributions import check_distribution

    found = check_distribution(name, testing.SUITES, testing.CHECKERS, only or None)
    if as_json:
        for line in (found.to_json(strict), *(report.to_json() for report in found.reports)):
            click.echo(line)
    else:
        for report in found.reports:
            shown = report.table(everything) if everything or not report.ok else ""
            say("\n".join(filter(None, [shown, report.paragraph])))
        for sentence in found.noise:
            say(f"while it is imported, {sentence}{'' if strict else ' (fails with --strict)'}")
        say(found.summary)
    if not found.ok(strict):
        ctx.exit(1)

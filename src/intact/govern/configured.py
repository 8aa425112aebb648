"""The keys of `inputs.proc.ai_agent.enforcement` as policies, and what its mode makes of policies."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from pydantic import ValidationError

from intact.govern.policy import Policy
from intact.model.config import Enforcement, ExecArgument, Rule
from intact.model.errors import UsageError

_OPERATIONS = {"exact": "is", "prefix": "starts", "suffix": "ends"}


def configured(settings: Enforcement) -> tuple[Policy, ...]:
    """The rules of the config. Selectors of one rule are alternatives, so a rule may stand in several policies.

    Raises:
        UsageError: a rule cannot be expressed here; names it and why.
    """
    if not settings.rules:
        return ()
    columns = zip_longest(*(_variants(rule, number) for number, rule in enumerate(settings.rules, 1)))
    found = []
    for number, column in enumerate(columns):
        name = f"config.{number + 1}" if number else "config"
        try:
            found.append(Policy.model_validate({"name": name, "rules": [rule for rule in column if rule is not None]}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            told = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"inputs.proc.ai_agent.enforcement.rules: {told}") from None
    return tuple(found)


def in_mode(policies: Sequence[Policy], *, audit_only: bool) -> tuple[Policy, ...]:
    """The policies as they are, or each of their rules as one that only observes."""
    if not audit_only:
        return tuple(policies)
    return tuple(
        policy.model_copy(
            update={"rules": [rule.model_copy(update={"action": "audit", "fail": "open"}) for rule in policy.rules]}
        )
        for policy in policies
    )


def bounded(policies: Sequence[Policy], most: int) -> None:
    """Refuse more rules than `max_rules`.

    Raises:
        UsageError: there are more; none of them is taken.
    """
    count = sum(len(policy.rules) for policy in policies)
    if count > most:
        raise UsageError(f"{count} rules are asked for; inputs.proc.ai_agent.enforcement.max_rules allows {most}")


def _variants(rule: Rule, number: int) -> list[dict[str, Any]]:
    target = rule.exec
    paths = [*target.exact, *(_name(suffix) for suffix in target.suffix), *(_below(path) for path in target.prefix)]
    selectors: list[dict[str, Any]] = [{"argv": [_argument(each)]} for each in target.argv_matches]
    selectors += [{"line": {"starts": each}} for each in target.cmdline_prefixes]
    common = {
        "id": rule.id or f"rule-{number}",
        "description": rule.description[:1000],
        "action": rule.action.type,
    }
    where = {"path": paths} if paths else {}
    return [{**common, "exec": {**where, **selector}} for selector in selectors or [{}]]


def _name(suffix: str) -> str:
    name = suffix.removeprefix("/")
    if not name or "/" in name:
        raise UsageError(
            f"inputs.proc.ai_agent.enforcement: the suffix {suffix!r} is not the name of a program; write /name, or exact"
        )
    return name


def _below(prefix: str) -> str:
    return f"{prefix}**" if prefix.endswith("/") else f"{prefix}*"


def _argument(argument: ExecArgument) -> dict[str, Any]:
    return {"index": argument.index, _OPERATIONS[argument.op]: argument.value}

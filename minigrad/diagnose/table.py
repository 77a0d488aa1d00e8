"""The table of a diagnosis: each term with its factor at two sizes, what is wanted, and what stays unexplained."""

from __future__ import annotations

from collections.abc import Sequence

from .factors import ONE, Sizes
from .findings import Case, Finding
from .regression import UNEXPLAINED

WIDTH = 52  # of the term's name and equation


def table(case: Case, finding: Finding, settings: Sequence[Sizes], whose: str) -> list[str]:
    """The lines of the table for one result."""
    shown = _settings_shown(finding, settings)
    equations = {term.name: term.equation for term in case.terms}
    longest = max(len(name) for name in [*equations, "unexplained"])
    labels = {name: f"  {name:<{longest}}  {equation}".rstrip() for name, equation in equations.items()}
    width = min(max(map(len, [*labels.values(), "  unexplained"])), WIDTH) + 2
    heads = [_label(settings, i) for i in shown] if finding.fit is not None else ["factor"]
    column_width = max([10, *(2 + len(text) for text in (finding.shown or {}).values())])
    lines = [
        f"{whose} as a sum of the derivation's terms:",
        " " * width + "".join(f"{head:>{column_width}}" for head in heads) + "    want",
    ]
    for k, name in enumerate(equations):
        label = labels[name] if len(labels[name]) <= width else labels[name][: width - 3] + "..."
        if finding.fit is None:
            cells = f"{(finding.shown or {}).get(name, '1'):>{column_width}}"
            verdict = "WRONG" if name in finding.terms else "ok"
        else:
            column = finding.fit.coefficients[:, k]
            cells = "".join(
                f"{column[i] + 0.0:>10.6f}" if abs(column[i]) < 1e3 else f"{column[i]:>10.3g}" for i in shown
            )
            right = case.known.recognise(column) is ONE
            verdict = "ok" if right and finding.fit.explains else "WRONG" if finding.fit.explains else "?"
        lines.append(f"{label:<{width}}{cells}       1   {verdict}")
    if finding.fit is not None:
        worst = float(finding.fit.residual.max())
        verdict = "ok" if worst < UNEXPLAINED else "WRONG"
        lines.append(f"{'  unexplained':<{width}}{worst:>10.0e}{'':>{10 * (len(shown) - 1)}}       0   {verdict}")
    return lines


def _settings_shown(finding: Finding, settings: Sequence[Sizes]) -> list[int]:
    """The first setting, and the one in which the dimension that the factors depend on has its other size."""
    if len(settings) == 1:
        return [0]
    dims = finding.dims or tuple(settings[0])[:1]
    changed = [i for i, s in enumerate(settings) if any(s[d] != settings[0][d] for d in dims)]
    return [0, *changed[:2]]


def _label(settings: Sequence[Sizes], i: int) -> str:
    if len(settings) == 1:
        return "factor"
    if i == 0:
        changed = [d for s in settings[1:2] for d in s if s[d] != settings[0][d]]
    else:
        changed = [d for d in settings[i] if settings[i][d] != settings[0][d]]
    return " ".join(f"{d}={settings[i][d]}" for d in changed)

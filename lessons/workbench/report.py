"""The account of a run for programs: ``report.json``."""

from __future__ import annotations

import json
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lessons.anatomy import Axis, Claim, Figure, Lesson, Note, Run, Section, Slider, Table
from lessons.anatomy.files import write_atomically

NAME = "report.json"


def version() -> str:
    """The version of minigrad that is installed, or "unknown" in a bare checkout."""
    try:
        return metadata.version("minigrad")
    except metadata.PackageNotFoundError:
        return "unknown"


def write(lesson: Lesson, run: Run, folder: Path) -> Path:
    """Write the report of ``run`` into ``folder``, atomically; returns its path."""
    path = folder / NAME
    text = json.dumps(report(lesson, run), indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode())
    return path


def report(lesson: Lesson, run: Run) -> dict[str, Any]:
    """The run as plain JSON values; numbers that JSON lacks appear as the strings "nan", "inf" and "-inf"."""
    return {
        "lesson": lesson.name,
        "title": lesson.title,
        "headline": lesson.headline,
        "size": run.size,
        "seed": run.seed,
        "passed": run.passed,
        "claims": len(run.claims),
        "claims_failed": sum(not claim.passed for claim in run.claims),
        "versions": {"minigrad": version(), "python": platform.python_version(), "numpy": np.__version__},
        "sections": [_section(section) for section in run.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if section.part is not None:
        part = section.part
        about = {"name": part.name, "kind": part.kind, "title": part.title, "terms": list(part.terms)}
        if section.part.erratum is not None:
            erratum = section.part.erratum
            about["erratum"] = {"kind": erratum.kind, "printed": erratum.printed, "right": erratum.right}
    return {
        **about,
        "passed": section.passed,
        "seconds": round(section.seconds, 4),
        "items": [_item(item) for item in section.items],
    }


def _item(item: Claim | Note | Table | Figure) -> dict[str, Any]:
    if isinstance(item, Claim):
        return {
            "type": item.kind,
            "text": item.text,
            "measured": plain(item.measured),
            "requirement": item.requirement,
            "passed": item.passed,
            **({"problem": item.problem} if item.problem else {}),
        }
    if isinstance(item, Note):
        return {"type": "note", "text": item.text}
    if isinstance(item, Table):
        rows = [[plain(value) for value in row] for row in item.rows]
        return {"type": "table", "title": item.title, "headers": list(item.headers), "rows": rows}
    files = [path.name for path in item.files]
    if isinstance(item, Slider):
        return {
            "type": "slider",
            "name": item.name,
            "alt": item.alt,
            "axes": [_axis(axis) for axis in item.axes],
            "frames": [path.name for path in item.frames],
            "start": list(item.start),
            "still": files[0] if files else None,
            "files": files,
        }
    return {"type": "figure", "name": item.name, "alt": item.alt, "files": files}


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.name, "unit": axis.unit, "values": list(axis.values), "shown": list(axis.shown)}


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)

"""What is wrong with the claims: a section nobody answers for, figures changed by hand, stale values and pictures."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import StudyError
from experiments.studies.claims import pictures
from experiments.studies.claims.pages import ROOT, Section, pages, sections
from experiments.studies.claims.registry import FILE, Registered, Registry, Value, write

#: Called with commands run and commands in all.
Progress = Callable[[int, int], None]

#: Seconds that a command may take.
_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, and a sentence for each fault."""

    sections: int
    figures: int
    values: int
    faults: tuple[str, ...]


def check(
    registry: Registry, *, run: bool = False, root: Path = ROOT, progress: Progress = lambda done, total: None
) -> Checked:
    """Compare pages with the registry and with their pictures, and values with what their commands print now.

    Args:
        run: run the commands of values.
    """
    there = [one for page in pages(root) for one in sections(page, root)]
    found = [one for one in there if one.figures]
    faults = [fault for one in found for fault in _faults(one, registry)]
    faults += [fault for one in there if one.images for fault in pictures.faults(one, root)]
    named = {(one.page, one.title) for one in found}
    faults += [
        f"{one.page}, {one.title!r}: registered, but no section of that name has figures"
        for one in registry.sections
        if (one.page, one.title) not in named
    ]
    texts = {page: (root / page).read_text(encoding="utf-8") for page in {one.page for one in registry.values}}
    faults += [
        f"{value.page}: {value.text!r} is registered as a value, and is not there"
        for value in registry.values
        if value.text not in texts[value.page]
    ]
    if run:
        faults += _run(registry.values, progress)
    if not found:
        faults.append("no page has a figure: nothing was checked")
    return Checked(len(found), sum(len(one.figures) for one in found), len(registry.values), tuple(faults))


def update(registry: Registry, page: str, root: Path = ROOT, path: Path = FILE) -> list[str]:
    """Take a page's figures as they stand now, and draw its pictures; a new section gets the first command it names.

    Returns:
        A sentence for each section that changed.

    Raises:
        StudyError: there is no such page, or nothing beside a picture that could be drawn.
    """
    if not (root / page).is_file():
        raise StudyError(f"no page {page!r}; there are: {', '.join(str(one.relative_to(root)) for one in pages(root))}")
    said: list[str] = []
    kept = [one for one in registry.sections if one.page != page]
    for section in sections(root / page, root):
        said += pictures.redraw(section, root)
        if not section.figures:
            continue
        known = registry.find(page, section.title)
        if known is None:
            said.append(f"{page}, {section.title!r}: new, {len(section.figures)} figures")
            command = section.commands[0] if section.commands else ""
            why = "" if command else "SAY WHY no command has to print these"
            known = Registered(page=page, title=section.title, figures="", command=command, why=why)
        elif known.figures != section.digest:
            said.append(f"{page}, {section.title!r}: figures taken as they stand")
        kept.append(known.model_copy(update={"figures": section.digest}))
    order = {str(one.relative_to(root)): k for k, one in enumerate(pages(root))}
    kept.sort(key=lambda one: order.get(one.page, len(order)))
    write(Registry(tuple(kept), registry.values), path)
    return said


def _faults(one: Section, registry: Registry) -> list[str]:
    where = f"{one.page}, {one.title!r}"
    known = registry.find(one.page, one.title)
    if known is None:
        some = ", ".join(one.figures[:4])
        return [f"{where}: {len(one.figures)} figures ({some}) that no claim covers; `iemas claims update {one.page}`"]
    found = []
    if known.figures != one.digest:
        found.append(f"{where}: figures are not those registered; run {known.command or 'what makes them'!r} again")
    if bool(known.command) == bool(known.why) or known.why.startswith("SAY WHY"):
        found.append(f"{where}: say the command that prints its figures, or why none has to")
    return found


def _run(values: Sequence[Value], progress: Progress) -> list[str]:
    commands = list(dict.fromkeys(one.command for one in values))
    faults = []
    for done, command in enumerate(commands):
        progress(done, len(commands))
        try:
            printed = _printed(command)
        except StudyError as error:
            faults.append(str(error))
            continue
        for one in values:
            if one.command == command:
                faults += _compared(one, printed)
    progress(len(commands), len(commands))
    return faults


def _printed(command: str) -> Any:
    words = shlex.split(command)
    if words[0] != "iemas":
        raise StudyError(f"{command!r}: values are printed by `iemas` commands alone")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.cli", *words[1:]], capture_output=True, text=True, timeout=_LIMIT_S
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise StudyError(f"{command!r} took longer than {_LIMIT_S:.0f} s") from None
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise StudyError(f"{command!r} prints no JSON (exit {done.returncode}): {last}") from error


def _compared(one: Value, printed: Any) -> list[str]:
    try:
        now = float(_at(printed, one.at)) * one.factor
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
        return [f"{one.page}: {one.text!r}: {one.command!r} prints nothing at {one.at!r} ({error!r})"]
    said = float(one.text.replace(",", "").rstrip("%").strip())
    # A page rounds: half of its last digit is no difference.
    decimals = len(one.text.partition(".")[2].rstrip("% "))
    slack = abs(said) * one.tolerance + 0.5 * 10.0**-decimals + 1e-9
    if abs(now - said) > slack:
        return [f"{one.page}: says {one.text}, and {one.command!r} prints {now:g} at {one.at!r}"]
    return []


def _at(printed: Any, path: str) -> Any:
    for part in path.split("/"):
        name, picks, value = part.partition("=")
        if picks:
            printed = next(one for one in printed if str(one[name]) == value)
        elif isinstance(printed, list):
            printed = printed[int(part)]
        else:
            printed = printed[part]
    return printed

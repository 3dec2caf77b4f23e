"""Replay counterexamples in a fresh process: `python -m proofs.replay FILE [--mechanism NAME] [--allocator NAME]`.

FILE is a report (`Report.to_json`, `iemas audit --save`) or a single counterexample (`Counterexample.to_json`). Exit
code 0: everything happened again; 3: something did not; 4: mechanism, property or file cannot be had in this process.
"""

import argparse
import json
import pickle
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from mechanisms import DirectMechanism, MechanismError
from proofs.errors import ReplayError
from proofs.evidence.counterexample import Counterexample
from proofs.evidence.fresh_process import run_afresh
from proofs.lotteries.counterexample import LotteryCounterexample, lottery_mechanism
from proofs.subject.subject import Subject

REPLAYED, DIFFERS, OUT_OF_REACH = 0, 3, 4


def replay_fresh(subject: Subject, found: Sequence[Counterexample]) -> str:
    """Replay in another process, or in this one where the mechanism cannot be sent, and say which.

    A mechanism found by name is found again by name; any other object is pickled.

    Raises:
        ReplayError: a counterexample does not happen again.
    """
    try:
        payload = b"" if subject.name is not None else pickle.dumps(subject.mechanism)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return _replay_here(subject, found, str(error))
    try:
        scratch = tempfile.TemporaryDirectory(prefix="iemas-replay-")
    except OSError as error:
        return _replay_here(subject, found, f"no folder to write to: {error}; set TMPDIR")
    with scratch as folder:
        file, pickled = Path(folder, "found.json"), Path(folder, "mechanism.pickle")
        report = {
            "mechanism": {"name": subject.name, "allocator": subject.allocator},
            "findings": [{"counterexample": counterexample.as_dict()} for counterexample in found],
        }
        file.write_text(json.dumps(report))
        pickled.write_bytes(payload)
        child = run_afresh(["-m", "proofs.replay", str(file), *(["--pickle", str(pickled)] if payload else [])])
    said = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    if child.returncode == DIFFERS:
        raise ReplayError(f"in a fresh process the mechanism answers differently: {said}")
    if child.returncode != REPLAYED:
        return _replay_here(subject, found, said)
    return "replayed in a fresh process"


def _replay_here(subject: Subject, found: Sequence[Counterexample], why: str) -> str:
    for counterexample in found:
        counterexample.replay(subject.mechanism)
    return (
        f"replayed in this process only, as no other can build the mechanism or the property ({why}); "
        "define them in a module of their own"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.replay", description="Replay recorded counterexamples.")
    parser.add_argument(
        "file", type=Path, help="JSON from Report.to_json, Counterexample.to_json or iemas audit --save"
    )
    parser.add_argument("--mechanism", help="name of the mechanism, where the file does not record one")
    parser.add_argument("--allocator", help="allocator that the named rule runs over")
    parser.add_argument("--pickle", type=Path, help="a mechanism pickled by a running audit; open nobody else's")
    options = parser.parse_args(arguments)
    try:
        found = _load(options)
    except Exception as error:
        # Unpickling runs a stranger's imports, which may raise anything; the parent process wants one line and a code.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return OUT_OF_REACH
    for name, replay in found:
        try:
            print(f"{name}: happens again, by {replay()}")
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return DIFFERS
    return REPLAYED


#: A counterexample, and how it is replayed.
_Replays = list[tuple[str, Callable[[], int | Fraction]]]


def _load(options: argparse.Namespace) -> _Replays:
    data = json.loads(options.file.read_text())
    found = [finding["counterexample"] for finding in data["findings"]] if "findings" in data else [data]
    recorded = data.get("mechanism", {})
    entries = [entry for entry in found if entry is not None]
    # A claim about lotteries is kept by its name alone, a property with its parameters.
    lots = [LotteryCounterexample.from_json(json.dumps(entry)) for entry in entries if _of_lottery(entry)]
    if lots:
        drawn = lottery_mechanism(_name(options, recorded))
        return [(one.claim.name, partial(one.replay, drawn)) for one in lots]
    counterexamples = [Counterexample.from_json(json.dumps(entry)) for entry in entries]
    mechanism = _mechanism(options, recorded)
    return [(one.property.name, partial(one.replay, mechanism)) for one in counterexamples]


def _of_lottery(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("property"), str)


def _name(options: argparse.Namespace, recorded: dict[str, Any]) -> str:
    name = options.mechanism or recorded.get("name")
    if name is None:
        raise MechanismError(f"{options.file} names no mechanism; add --mechanism NAME")
    return str(name)


def _mechanism(options: argparse.Namespace, recorded: dict[str, Any]) -> DirectMechanism:
    if options.pickle is not None:
        mechanism: DirectMechanism = pickle.loads(options.pickle.read_bytes())
        return mechanism
    allocator = options.allocator if options.mechanism else recorded.get("allocator")
    return Subject.of(_name(options, recorded), allocator).mechanism


if __name__ == "__main__":
    sys.exit(main())

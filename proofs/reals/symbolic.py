"""`Symbolic`: the engine of `Reals`. A solver for real arithmetic finds a market that fails, or shows there is none.

Truth and misreport range over all real values, and over all assignments that the description allows, so one
"unsatisfiable" holds for every tie-break: PROVED. A market found becomes whole micro-units and must fail on the Python
object too: REFUTED. One that fails only between micro-units, or only if ties are broken otherwise than the object
breaks them, stays UNKNOWN, and says so.

For optimal allocation with Clarke payments a `Certificate` comes with the proof. All else rests on the solver: z3
(de Moura and Bjorner 2008), and cvc5 (Barbosa and others 2022) where a second opinion is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from mechanisms import DirectMechanism
from proofs.claims.property import Property
from proofs.errors import AuditError
from proofs.evidence.engine import Progress
from proofs.evidence.finding import Finding, Status
from proofs.reals.agreement import Agreement, compare
from proofs.reals.encoding import PROVABLE, Question, questions
from proofs.reals.object_audit import audit_object
from proofs.reals.scope import Reals
from proofs.reals.witness import Suspect
from proofs.reals.z3 import UndecidedError, smt_lib, solve
from proofs.scopes.grid import Scope
from proofs.symbols.certificate import About, Certificate
from proofs.symbols.description import describe


@dataclass(frozen=True, slots=True)
class Symbolic:
    """The engine of `Reals`.

    Args:
        timeout_s: seconds for each question; one that takes longer is UNKNOWN.
        second_opinion: also ask cvc5 before anything is PROVED.
    """

    timeout_s: float = 600.0
    second_opinion: bool = False

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Truthfulness of bidders, rationality, no deficit and efficiency, over real values."""
        return isinstance(scope, Reals) and prop in PROVABLE

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property: PROVED, REFUTED or UNKNOWN.

        Raises:
            DescriptionError: the mechanism has no description, or is not what it says.
            AuditError: a solver is missing, or two of them disagree.
        """
        if not isinstance(scope, Reals):
            raise AuditError(f"{type(scope).__name__} holds no real values; give Reals(...)")
        described = describe(mechanism)
        agreed = compare(mechanism, described, scope)
        refuted, audited = audit_object(mechanism, scope, properties)
        findings = []
        for index, prop in enumerate(properties):
            witness = refuted.get(prop.name)
            if witness is None:
                findings.append(self._finding(Suspect(prop, mechanism, described, scope), agreed, audited))
            else:
                note = f"of the object, on a grid; {described} is its description"
                cases = agreed.markets
                findings.append(Finding(prop, Status.REFUTED, scope, cases, 0.0, witness.amount, witness, note))
            progress(index + 1, len(properties))
        return findings

    def _finding(self, suspect: Suspect, agreed: Agreement, audited: str) -> Finding:
        started = perf_counter()
        prop, scope = suspect.prop, suspect.scope
        status, witness, certificate = Status.PROVED, None, None
        asked = questions(prop, suspect.described, scope)
        notes = []
        try:
            for index, question in enumerate(asked):
                point = solve(question, scope, self.timeout_s)
                if point is None:
                    continue
                witness = suspect.witness(index, question.bidder, point, self.timeout_s)
                if witness is not None:
                    status, notes = Status.REFUTED, suspect.units()
                    break
                status = Status.UNKNOWN
                notes.append(
                    "refuted between micro-units or for another tie-break than the object's; "
                    "no violation was found in whole micro-units and for its own"
                )
            if status is Status.PROVED:
                notes.append("z3" + self._second(asked, scope))
        except UndecidedError as reason:
            status, notes = Status.UNKNOWN, [str(reason)]
        if status is Status.PROVED and Certificate.covers(prop, suspect.described):
            certificate = Certificate.of(prop, scope.space, About.of(suspect.mechanism, str(agreed)))
            notes.append(f"certificate of {certificate.check()} obligations checked")
        cases, seconds = sum(question.cases for question in asked), perf_counter() - started
        worst = 0 if witness is None else witness.amount
        note = "; ".join([f"of the description: {suspect.described}", *notes, str(agreed), audited])
        return Finding(prop, status, scope, cases, seconds, worst, witness, note, certificate, agreed.markets)

    def _second(self, asked: Sequence[Question], scope: Reals) -> str:
        """Ask cvc5 the same; it must agree that there is no such market."""
        if not self.second_opinion:
            return ""
        try:
            import cvc5
        except ImportError as error:
            raise AuditError("a second opinion needs cvc5: pip install cvc5, or second_opinion=False") from error
        for question in asked:
            solver = cvc5.Solver()
            solver.setOption("tlimit-per", str(round(1000 * self.timeout_s)))
            parser = cvc5.InputParser(solver)
            parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, smt_lib(question, scope), "question")
            symbols = parser.getSymbolManager()
            while not (command := parser.nextCommand()).isNull():
                verdict = command.invoke(solver, symbols).strip()
            if verdict == "sat":
                raise AuditError(
                    "z3 finds no violation and cvc5 finds one; one of the solvers is wrong, believe neither"
                )
            if verdict != "unsat":
                raise UndecidedError(f"cvc5 did not decide within {self.timeout_s:g} s ({verdict})")
        return " and cvc5 agree"

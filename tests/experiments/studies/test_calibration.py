"""Fitting a step time: what the simulator itself did must be found again, and what cannot be right refused."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from experiments.commands.preparing.calibrate import calibrate
from experiments.errors import CalibrationError
from experiments.studies.calibration import Conversation, Fit, Run, fit, measure, plan
from runtime import EngineError, EngineShape, SimulatedEngine, StepTime, calibration, running
from runtime.engines.simulated.step_time import calibrations
from runtime.engines.simulated.virtual_time import run

TRUTH = StepTime(0.06, 0.003, 0.004, 3e-5, 0.02, "itself", 0.0, 0.0, 4e-6, 0.001)
MEASURED = Path(__file__).parent / "measured"
APP = Typer()
APP.command()(calibrate)
RUN = CliRunner()


def simulated_runs(bursts: list[list[Conversation]], max_tokens: int) -> list[Run]:
    async def main() -> list[Run]:
        engine = SimulatedEngine("truth", lambda request: "word " * 40, TRUTH, EngineShape(32, 2000))
        async with running([engine]):
            return [one for k, burst in enumerate(bursts) for one in await measure(engine, burst, k, max_tokens)]

    return run(main(), virtual=True)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return simulated_runs([*plan()[:10], *plan()[12:14]], 3)


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> Fit:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.studies.calibration._PATIENCE", (150, 100))
        return fit(runs)


def test_the_plan_holds_new_and_repeated_prompts_alone_and_together() -> None:
    bursts = plan()
    assert bursts == plan()
    assert sorted({len(burst) for burst in bursts}) == [1, 2, 4, 8]
    for size in (1, 2, 4, 8):
        chosen = [one for burst in bursts if len(burst) == size for one in burst]
        assert 0 < sum(len(one) > 1 for one in chosen) < len(chosen)


def test_a_repeated_prompt_is_measured_as_cached(runs: list[Run]) -> None:
    # The first repeats too few tokens to fill a block.
    assert [run.cached_tokens > 0 for run in runs[2:10]] == [False, True] * 4


def test_the_simulators_own_coefficients_are_found_again(found: Fit) -> None:
    step = found.step_time
    assert step.base_s == pytest.approx(TRUTH.base_s, rel=0.15)
    assert step.prompt_token_s == pytest.approx(TRUTH.prompt_token_s, rel=0.15)
    assert step.attention_pair_s == pytest.approx(TRUTH.attention_pair_s, rel=0.3)
    assert step.overhead_s == pytest.approx(TRUTH.overhead_s, rel=0.5)


def test_the_error_on_runs_held_out_is_said(found: Fit, runs: list[Run]) -> None:
    step = found.step_time
    assert found.errors.shape == (len(runs), 2)
    assert sorted(set(found.sent_at_once)) == [1, 2]
    assert [step.first_token_error, step.latency_error] == np.median(np.abs(found.errors), axis=0).round(3).tolist()
    assert max(step.first_token_error, step.latency_error) < 0.05
    assert step.fitted_to == "simulated (itself), 14 runs in bursts of 1 to 2"


def test_what_cannot_be_fitted_is_refused(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"5 bursts.*at least 6"):
        fit(runs[:5])
    other = Run("another", 99, 5, 0, 2, 1.0, 2.0)
    with pytest.raises(CalibrationError, match=r"runs of 2 models, another, simulated"):
        fit([*runs, other])
    good = json.loads(runs[0].to_json())
    for wrong in ({"latency_s": 0.0}, {"cached_tokens": 10**6}, {"output_tokens": 0}, {"first_token_s": "soon"}):
        path = tmp_path / "bad.jsonl"
        path.write_text(json.dumps(good | wrong) + "\n")
        with pytest.raises(CalibrationError, match=r"bad\.jsonl is no measurement of runs"):
            Run.load(path)
    path.write_text('{"burst": 1}\n')
    with pytest.raises(CalibrationError, match="model"):
        Run.load(path)
    with pytest.raises(CalibrationError, match=r"none\.jsonl"):
        Run.load(tmp_path / "none.jsonl")


def test_the_command_fits_a_file_and_saves_what_a_fleet_can_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.studies.calibration._PATIENCE", (5,))
    save = tmp_path / "mine.json"
    file = MEASURED / "smollm2-135m-cpu.jsonl"
    result = RUN.invoke(APP, ["--fit-only", str(file), "--save", str(save), "--label", "my machine"])
    assert result.exit_code == 0, result.output
    assert "Error, held out" in result.stdout
    assert "fitted to my machine" in " ".join(result.stdout.split())
    assert calibration(save) == StepTime.load(str(save))
    assert calibration(str(save)).fitted_to == "my machine"


@pytest.mark.parametrize("arguments", [[], ["--model", "a", "--url", "b"]])
def test_the_command_wants_one_thing_to_measure(arguments: list[str]) -> None:
    result = RUN.invoke(APP, arguments)
    assert result.exit_code == 2
    assert "--fit-only" in result.stderr


def test_bursts_in_the_file_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.studies.calibration._PATIENCE", (1,))
    monkeypatch.setattr("experiments.studies.calibration._LENGTHS", (3, 5))
    monkeypatch.setattr("experiments.studies.calibration._CROWDS", ((2, 4),))
    measured: list[str] = []

    def engines(urls: list[str], slots: int) -> tuple[list[SimulatedEngine], list[None]]:
        def reply(request: object) -> str:
            measured.append(request.id.split("-")[0])  # type: ignore[attr-defined]
            return "yes"

        return [SimulatedEngine(urls[0], reply, StepTime(1e-3, 0, 0, 0, 0, urls[0], 0, 0), EngineShape(4))], [None]

    monkeypatch.setattr("experiments.worlds.fleets.connected_fleet", engines)
    path = tmp_path / "runs.jsonl"
    arguments = ["--runs", str(path), "--url"]
    assert RUN.invoke(APP, [*arguments, "a"]).exit_code == 0
    assert set(measured) == {"first", *"12345678"}
    whole = path.read_text()
    path.write_text("".join(line for line in whole.splitlines(keepends=True) if '"burst": 5' not in line))
    measured.clear()
    result = RUN.invoke(APP, [*arguments, "b"])
    assert "runs of simulated (a), not of simulated (b)" in str(result.exception)
    measured.clear()
    assert RUN.invoke(APP, [*arguments, "a"]).exit_code == 0
    assert set(measured) == {"first", "5"}
    assert len(Run.load(path)) == len(whole.splitlines())


@pytest.mark.parametrize("name", calibrations())
def test_what_ships_was_fitted_to_the_runs_in_this_repository(name: str) -> None:
    from experiments.studies.calibration import _ratios

    measured = Run.load(MEASURED / f"{name}.jsonl")
    bursts = [[one for one in measured if one.burst == burst] for burst in sorted({one.burst for one in measured})]
    shipped = calibration(name)
    errors = np.median(np.abs(_ratios(bursts, shipped, EngineShape(32, 2000)) - 1), axis=0)
    assert errors[0] < shipped.first_token_error + 0.02
    assert errors[1] < shipped.latency_error + 0.02
    assert shipped.first_token_error < 0.1
    assert shipped.latency_error < 0.1


def test_a_calibration_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no calibration 'gpu'; there are: .*smollm2-135m-cpu"):
        calibration("gpu")
    path = tmp_path / "mine.json"
    with pytest.raises(EngineError, match=r"mine\.json is no calibration: FileNotFound"):
        calibration(path)
    for text in ("{}", "[]", "{", '{"fitted_to": "x", "base_s": "fast"}', '{"fitted_to": "x", "speed": 1}'):
        path.write_text(text)
        with pytest.raises(EngineError, match="is no calibration"):
            StepTime.load(path)


def test_ending_the_measurement_stops_the_engine() -> None:
    from experiments.commands.preparing.calibrate import _measure

    engine = SimulatedEngine("slow", lambda request: "yes", TRUTH)

    async def main() -> None:
        job = asyncio.create_task(_measure(engine, dict(enumerate(plan())), 4, lambda model: None, lambda runs: None))
        await asyncio.sleep(1.0)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)

    run(main(), virtual=True)
    assert engine._worker is None

"""What is said of a script: which of its numbers is which, what comes first, and what to write on a line."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
import sys
import timeit
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reload_audit.observing.counting import asking_for_both
from reload_audit.observing.figure import figure_of
from reload_audit.observing.lines import UserLines
from reload_audit.observing.paths import as_written
from reload_audit.observing.printed import number_that_is_no_mean, numbers_in
from reload_audit.observing.shown import Shown
from reload_audit.records.observation import (
    Line,
    Observation,
    ObservedEpisode,
    ObservedPrint,
    ObservedRun,
    UntilAny,
)
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.records.script_record import ScriptDifference
from reload_audit.records.specs import ScriptSpec
from reload_audit.reports.scripts import about_scripts, scripts_answer
from reload_audit.results.scripts import one_text_a_line, with_unexplained
from support.audit_contents import script_entry
from support.builders import ROOT
from support.observed_scripts import environment_seen

REWARDS = (-7.31, -2.64, -11.02, -4.87, -9.15)
LAST = (-0.021, -0.034, -0.008, -0.027, -0.011)
STEP, SHOW = Line("enjoy.py", 9, "obs, reward, done, info = env.step(action)"), Line("enjoy.py", 14, "print(score)")


def seen(
    *texts: str, rewards: Sequence[float] = REWARDS, last: Sequence[float] = LAST, n_envs: int = 1, length: int = 50
) -> tuple[Observation, ObservedRun]:
    """A script that prints texts after its episodes, which environments side by side take turns to finish."""
    episodes = [
        ObservedEpisode(index % n_envs, reward, reward, length, "ended", 0, end)
        for index, (reward, end) in enumerate(zip(rewards, last, strict=True))
    ]
    run = ObservedRun(0, 0, [], episodes, [], {}, 0, 0, 0, 0, length * len(episodes), STEP)
    layers = ("DummyVecEnv",)
    environment = environment_seen(layers=layers, n_envs=n_envs)
    prints = [ObservedPrint(SHOW, text) for text in texts]
    numbers = tuple(number for text in texts for number in numbers_in(text))
    return Observation("enjoy.py", (), [], [], [environment], [run], printed=numbers, prints=prints), run


def shown_by(script: Path) -> tuple[Shown, str, str]:
    """What a script shows, and all of its standard output and error."""
    shown, output, error = Shown(UserLines(script, [])), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error), shown.watching():
            runpy.run_path(str(script), run_name="__main__")
    return shown, output.getvalue(), error.getvalue()


def said_of(*texts: str, **other: int) -> str:
    observation, run = seen(*texts, **other)
    return number_that_is_no_mean(observation, run, float(np.mean(REWARDS)))


HEALTHY = {
    "its mean": [f"mean reward: {np.mean(REWARDS):.2f} +/- {np.std(REWARDS):.2f}"],
    "its mean to one digit": [f"Mean reward {np.mean(REWARDS):.1f}"],
    "its mean as an integer": [f"reward: {int(np.mean(REWARDS))}"],
    "its mean before other numbers": [f"score {np.mean(REWARDS):.3f}", "took 12.75 s", "0.91"],
    "each episode": [f"Episode {n}: reward {reward:.1f}" for n, reward in enumerate(REWARDS)],
    "its mean in a table": [f"| reward | {np.mean(REWARDS):8.3f} | 50 |"],
    "no reward": [
        "loaded ppo.zip, seed 17",
        "50 steps per episode",
        "mean of 5 episodes",
        "torch 2.4.1",
        "done in 3.7",
    ],
    "what says itself that it is the last": [f"reward of the last episode {REWARDS[-1]}"],
    "what its environment is": ["reward threshold: 475.0", "reward range (-inf, 0.5)"],
    "success": ["success rate: 0.85"],
    "an observation": ["[ 0.0213 -0.1177  0.0345  0.2971]"],
    "what nobody calls a reward": ["jit -0.4412"],
    "nothing": [],
}


@pytest.mark.parametrize("what", HEALTHY)
def test_nothing_is_said_of_a_script_that_prints(what: str) -> None:
    assert said_of(*HEALTHY[what]) == ""


ALIKE = (500.0, 500.0, 500.0), (1.0, 1.0, 1.0)
CAUGHT = tuple(float(n < 37) for n in range(50))
LONG = (-57.3, -64.9, -60.4, -61.2, -58.6, -66.1, -59.9, -60.7, -62.3, -59.5)
SAYS_ITSELF = {
    "Normalized score: 1.00": ALIKE,
    "Success rate (score >= 475): 1.00": ALIKE,
    "Mean reward per step: 1.00": ALIKE,
    "Goal reward collected in 37 of 50 episodes": (CAUGHT, CAUGHT),
    f"Total reward over all episodes: {sum(LONG):.1f}": (LONG, LONG),
    f"Reward per step: {sum(LONG) / 500:.3f}": (LONG, LONG),
    "step 7 reward 1.0\nmean reward: 500.0": ALIKE,
    "mean reward of model 7e1234567, 7e999 and 0e999": ALIKE,
    "mean reward: 10,374.06": ((10_374.05, 10_374.07), (3.1, 4.2)),
    "Discounted return: -88.41": (LONG, LONG),
    "Reward components: forward 1.25 ctrl -0.31": (LONG, LONG),
    "Reward weights: 0.5 0.31": (LONG, LONG),
    "Best mean reward in checkpoint.zip: -144.31 (step 100000)": (LONG, LONG),
    "IQM score: -133.13": (LONG, LONG),
    "Score: 87.5 out of 100": (LONG, LONG),
    "Score: 87.5/100": (LONG, LONG),
    "Evaluation of return finished in 12.31 s": (LONG, LONG),
    "last reward: -0.7700": (LONG, (-1.31, -0.77) * 5),
    "reward 500": ((50.0, 51.0, 49.0), (3.1, 4.2, 5.3)),
    "rewards: [-0.2 -1.3 0.7 0.4]": (LONG, LONG),
}


@pytest.mark.parametrize("text", SAYS_ITSELF)
def test_nothing_is_said_of_a_number_that_the_script_itself_calls_another(text: str) -> None:
    rewards, last = SAYS_ITSELF[text]
    n = len(rewards)
    observation, run = seen(*text.split("\n"), rewards=rewards, last=last, length=500 if n == 3 else 50)
    figure = figure_of(observation, run)
    assert figure is not None
    assert figure.printed == ""
    assert number_that_is_no_mean(observation, run, float(np.mean(rewards))) == ""


ONE_REMARK = {
    "Mean reward: 1.00": (*ALIKE, "the mean reward of a step"),
}


@pytest.mark.parametrize("text", ONE_REMARK)
def test_a_number_that_may_be_meant_so_is_a_remark_alone(text: str) -> None:
    rewards, last, said = ONE_REMARK[text]
    observation, run = seen(text, rewards=rewards, last=last, length=500 if len(rewards) == 3 else 50)
    figure = figure_of(observation, run)
    assert figure is not None
    assert figure.printed == ""
    assert said in number_that_is_no_mean(observation, run, float(np.mean(rewards)))


def test_nothing_is_said_where_the_mean_of_each_of_several_settings_is_printed() -> None:
    rewards = (-7.0, -9.0, -150.0, -170.0, -520.0, -530.0)
    for texts, is_said in ((["-8.00", "-160.00", "-525.00"], False), (["-8.00", "-525.00"], True)):
        observation, run = seen(*(f"noise: mean return {one}" for one in texts), rewards=rewards, last=rewards)
        assert bool(number_that_is_no_mean(observation, run, float(np.mean(rewards)))) == is_said


def test_nothing_is_said_where_a_library_shows_the_mean() -> None:
    observation, run = seen("Mean reward: 37.21")
    shown = replace(observation, printed=(*observation.printed, float(np.mean(REWARDS))))
    assert number_that_is_no_mean(observation, run, -7.0) != ""
    assert number_that_is_no_mean(shown, run, -7.0) == ""


def test_lines_end_with_a_carriage_return_too_and_the_last_needs_no_end(tmp_path: Path) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text(
        "for step in range(300):\n    print(f'step {step} reward 1.0', end='\\r')\n"
        "print('\\rmean reward: 500.0')\nprint('best:', 7.5, end='')\n"
    )
    shown, _, _ = shown_by(script)
    *steps, mean, best = shown.prints()
    assert (mean.text, mean.count, mean.line and mean.line.line) == ("mean reward: 500.0", 1, 3)
    assert (best.text, best.count, best.line and best.line.line) == ("best: 7.5", 1, 4)
    assert {one.count for one in steps} == {300}
    assert shown.numbers()[-2:] == (500.0, 7.5)


@pytest.mark.parametrize("part", ["a", "a.b/", "1", "1:", "12/"])
def test_looking_at_a_line_takes_time_in_proportion_to_its_length(tmp_path: Path, part: str) -> None:
    shown = Shown(UserLines(tmp_path / "enjoy.py", []))

    def seconds(size: int) -> float:
        text = (part * size)[:size]
        return min(timeit.repeat(lambda: shown.add(text, None), number=1, repeat=5))

    assert seconds(20_000) < 40 * seconds(2_000)


ZOO = ROOT / "build/rl_zoo"
WITH_TQDM = f"import sys; sys.path.append({str(ZOO)!r}); from tqdm import tqdm"
SHOWS = {
    "standard output": "import sys\nsys.stdout.write('mean reward: NUMBER\\n')",
    "standard error": "import sys\nprint('mean reward:', NUMBER, file=sys.stderr)",
    "logging": """
import logging, sys
logger, handler = logging.getLogger("shows"), logging.StreamHandler()
handler.setFormatter(logging.Formatter("2026-11-28 21:05:37,125 shows %(filename)s:%(lineno)d INFO - %(message)s"))
logger.handlers = [handler]
logger.warning("mean reward: %.2f", NUMBER)""",
    "click": "import click\nclick.secho('mean reward: NUMBER', fg='green', color=True)",
    "tqdm": f"{WITH_TQDM}\nfor _ in tqdm(range(5)):\n    pass\ntqdm.write('mean reward: NUMBER')",
    "rich": "from rich.console import Console\nConsole(force_terminal=True).print('[b]mean reward[/b]', NUMBER)",
    "a table of rich": """
from rich.console import Console
from rich.table import Table
table = Table("", "of 5 episodes")
table.add_row("mean reward", "NUMBER")
Console().print(table)""",
    "json": "import json, sys\njson.dump({'mean_reward': NUMBER}, sys.stdout)",
    "pprint": "import numpy as np\nfrom pprint import pprint\npprint({'mean_reward': np.float64(NUMBER)})",
    "pandas": "import pandas as pd\nprint(pd.Series({'mean_reward': NUMBER, 'mean_length': 50.0}))",
}


def written(tmp_path: Path, text: str) -> Path:
    if WITH_TQDM in text and not ZOO.is_dir():
        pytest.skip("needs tqdm: make build/rl_zoo/ready")
    script = tmp_path / "enjoy.py"
    script.write_text(text)
    return script


def shows(tmp_path: Path, text: str) -> tuple[Observation, ObservedRun]:
    """A script that shows a text after its episodes."""
    script = written(tmp_path, text)
    shown, _, _ = shown_by(script)
    observation, run = seen()
    return replace(observation, printed=shown.numbers(), prints=shown.prints()), run


@pytest.mark.parametrize("way", SHOWS)
def test_a_number_is_looked_at_whichever_way_a_script_shows_it(tmp_path: Path, way: str) -> None:
    observation, run = shows(tmp_path, SHOWS[way].replace("NUMBER", f"{sum(REWARDS):.2f}"))
    figure = figure_of(observation, run)
    assert figure is not None
    assert figure.printed == "the sum of 5 episodes"
    assert (figure.mean, figure.where and figure.where.line) == (-34.99, len(SHOWS[way].split("\n")))
    observation, run = shows(tmp_path, SHOWS[way].replace("NUMBER", f"{np.mean(REWARDS):.2f}"))
    figure = figure_of(observation, run)
    assert figure is not None
    assert figure.printed == ""
    assert observation.printed
    assert number_that_is_no_mean(observation, run, float(np.mean(REWARDS))) == ""


@pytest.mark.parametrize("way", SHOWS)
def test_what_a_script_writes_is_the_same_in_every_byte_watched_or_not(tmp_path: Path, way: str) -> None:
    script = written(tmp_path, SHOWS[way].replace("NUMBER", "-34.99"))
    _, output, error = shown_by(script)
    alone = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    assert output == alone.stdout
    assert way == "tqdm" or error == alone.stderr  # a bar of which says how fast it is
    assert "34.99" in output + error


NO_FIGURES = {
    "a progress bar with a sum of all rewards": f"""
{WITH_TQDM}
total, bar = 0.0, tqdm({REWARDS}, mininterval=0)
for reward in bar:
    total += reward
    bar.set_postfix(reward=total)""",
    "an error": """
import traceback
try:
    raise ValueError("reward: 37.21")
except ValueError:
    traceback.print_exc()""",
    "a table of SB3's": """
import sys
from stable_baselines3.common.logger import HumanOutputFormat, Logger
logger = Logger(None, [HumanOutputFormat(sys.stdout)])
logger.record("eval/mean_reward", 37.21)
logger.dump()""",
    "when and where": "print('2026-11-28T21:05:37.125Z 11/28/26 21:05:37 enjoy.py:147 main:run:18 - end')",
}


@pytest.mark.parametrize("what", NO_FIGURES)
def test_no_figure_is_taken_from(tmp_path: Path, what: str) -> None:
    observation, run = shows(tmp_path, NO_FIGURES[what])
    figure = figure_of(observation, run)
    assert figure is not None
    assert figure.printed == ""
    assert number_that_is_no_mean(observation, run, float(np.mean(REWARDS))) == ""
    assert observation.prints == ()


OTHERWISE = {
    f"best of all: reward {max(REWARDS)}": "the best of its 5 episodes",
    f"Reward: {max(REWARDS)}": "the best of its 5 episodes",
    f"{min(REWARDS)}": "the worst of its 5 episodes",
    f"mean score {np.median(REWARDS)}": "the median of its 5 episodes",
    f"reward {REWARDS[0]:.2f}": "the reward of the first of its 5 episodes alone",
    f"total reward: {REWARDS[-1]:.2f}": "the reward of the last of its 5 episodes alone",
    "mean reward over 5 episodes: 37.21": "none of the usual figures of them gives that number",
    f"reward {-np.mean(REWARDS):.3f}": "the mean of its episodes with the other sign",
    f"mean reward {np.std(REWARDS):.3f}": "the deviation of its 5 episodes",
    "rewards [-0.02 -0.03] mean -0.5531": "it prints -0.5531",
    "-0.5531": "none of the usual figures of them gives that number",
}


@pytest.mark.parametrize("text", OTHERWISE)
def test_a_number_that_is_not_the_mean_of_the_episodes_is_said_to_be_another(text: str) -> None:
    said = said_of(text)
    assert OTHERWISE[text] in said
    assert "(enjoy.py:14)" in said
    assert f"{np.mean(REWARDS):.4g}" in said


def test_nothing_is_said_of_what_a_script_prints_in_each_step_or_before_it_was_stopped() -> None:
    observation, run = seen("reward -0.31")
    each = [replace(observation.prints[0], count=250)]
    assert number_that_is_no_mean(replace(observation, prints=each), run, -7.0) == ""
    assert number_that_is_no_mean(replace(observation, stopped="enough"), run, -7.0) == ""


def test_an_answer_that_all_is_well_is_not_given_beside_a_number_that_is_another() -> None:
    entry = replace(SAME, shown="it prints 7 (enjoy.py:14), the best of its 20 episodes; their mean is 50")
    assert scripts_answer([SAME]) == "enjoy.py earns what its model earns"
    assert scripts_answer([entry]) == "enjoy.py earns what its model earns, but the number that it prints is another"
    assert "  it prints 7 (enjoy.py:14), the best of its 20 episodes; their mean is 50" in about_scripts((entry,))


COUNTED = {
    f"mean {np.mean(LAST):.4f}": "the mean of the last reward of each of 5 episodes",
    f"mean reward {sum(REWARDS) / 6:.3f}": "the sum of 5 episodes, divided by 6",
    f"reward {sum(REWARDS) / 250:.5f}": "the mean reward of a step",
    f"mean reward over 5 episodes: {np.mean(LAST):.4f}, std 0.009": "the mean of the last reward of each of 5 episodes",
    f"average return per episode = {sum(REWARDS) / 4:.2f}": "the sum of 5 episodes, divided by 4",
    f"reward {sum(REWARDS):.2f}": "the sum of 5 episodes",
    f"mean {np.cumsum(REWARDS).mean():.3f}": "the mean of sums that go on from one episode to the next",
}


@pytest.mark.parametrize("text", COUNTED)
def test_a_number_that_is_made_of_other_parts_of_episodes_is_named(text: str) -> None:
    figure = figure_of(*seen(text))
    assert figure is not None
    assert (figure.printed, figure.where) == (COUNTED[text], SHOW)


def test_sums_that_go_on_are_named_where_each_is_printed() -> None:
    figure = figure_of(*seen(*(f"episode {n} reward {total:.2f}" for n, total in enumerate(np.cumsum(REWARDS)[1:]))))
    assert figure is not None
    assert figure.printed in ("the sum of 5 episodes", "a sum that goes on from one episode to the next")


def test_numbers_that_happen_to_be_small_are_no_figures_of_episodes() -> None:
    figure = figure_of(*seen("reward 0", "reward 0.0", "mean 0.0"))
    assert figure is not None
    assert figure.printed == ""


def test_of_two_readings_of_a_number_the_one_is_named_that_explains_what_else_is_printed_or_both() -> None:
    rewards = [-6.1, -5.2, -7.3, -8.4] * 4
    sums = [sum(rewards[slot::4]) for slot in range(4)]
    alone = f"Total reward: {np.mean(sums):.2f}"
    each, added_up = "the sum of 4 episodes of each environment", "the rewards of all 4 environments, added up"
    for text, printed in {f"{np.round(sums, 3)}, {alone}": each, alone: f"{added_up}, or {each}"}.items():
        figure = figure_of(*seen(text, rewards=rewards, last=[-0.1] * 16, n_envs=4))
        assert figure is not None
        assert figure.printed == printed


def test_sums_until_any_environment_ends_an_episode_are_named_unless_the_first_one_ends_each() -> None:
    beside = [UntilAny(-7.31, -20.5, -0.1), UntilAny(-1.25, -9.75, -0.2), UntilAny(-1.39, -4.5, -0.3)]
    ways = {
        f"mean reward {-9.95 / 3:.4f}": "the mean of the rewards of one environment",
        f"mean reward {-34.75 / 9:.4f}": "the mean of the mean of the rewards of all 3 environments",
        f"mean reward {-34.75 / 3:.4f}": "the mean of the rewards of all 3 environments added up",
    }
    for text, way in ways.items():
        observation, run = seen(text, rewards=[-7.31, -2.64, -11.02], last=[0.0] * 3, n_envs=3)
        said = f"{way}, each time that an episode of any of 3 environments ends"
        for until_any, printed in ((beside, said), ([], "")):
            figure = figure_of(observation, replace(run, until_any=until_any))
            assert figure is not None
            assert figure.printed == printed
    observation, run = seen(f"score {-9.95 / 3:.4f}", rewards=[-7.31, -2.64] * 3, last=[0.0] * 6, n_envs=2)
    figure = figure_of(observation, replace(run, until_any=beside))
    assert figure is not None
    assert figure.printed == ""


SAME = replace(ScriptEntry.from_dict(script_entry()), n=1, together=None)
"""A script that earns what its model does."""


def test_both_figures_are_given_with_their_numbers_of_episodes() -> None:
    (line,) = about_scripts((SAME,))
    assert line.startswith("enjoy.py earns 50 ± 1 (1 episode); robot earns 50 ± 2 (200 episodes)")


def test_a_printed_number_is_given_no_deviation_of_episodes() -> None:
    counted = ScriptCause("episodes-counted-wrongly", "enjoy.py:14", "print(x)", "it prints 0.2, a mean of steps", "")
    entry = replace(SAME, mean=0.2, std=None, n=10, causes=(counted,))
    said = "".join(about_scripts((entry,)))
    assert said.startswith("enjoy.py prints 0.2, where an episode earns 50 in the environment (10 episodes); robot")


def test_a_fault_that_makes_no_other_number_is_not_said_to_make_one() -> None:
    beyond = ScriptCause("episodes-counted-wrongly", "enjoy.py:8", "if done:", "it is stepped on", "if done or trunc:")
    assert scripts_answer([replace(SAME, causes=(beyond,))]) == "enjoy.py has a fault that costs nothing beyond chance"
    printed = replace(SAME, mean=550.0, std=None, causes=(beyond,))
    assert scripts_answer([printed]) == "enjoy.py gives another number than its model earns"


def test_where_the_audit_does_not_get_what_the_script_gets_that_comes_first_and_no_line_has_a_share() -> None:
    cause = ScriptCause("statistics-not-loaded", "enjoy.py:8", "x", "they are new", "", 28.6, 28.6, 2.8)
    figure = ScriptCause("reward-normalized", "enjoy.py:8", "x", "it is rescaled", "")
    first, second, third = with_unexplained([cause, figure], 10.2, np.full(20, -34.1), -15.7)
    assert (first.cause, second.share, second.cost, third) == ("unexplained", None, None, figure)
    assert "earns -34.1, and not -15.7: what the lines below cost is therefore not known" in first.evidence
    nearly = with_unexplained([cause], 10.2, np.full(20, -16.7), -15.7)
    assert [one.cause for one in nearly] == ["statistics-not-loaded", "unexplained"]
    assert with_unexplained([cause], 10.2, None, -15.7) == [cause]
    assert [one.cause for one in with_unexplained([figure], 10.2, None, -15.7)] == ["reward-normalized", "unexplained"]


def test_a_part_of_two_figures_that_is_chance_is_not_said_to_be_explained() -> None:
    cause = ScriptCause("policy-mode", "enjoy.py:8", "x", "they are stochastic", "", 0.72, 0.72, 1.0)
    entry = replace(SAME, earned=47.5, mean=47.5, gap=0.72, differs=True, causes=(cause,), together=0.72)
    said = " ".join(about_scripts((entry,)))
    assert "Alone it costs 0.72 in equal episodes" in said
    assert "which is all" not in said
    all_of_it = replace(entry, earned=49.28)
    assert "Alone it costs 0.72, which is all" in " ".join(about_scripts((all_of_it,)))


def test_a_line_with_two_faults_has_one_text_in_its_place() -> None:
    code = "venv = VecNormalize(venv)"
    dear = "venv = VecNormalize.load('v.pkl', venv); venv.training = venv.norm_reward = False"
    causes = [
        ScriptCause("statistics-not-loaded", "enjoy.py:8", code, "-", dear, 30.0, 30.0, 0.8),
        ScriptCause("reward-normalized", "enjoy.py:8", code, "-", f"{code}; venv.norm_reward = False"),
        ScriptCause("policy-mode", "enjoy.py:12", "predict(obs)", "-", "predict(obs, deterministic=True)"),
    ]
    assert [cause.instead for cause in one_text_a_line(causes)] == [dear, dear, causes[2].instead]
    lines = [*about_scripts((replace(SAME, causes=tuple(one_text_a_line(causes)), differs=True, gap=40.0),))]
    assert sum(f"write: {dear}" in line for line in lines) == 1
    assert any("write: as for 1, which is the same line" in line for line in lines)
    apart = [replace(causes[0], instead="env = A(env)"), replace(causes[1], instead="env = B(env)")]
    lines = [*about_scripts((replace(SAME, causes=tuple(apart), differs=True, gap=40.0),))]
    assert any("write: env = A(env)" in line for line in lines)
    assert any("write, together with what 1 changes in the same line: env = B(env)" in line for line in lines)
    updating = replace(causes[1], cause="training-mode", instead=f"{code}; venv.training = False")
    both = f"{code}; venv.norm_reward = False; venv.training = False"
    assert {cause.instead for cause in one_text_a_line([causes[1], updating])} == {both}


END = """obs, _ = env.reset()
for _ in range(2000):
    obs, reward, done, trunc, info = env.step(model.predict(obs)[0])
    if done:
        obs, _ = env.reset()
"""


@pytest.mark.parametrize(
    ("edits", "number", "instead"),
    [
        ({}, 4, "if done or trunc:"),
        ({"if done:": "if done and n < 5:"}, 4, "if (done or trunc) and n < 5:"),
        (
            {"for _ in range(2000)": "while not done", "    if done:\n        obs, _ = env.reset()\n": ""},
            3,
            "done = done or trunc",
        ),
        (
            {"trunc": "_"},
            3,
            "obs, reward, done, truncated, info = env.step(model.predict(obs)[0]); done = done or truncated",
        ),
        ({"    if done:": "    if trunc:\n        print(obs)\n    if done:"}, 0, ""),
    ],
)
def test_a_script_that_never_asks_whether_an_episode_was_truncated_is_told_where(
    tmp_path: Path, edits: dict[str, str], number: int, instead: str
) -> None:
    text = END
    for old, new in edits.items():
        text = text.replace(old, new)
    (tmp_path / "enjoy.py").write_text(text)
    line, found = asking_for_both(tmp_path, Line("enjoy.py", 3, text.splitlines()[2].strip()))
    assert (0 if line is None else line.line) == number
    assert found == instead or (instead and found.endswith(instead))


@pytest.mark.parametrize(
    ("text", "path", "written"),
    [
        ("PPO.load('ppo')", "run/vec.pkl", "run/vec.pkl"),
        ("PPO.load('../ppo')", "vec.pkl", "../vec.pkl"),
        ("PPO.load('FOLDER/run/ppo')", "run/vec.pkl", "FOLDER/run/vec.pkl"),
        ("os.chdir('run')", "run/vec.pkl", "FOLDER/run/vec.pkl"),
    ],
)
def test_paths_are_written_as_the_script_writes_them(tmp_path: Path, text: str, path: str, written: str) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text(text.replace("FOLDER", str(tmp_path)))
    cwd = tmp_path / "run" if written.startswith("..") else tmp_path
    cwd.mkdir(exist_ok=True)
    spec = ScriptSpec("enjoy.py", str(script), (), str(cwd), {}, "", 60, 1000, ())
    absolute = str(tmp_path / path)
    made = as_written(
        ScriptDifference("-", None, f"there is no file {absolute}, it says", f"load({absolute!r}, env)"), spec
    )
    expected = written.replace("FOLDER", str(tmp_path))
    assert made.instead == f"load({expected!r}, env)"
    assert made.evidence == f"there is no file {expected}, it says"

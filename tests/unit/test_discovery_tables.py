"""What users write in tables is taken at its word, or refused with the file, the line and what to change."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reload_audit.planning.configuration import ConfigError
from reload_audit.records.specs import Claim, ExternalSpec
from support.published_layouts import by_name, discovered, recording, sb3_zip, text, zoo_run


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths in tables are relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    sb3_zip(tmp_path / "a.zip")
    sb3_zip(tmp_path / "b.zip")
    text(tmp_path / "a.pkl")
    return tmp_path


def complaint(**config: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        discovered(**config)
    return str(raised.value)


def table(*lines: str, name: str = "models.tsv") -> str:
    text(Path(name), "\n".join(line.replace("|", "\t") for line in lines) + "\n")
    return name


# --- Tables of models --------------------------------------------------------------------------------------------

HEADER = "name|algo|env|model"


def test_each_row_of_a_table_is_an_external_model() -> None:
    full = f"{HEADER}|vecnormalize|env_kwargs|n_envs|wrappers|frame_stack|deterministic|device|classes"
    claim = "claim_mean|claim_std|claim_n|claim_kind"
    row = (
        'mine/a|PPO|mine:Env|a.zip|a.pkl|{"x": 1}|4|[a.B, {c.D: {k: 1}}]|2|false|cuda:0|{a.B: c.D}|-1.5e1|2|10|training'
    )
    (found,) = discovered(models=table("# my models", "", f"{full}|{claim}", row), python_path=["mine"])

    assert ExternalSpec.from_dict(found).claim == Claim("training", -15.0, 2.0, 10, "models.tsv, line 4")
    assert {key: found[key] for key in ("model", "source", "group", "role", "algo", "device", "deterministic")} == {
        "model": "mine/a",
        "source": "table",
        "group": "models.tsv",
        "role": "final",
        "algo": "PPO",
        "device": "cuda:0",
        "deterministic": False,
    }
    assert (found["path"], found["statistics"], found["problem"]) == ("a.zip", "a.pkl", None)
    assert found["classes"] == {"a.B": "c.D"}
    assert (found["normalized"], found["n_envs"], found["named_by_user"]) == (None, 4, ["env", "wrappers"])
    assert found["environment"] == {
        "env": "mine:Env",
        "env_kwargs": {"x": 1},
        "wrappers": ["a.B", {"c.D": {"k": 1}}],
        "monitor": "env",
        "vec_wrappers": [{"VecFrameStack": {"n_stack": 2}}],
        "python_path": ["mine"],
        "vec_env": None,
    }


def test_empty_cells_are_ignored() -> None:
    (found,) = discovered(models=table(f"{HEADER}|claim_mean|device", "a|PPO|X-v0|a"))
    assert (found["claim"], found["device"], found["path"]) == (None, "cpu", "a.zip")


def test_commas_separate_the_cells_of_a_csv() -> None:
    table("name,algo,env,model,env_kwargs", 'a,PPO,X-v0,a.zip,"{""x"": [1, 2]}"', name="models.csv")
    (found,) = discovered(models="models.csv")
    assert found["environment"]["env_kwargs"] == {"x": [1, 2]}


def test_a_table_may_be_exported_from_a_spreadsheet() -> None:
    content = "\ufeffname\talgo\tenv\tmodel\r\nä\tPPO\tX-v0\ta.zip\r\n\t\t\t\r\nb\tPPO\tX-v0\tb.zip\r\n"
    Path("models.tsv").write_bytes(content.replace("ä", "a").encode())
    assert [entry["model"] for entry in discovered(models="models.tsv")] == ["a", "b"]


def test_several_tables_of_models_can_be_given() -> None:
    tables = [table(HEADER, "a|PPO|X-v0|a.zip", name="one.tsv"), table(HEADER, "b|PPO|X-v0|b.zip", name="two.tsv")]
    assert [entry["group"] for entry in discovered(models=tables)] == tables


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["nam|algo|env|model"], "models.tsv, line 1: unknown column 'nam'; did you mean 'name'?"),
        (["name|algo|env"], "models.tsv, line 1: missing column 'model'; the columns are name, algo, env, model, "),
        ([f"{HEADER}|env"], "models.tsv, line 1: column 'env' appears more than once"),
        ([f"{HEADER}|xq|env"], "models.tsv, line 1: unknown column 'xq'; the columns are name, algo, env, model, "),
        ([f"{HEADER}|xq|nam"], "models.tsv, line 1: unknown column 'xq'; the columns are name, algo, env, model, "),
        (["# nothing"], "models.tsv: expected a header and rows, found nothing"),
        ([HEADER, "a|ppo|X-v0|a.zip"], "models.tsv, line 2: algo: found 'ppo', expected one of"),
        ([HEADER, "a b|PPO|X-v0|a.zip"], "models.tsv, line 2: name: found 'a b', expected letters, digits"),
        ([HEADER, "a|PPO|X-v0"], "models.tsv, line 2: missing 'model'; found only name, algo, env"),
        ([HEADER, "a|PPO|X-v0|a.zip|x"], "models.tsv, line 2: expected 4 cells, found 5"),
        (
            [HEADER, "", "a|PPO|X-v0|a.zip", "A|PPO|X-v0|b.zip"],
            "models.tsv, line 4: name: 'A' is already the name of models.tsv, line 3; expected another",
        ),
        ([f"{HEADER}|n_envs", "a|PPO|X-v0|a.zip|two"], "n_envs: expected an integer, found a string ('two')"),
        ([f"{HEADER}|claim_mean", "a|PPO|X-v0|a.zip|nan"], "claim_mean: expected a number, found a string ('nan')"),
        ([f"{HEADER}|claim_mean", "a|PPO|X-v0|a.zip|-inf"], "claim_mean: expected a number, found a string ('-inf')"),
        ([f"{HEADER}|env_kwargs", "a|PPO|X-v0|a.zip|{x"], "env_kwargs: expected a mapping, found a string ('{x')"),
        ([f"{HEADER}|env_kwargs", "a|PPO|X-v0|a.zip|[1]"], "env_kwargs: expected a mapping, found a list ([1])"),
        ([f"{HEADER}|deterministic", "a|PPO|X-v0|a.zip|yes"], "deterministic: expected a boolean, found a string"),
        (
            [f"{HEADER}|claim_std|claim_n", "a|PPO|X-v0|a.zip|1|2"],
            "models.tsv, line 2: claim_std and claim_n without claim_mean; give the mean too, or neither",
        ),
        (
            [f"{HEADER}|claim_mean|claim_kind", "a|PPO|X-v0|a.zip|1|guess"],
            "claim_kind: found 'guess', expected one of explicit, best, training",
        ),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_line(lines: list[str], message: str) -> None:
    said = complaint(models=table(*lines))
    assert message in said
    assert "more than once;" not in said, "which columns there are is said of one that nobody knows"


def test_every_mistake_is_listed() -> None:
    lines = complaint(models=[table(HEADER, "a|ppo|X-v0|a.zip", "b|sac|X-v0|b.zip"), "missing.tsv", "odd.txt"])
    assert [line.split(":")[0] for line in lines.splitlines()] == [
        "models.tsv, line 2",
        "models.tsv, line 3",
        "missing.tsv",
        "odd.txt",
    ]


def test_a_table_that_is_not_utf_8_is_refused() -> None:
    Path("models.tsv").write_bytes(b"name\xff")
    assert complaint(models="models.tsv") == "models.tsv: is not UTF-8 text: invalid start byte at byte 4"


def test_a_row_cannot_have_the_name_of_a_trained_model() -> None:
    trained = {"name": "a", "algo": "PPO", "env": "CartPole-v1", "total_timesteps": 1}
    path = table(HEADER, "a-seed0-n1|PPO|X-v0|a.zip")
    message = "models.tsv, line 2: name: 'a-seed0-n1' is already the name of a model that is trained here"
    assert message in complaint(experiments=[trained], models=path)


@pytest.mark.parametrize(
    ("model", "problem"),
    [("missing.zip", "No such file"), (".", "expected a file, found a folder"), ("a.pkl", "an empty file")],
)
def test_a_row_whose_file_is_not_a_regular_file_is_a_model_with_a_problem(model: str, problem: str) -> None:
    found = by_name(models=table(HEADER, f"a|PPO|X-v0|{model}", "b|PPO|X-v0|b.zip"))
    assert problem in found["a"]["problem"]
    assert found["b"]["problem"] is None


def test_missing_statistics_are_a_problem() -> None:
    (found,) = discovered(models=table(f"{HEADER}|vecnormalize", "a|PPO|X-v0|a.zip|no.pkl"))
    assert found["problem"] == "no.pkl: expected a file of statistics, found No such file or directory"


# --- Tables and folders together ---------------------------------------------------------------------------------


def test_a_row_with_the_path_of_a_discovered_model_overrides_its_settings(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "runs/ppo/CartPole-v1_1", config={"normalize": True}, statistics=True)
    path = table(f"{HEADER}|claim_mean", f"mine|||{run}/CartPole-v1.zip|500")
    (found,) = discovered(models=path, runs=["runs"])

    assert (found["model"], found["source"], found["algo"]) == ("mine", "zoo", "PPO")
    assert found["statistics"] == "runs/ppo/CartPole-v1_1/CartPole-v1/vecnormalize.pkl"
    assert found["claim"]["mean"] == 500.0
    assert not found["named_by_user"]


def test_a_row_gives_what_a_folder_does_not_say(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "runs/one.zip")
    text(tmp_path / "runs/vecnormalize.pkl")
    text(tmp_path / "runs/vec_normalize.pkl")
    path = table(f"{HEADER}|vecnormalize", "one|PPO|X-v0|runs/one.zip|runs/vecnormalize.pkl")
    (found,) = discovered(models=path, runs=["runs"])
    assert (found["environment"]["env"], found["statistics"]) == ("X-v0", "runs/vecnormalize.pkl")
    assert found["named_by_user"] == ["env"]


def test_a_complete_row_needs_no_settings_beside_the_model(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "runs/ppo/CartPole-v1_1", args="{broken")
    assert by_name(runs=["runs"])["ppo/CartPole-v1_1"]["problem"]
    (found,) = discovered(models=table(HEADER, f"one|PPO|X-v0|{run}/CartPole-v1.zip"), runs=["runs"])
    assert found["problem"] is None


def test_a_row_on_its_own_must_say_how_the_model_is_run() -> None:
    assert "a.zip: no algorithm, no environment" in complaint(models=table(HEADER, "a|||a.zip"))


# --- Tables of claims --------------------------------------------------------------------------------------------


@pytest.fixture
def runs_folder(tmp_path: Path) -> Path:
    """A run with a final model, one that has only its best, and one with another environment."""
    run = zoo_run(tmp_path / "runs/ppo/CartPole-v1_1")
    sb3_zip(run / "best_model.zip")
    sb3_zip(run / "rl_model_10_steps.zip")
    unfinished = zoo_run(tmp_path / "runs/ppo/CartPole-v1_2")
    (unfinished / "CartPole-v1.zip").rename(unfinished / "best_model.zip")
    zoo_run(tmp_path / "runs/ppo/Acrobot-v1_1", env="Acrobot-v1")
    return tmp_path / "runs"


def claims(*lines: str) -> dict[str, Any]:
    found = by_name(runs=["runs"], claims=table(*lines, name="claims.tsv"))
    return {name: entry["claim"] for name, entry in found.items() if entry["claim"]}


def test_a_published_claim_is_about_the_final_model_of_a_run(runs_folder: Path) -> None:
    found = claims("algo|env_id|claim_mean|claim_std|claim_n", "ppo|CartPole-v1|500|0|100", "sac|Ant-v4|1|1|1")
    claim = {"kind": "explicit", "mean": 500.0, "std": 0.0, "n": 100, "where": "claims.tsv, line 2"}
    assert found == {"ppo/CartPole-v1_1": claim, "ppo/CartPole-v1_2/best_model": claim}


def test_a_claim_with_a_name_is_about_that_model(runs_folder: Path) -> None:
    found = claims(
        "name|algo|env|claim_mean|claim_kind",
        "|PPO|CartPole-v1|500",
        "ppo/CartPole-v1_1|||400",
        "ppo/CartPole-v1_1/best_model|||300|best",
    )
    assert {name: (claim["mean"], claim["kind"], claim["std"]) for name, claim in found.items()} == {
        "ppo/CartPole-v1_1": (400.0, "explicit", None),
        "ppo/CartPole-v1_1/best_model": (300.0, "best", None),
        "ppo/CartPole-v1_2/best_model": (500.0, "explicit", None),
    }


def test_a_row_s_own_claim_counts_more_than_the_table_of_claims() -> None:
    models = table(f"{HEADER}|claim_mean", "a|PPO|X-v0|a.zip|1", "b|PPO|X-v0|b.zip")
    found = by_name(models=models, claims=table("algo|env|claim_mean", "PPO|X-v0|2", name="claims.tsv"))
    assert [entry["claim"]["mean"] for entry in found.values()] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["name|claim_mean", "ppo/CartPole-v1_3|1"],
            "claims.tsv, line 2: name: expected the name of a model, found 'ppo/CartPole-v1_3'; did you mean 'ppo/Cart",
        ),
        (
            ["algo|env|claim_mean", "ppo|X-v0|1", "PPO|X-v0|2"],
            "claims.tsv, line 3: algo and env: PPO, X-v0 is already in claims.tsv, line 2; expected it once",
        ),
        (["algo|claim_mean", "ppo|1"], "claims.tsv, line 2: expected name, or algo and env, to say what earned this"),
        (["name|claim_std", "a|1"], "claims.tsv, line 1: missing column 'claim_mean'"),
        (["claim_mean|model", "1|a"], "claims.tsv, line 1: unknown column 'model'; the columns are name, "),
        (["name|claim_mean|mean", "a|1|1"], "claims.tsv, line 1: unknown column 'mean'; did you mean"),
        (["name|claim_mean|claim_n", "a|1|0"], "claims.tsv, line 2: claim_n: expected at least 1, found 0"),
        (["name|claim_mean", "a|1e101"], "claims.tsv, line 2: claim_mean: expected at most 1e+100, found 1e+101"),
        (["name|claim_mean|claim_std", "a|1|-1"], "claims.tsv, line 2: claim_std: expected at least 0, found -1"),
    ],
)
def test_a_mistake_in_a_table_of_claims_is_named_with_its_line(
    runs_folder: Path, lines: list[str], message: str
) -> None:
    assert message in complaint(runs=["runs"], claims=table(*lines, name="claims.tsv"))


def test_claims_of_an_algorithm_are_about_tables_too_but_not_about_what_was_recorded(tmp_path: Path) -> None:
    recording(tmp_path / "runs/one", {"algo": "PPO", "environment": {"env": "X-v0"}})
    found = by_name(
        runs=["runs"],
        models=table(HEADER, "a|PPO|X-v0|a.zip"),
        claims=table("algo|env|claim_mean", "ppo|X-v0|7", name="claims.tsv"),
    )
    assert found["a"]["claim"]["mean"] == 7.0
    assert found["one"]["claim"] is None


def test_claims_by_name_are_about_recordings_too(tmp_path: Path) -> None:
    recording(tmp_path / "runs/one", {"algo": "PPO", "environment": {"env": "X-v0"}})
    found = by_name(runs=["runs"], claims=table("name|claim_mean", "one|7", name="claims.tsv"))
    assert found["one"]["claim"]["mean"] == 7.0


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_table_that_is_not_utf_8_says_so_in_one_line(encoding: str) -> None:
    Path("models.tsv").write_bytes(f"{HEADER}\na|PPO|CartPole-v1|a.zip\n".replace("|", "\t").encode(encoding))
    assert complaint(models="models.tsv") == (
        "models.tsv, line 1: expected text in UTF-8, found a NUL character; save it as UTF-8"
    )


def test_a_nul_in_a_cell_is_found_in_its_line() -> None:
    said = complaint(models=table(HEADER, "a|PPO|CartPole-v1|a.zip", "b|PPO|CartPole-v1|b\0.zip"))
    assert said == "models.tsv, line 3: expected text in UTF-8, found a NUL character; save it as UTF-8"


def test_an_alias_bomb_in_a_cell_is_found_in_its_line() -> None:
    bomb = "{a: &a [x, x, x, x, x, x, x, x, x], " + ", ".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1 or str()}'] * 9)}]" for i in range(1, 9)
    )
    said = complaint(models=table(f"{HEADER}|env_kwargs", f"a|PPO|CartPole-v1|a.zip|{bomb}}}"))
    assert said.startswith("models.tsv, line 2: env_kwargs: expected a mapping, found a string")
    assert len(said) < 500


_CELLS = st.sampled_from(
    ["a", "PPO", "CartPole-v1", "a.zip", "{x: 1}", "1e999", "nan", "-1", "9" * 400, "[a.B]", "\u202e"]
)


# The working directory stays the same.
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_CELLS | st.text(max_size=20), min_size=4, max_size=7), max_size=4))
def test_whatever_the_cells_a_table_is_read_or_refused(rows: list[list[str]]) -> None:
    header = f"{HEADER}|env_kwargs|wrappers|claim_mean"
    lines = [cells.replace("\n", " ").replace("|", "") for cells in map("\t".join, rows)]
    Path("any.tsv").write_bytes("\n".join([header.replace("|", "\t"), *lines]).encode("utf-8", "replace"))
    with contextlib.suppress(ConfigError):
        assert len(discovered(models="any.tsv")) <= len(rows)


def test_a_row_with_a_vec_env_of_ones_own_needs_no_environment() -> None:
    (found,) = discovered(models=table("name|algo|vec_env|model", "a|PPO|fast:Sides|a.zip"))
    assert (found["environment"]["env"], found["environment"]["vec_env"]) == ("fast:Sides", "fast:Sides")
    assert found["named_by_user"] == ["env", "vec_env"]


@pytest.mark.parametrize(
    ("said", "settings", "taken"),
    [
        ("PPO", {"exploration_rate": 0.1}, "DQN"),
        ("A2C", {"clip_range": 0.2, "n_epochs": 10, "gae_lambda": 0.9, "n_steps": 8, "ent_coef": 0.0}, "PPO"),
        ("MaskablePPO", {"clip_range": 0.2, "n_epochs": 10}, "MaskablePPO"),
        ("DDPG", {"target_policy_noise": 0.2, "policy_delay": 2}, "DDPG"),
        ("SAC", {}, "SAC"),
    ],
)
@pytest.mark.parametrize("by", ["a table", "an entry of runs"])
def test_a_wrong_algorithm_is_corrected_by_the_zip_s_own_settings(
    tmp_path: Path, by: str, said: str, settings: dict[str, Any], taken: str
) -> None:
    """What the settings cannot tell apart is the user's word."""
    path = sb3_zip(tmp_path / "agent.zip", settings)
    if by == "a table":
        table = text(tmp_path / "models.csv", f"name,algo,env,model\nagent,{said},CartPole-v1,{path}\n")
        entry = by_name(models=str(table))["agent"]
    else:
        entry = by_name(runs=[{"folder": str(tmp_path), "algo": said, "env": "CartPole-v1"}])["agent"]
    assert entry["algo"] == taken
    expected = f"its zip is of {taken} by its settings, though {said} is said: {taken} is taken"
    assert entry["remarks"] == ([] if taken == said else [expected])

"""What a repository says that its models earn: printed by notebooks, in files of results, in texts and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import (
    DQN_ALONE,
    OF_CARTPOLE,
    PPO_ALONE,
    Repository,
    box,
    discrete,
    notebook,
    planned,
)

AGENT = "from stable_baselines3 import PPO\nmodel = PPO('MlpPolicy', 'CartPole-v1')\nmodel.save('cart_agent')\n"


def claims(tmp_path: Path, files: dict[str, object], *names: str) -> list[tuple[str, float, float | None, int | None]]:
    """Kind, mean, standard deviation and episodes of what is said of the first of some models."""
    models = {f"{name}.zip": PPO_ALONE for name in names or ("cart_agent",)}
    found = planned(Repository({"train.py": AGENT, **files}, models).write(tmp_path / "mine"))
    spec = found.specs[(names or ("cart_agent",))[0]]
    return [(claim.kind, claim.mean, claim.std, claim.n) for claim in spec.claims]


def test_what_a_notebook_printed_when_it_evaluated_a_model_is_a_claim_of_it(tmp_path: Path) -> None:
    cells = notebook(
        "from stable_baselines3 import PPO\nfrom stable_baselines3.common.evaluation import evaluate_policy",
        "model = PPO('MlpPolicy', 'CartPole-v1')\nevaluate_policy(model, model.get_env(), n_eval_episodes=20)",
        "model.learn(100_000)",
        "mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=50, deterministic=False)\n"
        "print(f'mean_reward={mean:.2f} +/- {std:.2f}')",
        "model.save('cart_agent')",
        outputs={2: "mean_reward=9.30 +/- 0.80\n", 4: "mean_reward=248.01 +/- 17.03\n"},
    )
    folder = Repository({"Train.ipynb": cells}, {"cart_agent.zip": PPO_ALONE}).write(tmp_path / "colab")
    spec = planned(folder).specs["cart_agent"]
    (claim,) = spec.claims
    assert (claim.kind, claim.mean, claim.std, claim.n) == ("reported", 248.01, 17.03, 50)
    assert claim.where == "Train.ipynb, cell 4, line 1"
    assert spec.deterministic is False


def test_names_of_sb3_that_a_star_or_a_lost_cell_imported_are_known(tmp_path: Path) -> None:
    cells = notebook(
        "from stable_baselines3 import *\nimport gymnasium as gym",
        "model = PPO('MlpPolicy', gym.make('CartPole-v1'))\nmodel.learn(1000)\nmodel.save('cart_agent')",
        "mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=50)\nprint(mean, '+/-', std)",
        outputs={3: "248.01 +/- 17.03\n"},
    )
    folder = Repository({"Train.ipynb": cells}, {"cart_agent.zip": PPO_ALONE}).write(tmp_path / "colab")
    (claim,) = planned(folder).specs["cart_agent"].claims
    assert (claim.kind, claim.mean, claim.n) == ("reported", 248.01, 50)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("results/cart_agent.json", '{"mean_reward": 480.5, "std_reward": 12.0, "n_eval_episodes": 100}'),
        ("results/all.json", '{"cart_agent": {"eval_mean_reward": 480.5, "eval_std_reward": 12, "episodes": 100}}'),
        ("eval.csv", "model,mean_reward,std_reward,n_episodes\nother,1,1,1\ncart_agent,480.5,12.0,100\n"),
    ],
)
def test_files_of_results_in_their_many_forms_are_claims_of_the_model_that_they_name(
    tmp_path: Path, path: str, content: str
) -> None:
    assert claims(tmp_path, {path: content}, "cart_agent", "other") == [("reported", 480.5, 12.0, 100)]


@pytest.mark.parametrize(
    "readme",
    [
        "Our agent reaches a mean reward of **487.2 ± 30.1** over 100 evaluation episodes.",
        "| Algorithm | Mean reward |\n|---|---|\n| PPO | 487.2 ± 30.1 |\n",
        "Average score: 487.2 +/- 30.1",
    ],
)
def test_sentences_and_tables_of_a_readme_are_claims_of_the_weakest_kind(tmp_path: Path, readme: str) -> None:
    ((kind, mean, std, _),) = claims(tmp_path, {"README.md": f"# Cart\n\n{readme}\n"})
    assert (kind, mean, std) == ("stated", 487.2, 30.1)


TABLES = {
    "results/all.csv": "algorithm,env,mean_reward,std,episodes\nPPO,CartPole-v1,480.5,12,100\nDQN,CartPole-v1,9,1,100\n"
    "PPO,Acrobot-v1,-80,9,100\nA2C,CartPole-v1,70,1,100\n",
    "README.md": "| Environment | Algo | Mean reward |\n|---|---|---|\n| Acrobot-v1 | PPO | -80 ± 9 |\n"
    "| CartPole-v1 | PPO | 480.5 ± 12 |\n| CartPole-v1 | DQN | 9 ± 1 |\n| CartPole-v1 | A2C | 70 ± 1 |\n",
}


@pytest.mark.parametrize("path", TABLES)
def test_rows_of_tables_are_about_the_one_model_that_their_cells_describe(tmp_path: Path, path: str) -> None:
    models = {
        "models/ppo_cartpole_v1.zip": OF_CARTPOLE,
        "models/ppo_acrobot_v1.zip": {**PPO_ALONE, "observation_space": box(6), "action_space": discrete(3)},
        "models/dqn_cartpole_v1.zip": {**DQN_ALONE, "observation_space": box(4), "action_space": discrete(2)},
    }
    found = planned(Repository({path: TABLES[path]}, models).write(tmp_path / "mine"))
    said = {name: [claim.mean for claim in spec.claims] for name, spec in found.specs.items()}
    assert said == {
        "models/ppo_cartpole_v1": [480.5],
        "models/ppo_acrobot_v1": [-80.0],
        "models/dqn_cartpole_v1": [9.0],
    }


@pytest.mark.parametrize("row", ["A2C,CartPole-v1,480,12", "PPO with a trick,CartPole-v1,480,12", "PPO,Pong,480,12"])
def test_a_row_that_describes_no_model_or_several_is_no_claim(tmp_path: Path, row: str) -> None:
    table = f"algorithm,env,mean_reward,std\n{row}\n"
    models = {"models/ppo_cartpole_v1.zip": OF_CARTPOLE, "models/ppo_cartpole_v1_seed_2.zip": OF_CARTPOLE}
    found = planned(Repository({"results.csv": table}, models).write(tmp_path / "mine"))
    assert [spec.claims for spec in found.specs.values()] == [(), ()]


def test_what_the_only_model_earns_that_a_script_evaluates_is_in_the_file_that_it_writes(tmp_path: Path) -> None:
    script = """
import sys, gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
path = sys.argv[1] if len(sys.argv) > 1 else "models/last.zip"
model = PPO.load(path)
mean, std = evaluate_policy(model, gym.make("CartPole-v1"), n_eval_episodes=50)
with open("results.txt", "w") as file:
    file.write(f"Mean reward: {mean:.2f} +/- {std:.2f}")
"""
    files = {"eval.py": script, "results.txt": "Mean reward: 344.18 +/- 112.14\n", "notes.txt": "Mean reward: 500\n"}
    models = dict.fromkeys(("models/last.zip", "models/first.zip"), OF_CARTPOLE)
    found = planned(Repository(files, models).write(tmp_path / "mine"))
    said = {name: [claim.mean for claim in spec.claims] for name, spec in found.specs.items()}
    assert said == {"models/last": [344.18], "models/first": []}


def test_what_a_text_says_of_other_policies_or_of_several_models_is_no_claim(tmp_path: Path) -> None:
    readme = "A random policy has a mean reward of 22.1. The task is solved at an average reward of 475."
    assert claims(tmp_path, {"README.md": readme}) == []
    assert claims(tmp_path / "b", {"README.md": "Mean reward: 300\n\nMean reward: 400\n"}) == []
    assert claims(tmp_path / "c", {"README.md": "Mean reward: 300\n"}, "cart_agent", "another") == []


def test_the_curve_of_a_training_is_no_claim(tmp_path: Path) -> None:
    curve = '[{"step": 1, "mean_reward": 10}, {"step": 2, "mean_reward": 200}]'
    assert claims(tmp_path, {"curve.json": curve}) == []


@pytest.mark.parametrize(
    ("name", "mean"), [("ppo--224reward", -224.0), ("ppo_224.5_reward", 224.5), ("ppo-200reward", 200.0)]
)
def test_a_reward_in_a_name_is_a_claim_of_the_weakest_kind(tmp_path: Path, name: str, mean: float) -> None:
    assert claims(tmp_path, {}, name) == [("stated", mean, None, None)]


HEAD = "name,claim_mean,claim_std,claim_n\n"


@pytest.mark.parametrize(
    ("path", "row", "given"),
    [
        ("claims.csv", "cart_agent", "a/cart_agent"),
        ("notes/claims.tsv", "a/cart_agent.zip", "a/cart_agent"),
        ("claims.csv", "final", ""),
        ("b/claims.csv", "final", "b/final"),
        ("claims.csv", "another", ""),
    ],
)
def test_a_table_of_claims_that_nobody_configured_is_of_the_one_model_that_each_row_can_mean(
    tmp_path: Path, path: str, row: str, given: str
) -> None:
    table = f"{HEAD}{row},480.5,12,100\n".replace(",", "\t" if path.endswith(".tsv") else ",")
    models = dict.fromkeys(("a/cart_agent.zip", "a/final.zip", "b/final.zip"), OF_CARTPOLE)
    found = planned(Repository({"train.py": AGENT, path: table}, models).write(tmp_path / "mine"))
    said = {name: [(one.kind, one.mean, one.std, one.n) for one in spec.claims] for name, spec in found.specs.items()}
    assert said == {name: [("reported", 480.5, 12.0, 100)] * (name == given) for name in said}
    unsure = {name for name, spec in found.specs.items() if any("cannot be told" in one for one in spec.remarks)}
    assert unsure == ({"a/final", "b/final"} if (path, row) == ("claims.csv", "final") else set())


@pytest.mark.parametrize(
    ("table", "row", "folders", "given"),
    [
        pytest.param("claims.csv", "final", ["b"], [], id="another final.zip is not looked at"),
        pytest.param("claims.csv", "b/final", ["b"], ["b"], id="a path"),
        pytest.param("claims.csv", "final", ["a", "b"], [], id="either may be meant"),
        pytest.param("claims.csv", "a/final", ["a", "b"], ["a"], id="a path of two folders"),
        pytest.param("claims.csv", "a/final", [".", "a"], ["a"], id="a folder in a folder"),
        pytest.param("c/claims.csv", "final", ["a", "c"], [], id="the name of a file that lies elsewhere"),
    ],
)
def test_a_table_above_folders_speaks_of_no_model_that_a_row_may_not_mean(
    tmp_path: Path, table: str, row: str, folders: list[str], given: list[str]
) -> None:
    models = dict.fromkeys(("a/final.zip", "b/final.zip", "c/other.zip"), OF_CARTPOLE)
    repository = Repository({"train.py": AGENT, table: f"{HEAD}{row},480,,\n"}, models).write(tmp_path / "mine")
    (repository / ".git").mkdir(exist_ok=True)
    found = planned(repository, runs=[str(repository / folder) for folder in folders])
    claimed = {Path(spec.path).parent.name for spec in found.specs.values() if spec.claims}
    assert claimed == set(given)


def test_a_row_that_names_another_algorithm_or_environment_is_not_about_a_model(tmp_path: Path) -> None:
    table = "name,algo,env,claim_mean\nfinal,DQN,Acrobot-v1,-80\n"
    files = {"train.py": AGENT, "claims.csv": table}
    (spec,) = planned(Repository(files, {"final.zip": OF_CARTPOLE}).write(tmp_path / "mine")).specs.values()
    assert not spec.claims


def test_of_tables_that_agree_the_one_that_says_most_is_believed(tmp_path: Path) -> None:
    files = {"train.py": AGENT, "one.csv": f"{HEAD}final,480,,\n", "two.csv": f"{HEAD}final,480,12,100\n"}
    (spec,) = planned(Repository(files, {"final.zip": OF_CARTPOLE}).write(tmp_path / "mine")).specs.values()
    assert [(claim.mean, claim.std, claim.n) for claim in spec.claims] == [(480.0, 12.0, 100)]


def test_a_row_of_an_algorithm_and_an_environment_is_of_the_only_model_of_both(tmp_path: Path) -> None:
    models = {
        "ppo.zip": OF_CARTPOLE,
        "dqn.zip": {**DQN_ALONE, "observation_space": box(4), "action_space": discrete(2)},
    }
    table = "algo,env,claim_mean\nppo,CartPole-v1,480\nA2C,CartPole-v1,9\n"
    folder = Repository({"train.py": AGENT, "claims.csv": table}, models).write(tmp_path / "mine")
    found = planned(folder)
    assert found.specs.keys() == {"ppo", "dqn"}
    assert [claim.mean for claim in found.specs["ppo"].claims] == [480.0]
    assert not found.specs["dqn"].claims


def test_tables_of_claims_that_say_different_things_are_named_and_not_believed(tmp_path: Path) -> None:
    files = {"train.py": AGENT, "one.csv": f"{HEAD}cart_agent,480,,\n", "two.csv": f"{HEAD}cart_agent,470,,\n"}
    spec = planned(Repository(files, {"cart_agent.zip": OF_CARTPOLE}).write(tmp_path / "mine")).specs["cart_agent"]
    assert not spec.claims
    assert any("480 (" in one and "470 (" in one for one in spec.remarks)


def test_of_one_model_that_is_audited_alone_the_others_beside_it_are_not_forgotten(tmp_path: Path) -> None:
    models = dict.fromkeys(("a/final.zip", "final.zip"), OF_CARTPOLE)
    table = f"{HEAD}final,480,,\na/final,9,,\n"
    folder = Repository({"train.py": AGENT, "a/claims.csv": table, "claims.csv": table}, models).write(
        tmp_path / "mine"
    )
    (spec,) = planned(folder / "final.zip").specs.values()
    assert [claim.mean for claim in spec.claims] == [480.0]

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.envs import INDEX, PARAMETERS, TASKS, DynamicsError, load_dynamics, make_vec
from sim2real.envs.distribution import Distribution, fixed
from sim2real.envs.dynamics import exists
from sim2real.envs.dynamics_sets import packaged
from sim2real.envs.privileged import privileged

U = np.random.default_rng(0).random((200, len(PARAMETERS)))


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("distribution", "u", "expected"),
    [
        (fixed(3.0), 0.7, 3.0),
        (Distribution("uniform", ((1.0, 3.0),)), 0.25, 1.5),
        (Distribution("log_uniform", ((0.25, 4.0),)), 0.75, 2.0),  # a quarter of the way down from 4: 4 / 16 ** 0.25
        (Distribution("uniform", ((0.0, 1.0), (2.0, 5.0))), 0.125, 0.5),  # total length 4: 0.125 -> 0.5 along
        (Distribution("uniform", ((0.0, 1.0), (2.0, 5.0))), 0.5, 3.0),  # 2 along: 1 into the second interval
        (Distribution("log_uniform", ((0.25, 0.5), (2.0, 4.0))), 0.75, 2 * math.sqrt(2)),
        # 1/x from 1 to 1/2, then from 1/4 to 1/8: 0.4 of all 5/8 is 1/4, at 1/x = 3/4.
        (Distribution("inverse_uniform", ((1.0, 2.0), (4.0, 8.0))), 0.4, 4 / 3),
        (Distribution("inverse_uniform", ((1.0, 8.0),)), 0.5, 16 / 9),  # 1/x is halfway between 1 and 1/8: 9/16
        (Distribution("normal", ((1.0, 0.2),)), 0.5, 1.0),
        (Distribution("normal", ((1.0, 0.2),)), 0.8413447460685429, 1.2),  # one standard deviation
        (Distribution("exponential", ((0.0, 2.0),)), 1 - math.exp(-1), 2.0),
    ],
)
def test_quantiles_worked_by_hand(distribution: Distribution, u: float, expected: float) -> None:
    assert distribution.quantile(u) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", packaged())
def test_draws_of_packaged_sets_stay_in_their_span_and_make_sense(name: str) -> None:
    dynamics = load_dynamics(name)
    values = np.array([dynamics.sample(u) for u in U])
    for p in PARAMETERS:
        low, high = dynamics[p.name].span
        drawn = values[:, INDEX[p.name]]
        assert (drawn >= low - 1e-12).all() and (drawn <= high + 1e-12).all(), p.name
        assert (drawn >= p.low).all() and (drawn <= p.high).all(), p.name


def test_nominal_is_nominal_and_unseen_leaves_the_training_range() -> None:
    nominal, train, unseen = map(load_dynamics, ("nominal", "train", "unseen"))
    assert not any(d.varies for d in nominal.distributions)
    changed = [p.name for p in PARAMETERS if unseen[p.name] != train[p.name]]
    assert {"object_mass", "object_friction_slide", "weld_time_constant", "action_delay"} <= set(changed)
    for name in changed:
        low, high = train[name].span
        for a, b in unseen[name].intervals:
            assert b <= low or a >= high, f"{name}: [{a}, {b}] overlaps the training range [{low}, {high}]"


def test_sets_that_differ_in_one_parameter_agree_in_the_others(tmp_path: Path) -> None:
    train = load_dynamics("train")
    other = load_dynamics(write(tmp_path, "base: train\nparameters: {object_mass: 1}\n"))
    a, b = train.sample(U[0]), other.sample(U[0])
    different = [p.name for p, x, y in zip(PARAMETERS, a, b, strict=True) if x != y]
    assert different == ["object_mass"]


def test_a_file_can_stand_on_a_file(tmp_path: Path) -> None:
    write(tmp_path, "parameters: {object_mass: 2, gravity: {uniform: [0.9, 1.0]}}", "lower.yaml")
    upper = load_dynamics(write(tmp_path, "base: lower.yaml\nparameters: {object_mass: {normal: [1, 0.1]}}"))
    assert upper.name == "mine"
    assert upper["object_mass"] == Distribution("normal", ((1.0, 0.1),))
    assert upper["gravity"] == Distribution("uniform", ((0.9, 1.0),))


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "inverse_uniform"])
def test_a_range_may_have_a_hole(tmp_path: Path, kind: str) -> None:
    loaded = load_dynamics(write(tmp_path, f"parameters: {{object_mass: {{{kind}: [[1, 2], [4, 8]]}}}}"))
    assert loaded["object_mass"].intervals == ((1.0, 2.0), (4.0, 8.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parametres: {}", "unknown key 'parametres'. Did you mean 'parameters'"),
        ("parameters: {object_mas: 1}", "unknown parameter 'object_mas'. Did you mean 'object_mass'"),
        ("parameters: {object_mass: {log_unifrom: [1, 2]}}", "Did you mean 'log_uniform'"),
        ("parameters: {object_mass: {uniform: [2, 1]}}", "must rise"),
        ("parameters: {object_mass: {uniform: [[1, 3], [2, 4]]}}", "must rise"),
        ("parameters: {object_mass: {uniform: [1]}}", "takes [low, high]"),
        ("parameters: {object_mass: {uniform: []}}", "takes [low, high]"),
        ("parameters: {object_mass: {uniform: 3}}", "takes [low, high]"),
        ("parameters: {object_mass: {normal: [[1, 2], [3, 4]]}}", "takes [mean, std]"),
        ("parameters: {object_mass: {normal: [1, -2]}}", "negative spread"),
        ("parameters: {object_mass: {exponential: [1, 2]}}", "takes a mean"),
        ("parameters: {object_mass: {exponential: [[1, 2]]}}", "takes a mean"),
        ("parameters: {object_mass: {uniform: [1, 2], normal: [1, 2]}}", "one of {uniform"),
        ("parameters: {object_mass: [1, 2]}", "give a number or one of"),
        ("parameters: {object_mass: heavy}", "give a number or one of"),
        ("parameters: {object_mass: true}", "give a number or one of"),
        ("parameters: {object_mass: .nan}", "give a number or one of"),
        ("parameters: {object_mass: -1}", "leaves the allowed values [0.01, inf] x"),
        ("parameters: {observation_drop: {uniform: [0, 2]}}", "leaves the allowed values [0, 1] 1"),
        ("parameters: {table_height: {log_uniform: [-0.01, 0.01]}}", "needs positive numbers"),
        ("parameters: [1]", "must be a mapping"),
        ("[1]", "must be a mapping"),
        ("base: tran", "unknown dynamics 'tran'. Did you mean 'train'"),
        ("base: 3", "base must be a name or a file"),
        ("base: none.yaml", "no base file"),
        ("parameters: {gravity: {inverse_uniform: [0, 1]}}", "inverse_uniform needs positive numbers"),
        ("tasks: {FetchPuk: {}}", "unknown task 'FetchPuk'. Did you mean 'FetchPuck'"),
        ("tasks: [FetchPuck]", "tasks must be a mapping"),
        ("tasks: {FetchPuck: 3}", "tasks.FetchPuck must have the keys base and parameters"),
        ("tasks: {FetchPuck: {parametres: {}}}", "unknown key 'parametres'. Did you mean 'parameters'"),
        ("effects: backlash", "effects must be a list"),
        ("effects: [backlsh]", "unknown effect 'backlsh'. Did you mean 'backlash'"),
        ("base: mine.yaml", "is its own base"),
        ("a: [", "no valid YAML"),
    ],
)
def test_mistakes_are_told_in_one_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DynamicsError) as error:
        load_dynamics(write(tmp_path, text))
    assert message in str(error.value)


def test_a_file_that_changes_nothing_of_a_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mass.yaml").write_text("base: nominal\nparameters: {object_mass: {uniform: [1, 2]}}\n")
    mass = load_dynamics(tmp_path / "mass.yaml")
    with pytest.raises(
        DynamicsError, match="'mass' sets object_mass, and FetchReach has none of these; it has weld_time"
    ):
        make_vec("FetchReach", 1, mass, threads=1)
    make_vec("FetchPush", 1, mass, threads=1).close()
    (tmp_path / "both.yaml").write_text("base: mass.yaml\nparameters: {object_mass: 1.0, action_delay: 40}\n")
    make_vec("FetchReach", 1, load_dynamics(tmp_path / "both.yaml"), threads=1).close()  # a file for several tasks


def test_unknown_names_and_missing_files() -> None:
    with pytest.raises(DynamicsError, match=r"Did you mean 'unseen'\? Allowed: nominal, "):
        load_dynamics("unsen")
    with pytest.raises(DynamicsError, match=r"no dynamics file 'nowhere\.yaml'"):
        load_dynamics("nowhere.yaml")


def test_a_section_for_one_task(tmp_path: Path) -> None:
    write(tmp_path, "parameters: {gravity: 0.9}\ntasks: {FetchPuck: {parameters: {object_mass: 2}}}", "lower.yaml")
    text = "base: lower.yaml\nparameters: {object_damping: 3}\ntasks: {FetchPush: {base: nominal}}\neffects: [camera]"
    upper = load_dynamics(write(tmp_path, text))
    values = {task: upper.of(task).sample(U[0]) for task in TASKS}
    got = {
        task: tuple(float(v[INDEX[name]]) for name in ("gravity", "object_mass", "object_damping"))
        for task, v in values.items()
    }
    expected = {task: (0.9, 1.0, 3.0) for task in TASKS}
    assert got == expected | {"FetchPuck": (0.9, 2.0, 3.0), "FetchPush": (1.0, 1.0, 1.0)}
    assert upper.effects == ("camera",)
    assert load_dynamics(write(tmp_path, yaml.safe_dump(upper.to_dict()))) == upper


def test_a_set_written_on_top_of_train_speaks_of_the_puck_too(tmp_path: Path) -> None:
    fixed_mass = load_dynamics(write(tmp_path, "base: train\nparameters: {object_mass: 1}"))
    for task in TASKS:
        train, changed = load_dynamics("train").of(task), fixed_mass.of(task)
        assert [p.name for p in PARAMETERS if changed[p.name] != train[p.name]] == ["object_mass"]


numbers = st.floats(0.5, 1.0, allow_nan=False).map(lambda x: round(x, 6))
entries = st.one_of(
    numbers,
    st.builds(lambda a, b: {"uniform": sorted((a, b))}, numbers, numbers),
    st.builds(lambda a, b: {"log_uniform": [sorted((a, b)), [1.5, 2.0]]}, numbers, numbers),
    st.builds(lambda a, b: {"normal": [a, b]}, numbers, numbers),
    st.builds(lambda a: {"exponential": a}, numbers),
)
scales = [p.name for p in PARAMETERS if p.operation == "scale" and p.low <= 0.01 and p.high > 4]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(scales), entries, max_size=5))
def test_a_set_written_out_in_full_reads_back(
    tmp_path_factory: pytest.TempPathFactory, given: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    try:
        dynamics = load_dynamics(write(folder, yaml.safe_dump({"base": "train", "parameters": given})))
    except DynamicsError as error:  # an exponential begins at 0, which no factor on a mass may be
        assert "leaves the allowed values" in str(error)
        return
    again = load_dynamics(write(folder, yaml.safe_dump(dynamics.to_dict())))
    assert again == dynamics


def test_mu_is_minus_one_to_one_over_the_training_range() -> None:
    train = load_dynamics("train")
    mu = privileged(TASKS["FetchPush"])
    here = [p for p in PARAMETERS if exists(p, TASKS["FetchPush"].features)]
    assert set(mu.names) == {p.name for p in here if train[p.name].varies}
    low = np.array([d.span[0] if d.varies else 0.0 for d in train.distributions])
    high = np.array([d.span[1] if d.varies else 0.0 for d in train.distributions])
    np.testing.assert_allclose(mu.scale(np.stack([low, high])), [[-1.0] * len(mu.names), [1.0] * len(mu.names)])


def test_mu_is_logarithmic_where_the_draw_is_and_goes_on_outside() -> None:
    mu = privileged(TASKS["FetchPush"])
    values = np.tile([p.nominal for p in PARAMETERS], (3, 1))
    # train: object_mass log-uniform in [0.4, 2.5], whose middle is 1; action_delay uniform in [0, 40] ms
    values[:, INDEX["object_mass"]] = [1.0, 2.5, 2.5**2]
    values[:, INDEX["action_delay"]] = [20.0, 40.0, 80.0]
    scaled = mu.scale(values)
    np.testing.assert_allclose(scaled[:, mu.names.index("object_mass")], [0.0, 1.0, 2.0], atol=1e-12)
    np.testing.assert_allclose(scaled[:, mu.names.index("action_delay")], [0.0, 1.0, 3.0])


def test_mu_without_an_object_leaves_its_parameters_out() -> None:
    names = privileged(TASKS["FetchReach"]).names
    assert "weld_time_constant" in names
    assert not {n for n in names if PARAMETERS[INDEX[n]].needs == "object"}

from __future__ import annotations

from sim2real.architecture_graph import Graph, cell_graph, convnet_graph, drawing, policy_graph
from tests.envs.test_convnets import labels
from tests.envs.test_policy_networks import CHOICE
from tests.envs.test_recurrent_cells import PAPER


def test_the_papers_cell() -> None:
    graph = cell_graph(PAPER)
    assert graph.texts["2"] == "2: sigmoid of product"
    reads = {node: {a for a, b in graph.edges if b == node} for node in graph.texts}
    assert reads["inject"] == {"0", "c"} and reads["2"] == {"inject", "1"}
    assert reads["next_h"] == {"2"} and reads["next_c"] == {"1"}


def test_skips_of_a_convolutional_network() -> None:
    edges = convnet_graph(labels((), ("layer_0",), ("layer_0",))).edges
    assert set(edges) == {
        ("image", "layer_0"),
        ("layer_0", "layer_1"),
        ("layer_0", "layer_2"),
        ("layer_1", "classifier"),
        ("layer_2", "classifier"),
    }


def test_a_policy_shows_what_its_memory_uses() -> None:
    assert policy_graph(CHOICE).texts["memory"] == "lstm, 64 units"
    assert policy_graph({**CHOICE, "memory": "history"}).texts["memory"] == "history, 8 steps"
    assert "memory" not in policy_graph({**CHOICE, "memory": "none"}).texts


def test_a_node_stands_below_all_that_it_reads() -> None:
    graph = Graph({"a": "", "b": "", "c": ""}, (("a", "b"), ("b", "c"), ("a", "c")))
    assert graph.depth() == {"a": 0, "b": 1, "c": 2}


def test_drawings_show_every_node() -> None:
    for space, choice in (("cells", PAPER), ("policy", CHOICE), ("images", labels((), (), ("layer_0",)))):
        picture = drawing(space, choice)
        assert picture.startswith("<svg") and picture.endswith("</svg>") and picture.count("<rect") >= 4

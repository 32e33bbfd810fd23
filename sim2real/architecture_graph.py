"""Pictures of architectures, for reports: boxes in the order of computation, joined by lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim2real.envs.convnets import connections, unread
from sim2real.envs.policy_networks import effective
from sim2real.envs.recurrent_cells import inner_nodes
from sim2real.search_types import Labels
from sim2real.svg import Chart, Point

_WIDTH, _HEIGHT, _GAP, _LANE = 190.0, 34.0, 30.0, 10.0


@dataclass(frozen=True)
class Graph:
    """What is computed from what."""

    texts: Mapping[str, str]
    """Node -> what it does; a node stands after those it reads."""
    edges: tuple[tuple[str, str], ...]
    """(read, reader)"""

    def depth(self) -> dict[str, int]:
        """Length of the longest way to each node."""
        depth: dict[str, int] = {}
        for node in self.texts:
            depth[node] = max((depth[a] + 1 for a, b in self.edges if b == node), default=0)
        return depth


def drawing(space: str, labels: Labels) -> str:
    """The architecture as inline SVG."""
    graphs = {"cells": cell_graph, "images": convnet_graph, "omniglot": convnet_graph, "policy": policy_graph}
    return draw(graphs[space](labels))


def cell_graph(labels: Labels) -> Graph:
    """A recurrent cell: leaves, tree, where c goes in and where it comes from."""
    base = (sum(name.startswith("node_") for name in labels) // 2 + 1) // 2
    texts, edges = {"x": "x", "h": "h", "c": "c"}, []
    inner, root, inject_at = inner_nodes(base), str(2 * base - 2), str(labels["inject_at"])
    output: dict[int, str] = {}
    for node in range(2 * base - 1):
        texts[str(node)] = f"{node}: {_step(labels, f'node_{node}')}"
        inputs = ("x", "h") if node < base else tuple(output[i] for i in inner[node - base])
        edges += [(a, str(node)) for a in inputs]
        output[node] = str(node)
        if str(node) == inject_at:
            texts["inject"] = f"with c: {_step(labels, 'inject')}"
            edges += [(str(node), "inject"), ("c", "inject")]
            output[node] = "inject"
    texts |= {"next_h": "next h", "next_c": "next c (before activation)"}
    edges += [(output[int(root)], "next_h"), (str(labels["cell_from"]), "next_c")]
    return Graph(texts, tuple(edges))


def convnet_graph(labels: Labels) -> Graph:
    """Convolutions with what each of them reads."""
    reads = connections(labels)
    texts, edges = {"image": "image"}, []
    for i, read in enumerate(reads):
        size = f"{labels[f'height_{i}']} x {labels[f'width_{i}']}"
        texts[f"layer_{i}"] = f"{size}, {labels[f'filters_{i}']} filters, stride {labels[f'stride_{i}']}"
        edges += [(f"layer_{j}", f"layer_{i}") for j in read] or [("image", f"layer_{i}")]
    texts["classifier"] = "mean, classifier"
    edges += [(f"layer_{i}", "classifier") for i in unread(reads)]
    return Graph(texts, tuple(edges))


def policy_graph(labels: Labels) -> Graph:
    """The actor: memory of (s, a before), beside state and goal, into the head."""
    used = effective(labels)
    texts, edges = {"seen": "state, action before", "now": "state, goal"}, [("now", "head")]
    last = "seen"
    if "embedding" in used:
        texts["embedding"] = f"embedding, {used['embedding']} units"
        edges.append((last, "embedding"))
        last = "embedding"
    if used["memory"] != "none":
        size = f"{used['memory_units']} units" if "memory_units" in used else f"{used['history']} steps"
        texts["memory"] = f"{used['memory']}, {size}"
        edges += [(last, "memory"), ("memory", "head")]
    else:
        del texts["seen"]
    texts |= {"head": f"{used['hidden_layers']} x {used['hidden_units']} units", "action": "action"}
    return Graph(texts, (*edges, ("head", "action")))


def draw(graph: Graph) -> str:
    """Rows by depth, from top to bottom; a line that passes rows goes around their boxes, in a lane of its own."""
    depth = graph.depth()
    rows = [[node for node in graph.texts if depth[node] == d] for d in range(max(depth.values()) + 1)]
    passing = sum(depth[b] - depth[a] > 1 for a, b in graph.edges)
    boxes = max(len(row) for row in rows) * (_WIDTH + _GAP)
    chart = Chart(
        max(boxes + 2 * (passing + 1) * _LANE, 700.0), len(rows) * (_HEIGHT + _GAP) + _GAP, "best architecture"
    )
    places = {
        node: (chart.width / 2 + (k - (len(row) - 1) / 2) * (_WIDTH + _GAP), _GAP + depth[node] * (_HEIGHT + _GAP))
        for row in rows
        for k, node in enumerate(row)
    }
    lanes = 0
    for a, b in graph.edges:
        (x0, y0), (x1, y1) = places[a], places[b]
        around: list[Point] = []
        if depth[b] - depth[a] > 1:
            lanes += 1
            between = [places[node][0] for row in rows[depth[a] + 1 : depth[b]] for node in row]
            lane = max(between) + _WIDTH / 2 + lanes * _LANE
            around = [(lane, y0 + _HEIGHT + _GAP), (lane, y1 - _GAP)]
        chart.line([(x0, y0 + _HEIGHT), *around, (x1, y1)], "curve muted")
    for node, (x, y) in places.items():
        chart.rectangle(x - _WIDTH / 2, y, _WIDTH, _HEIGHT, "trained", hint=node, opacity=1.0)
        chart.text(x, y + _HEIGHT / 2 + 5, graph.texts[node], "label middle")
    return chart.render()


def _step(labels: Labels, step: str) -> str:
    combined = {"add": "sum", "elem_mult": "product"}[str(labels[f"{step}_combine"])]
    activation = labels[f"{step}_activation"]
    return combined if activation == "identity" else f"{activation} of {combined}"

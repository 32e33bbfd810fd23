from __future__ import annotations

import torch
from torch import nn

from sim2real.agents.few_shot_losses import cross_entropy, mean_squared_error
from sim2real.agents.few_shot_networks import TaskConvNet, TaskMLP
from sim2real.agents.functional import task_losses


def test_the_mlp_is_linear_and_relu_layers() -> None:
    torch.manual_seed(0)
    network = TaskMLP(2, (5, 4), 3, std=0.5)
    plain = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values(), strict=True)))
    x = torch.randn(6, 2)
    torch.testing.assert_close(network(x), plain(x))
    # Two tasks with parameters of their own, at once.
    stacked = {n: torch.stack([p, 2 * p]) for n, p in network.named_parameters()}
    both = network.compute(stacked, torch.stack([x, x]))
    torch.testing.assert_close(both[0], plain(x))
    torch.testing.assert_close(both[1], network.compute({n: 2 * p for n, p in network.named_parameters()}, x))


def test_the_mlp_starts_as_the_paper_says() -> None:
    torch.manual_seed(0)
    network = TaskMLP(1, (40, 40), 1)
    weight = network.get_parameter("weight_1").detach()
    # A normal distribution cut at two deviations has 0.88 of its deviation left.
    assert abs(float(weight.std()) - 0.0088) < 5e-4 and float(weight.abs().max()) <= 0.02
    assert not network.get_parameter("bias_1").any()


def test_the_convolutional_network_is_convolution_normalisation_relu() -> None:
    torch.manual_seed(0)
    network = TaskConvNet(1, 6, 3, statistics="transductive")
    for k in range(4):
        nn.init.normal_(network.get_parameter(f"shift_{k}"))
    x = torch.rand(7, 1, 28, 28)
    y = x
    for k in range(4):
        y = nn.functional.conv2d(y, network.get_parameter(f"weight_{k}"), stride=2, padding=1)
        y = nn.functional.batch_norm(y, None, None, torch.ones(6), network.get_parameter(f"shift_{k}"), True, 0.0, 1e-3)
        y = torch.relu(y)
    expected = nn.functional.linear(y.mean((2, 3)), network.weight_out, network.bias_out)
    assert y.shape[2:] == (2, 2)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


def test_support_statistics_are_those_of_the_support_set() -> None:
    torch.manual_seed(0)
    network = TaskConvNet(1, 6, 3, statistics="support")
    parameters = dict(network.named_parameters())
    support, query = torch.rand(5, 1, 28, 28), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(network.compute(parameters, support, support), network(support), rtol=1e-4, atol=1e-5)
    together, alone = network.compute(parameters, query, support), network.compute(parameters, query[:1], support)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, network(query), atol=1e-3)


def test_every_form_gives_the_same_outputs() -> None:
    torch.manual_seed(0)
    network = TaskConvNet(1, 6, 3, statistics="transductive").double()
    stacked = {n: torch.stack([p, 1.1 * p]) for n, p in network.named_parameters()}
    x = torch.rand(2, 5, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(
        task_losses(network.compute, "vmap")(stacked, x), task_losses(network.compute, "loop")(stacked, x)
    )


def test_losses_by_hand() -> None:
    outputs, targets = torch.tensor([[[1.0], [3.0]], [[0.0], [0.0]]]), torch.tensor([[[0.0], [1.0]], [[1.0], [1.0]]])
    assert mean_squared_error(outputs, targets).tolist() == [2.5, 1.0]  # (1 + 4) / 2, (1 + 1) / 2
    logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    classes = torch.tensor([[0, 1]])
    expected = nn.functional.cross_entropy(logits[0], classes[0])
    torch.testing.assert_close(cross_entropy(logits, classes), expected[None])

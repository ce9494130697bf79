"""Which weights go where, and that the composite optimizer is exactly its parts."""

import math
import pickle
from io import BytesIO

import numpy as np
import pytest
import torch
from torch import nn

from maskwright.errors import RecipeError
from maskwright.training.optimizers import AdamW, Composite, Lamb, Muon
from maskwright.training.optimizers.groups import group

RECIPES = [Muon(lr=0.02, weight_decay=0.1), AdamW(lr=1e-3), Lamb(lr=1e-2)]


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(8, 16), nn.Linear(16, 8), nn.LayerNorm(8)

    def forward(self, x_BLD):
        return x_BLD + self.down(torch.relu(self.up(self.norm(x_BLD))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(20, 8)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.transform, self.head = nn.Linear(8, 8), nn.Linear(8, 20)
        self.head.weight = self.table.weight

    def forward(self, ids_BL):
        hidden_BLD = self.table(ids_BL)
        for layer in self.layers:
            hidden_BLD = layer(hidden_BLD)
        return self.head(self.transform(hidden_BLD))


def set_gradients(net: nn.Module, step: int) -> None:
    ids_BL = torch.randint(0, 20, (4, 6), generator=torch.Generator().manual_seed(step))
    net.zero_grad()
    nn.functional.cross_entropy(net(ids_BL[:, :-1]).flatten(0, 1), ids_BL[:, 1:].flatten()).backward()


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        set_gradients(net, step)
        optimizer.step()


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def names(net: nn.Module, weights: list) -> set[str]:
    return {name for name, weight in net.named_parameters() if any(weight is other for other in weights)}


def test_only_layer_matrices_are_hidden():
    net = Net()
    groups = group(net)
    assert names(net, groups.hidden) == {f"layers.{i}.{part}.weight" for i in (0, 1) for part in ("up", "down")}
    assert names(net, groups.rest) == {"transform.weight"}
    assert "table.weight" in names(net, groups.no_decay)
    assert "table.weight" in names(net, group(net, decay_embeddings=True).rest)
    assert sum(len(part) for part in (groups.hidden, groups.rest, groups.no_decay)) == len(list(net.parameters()))


def test_hidden_matrices_of_transformers_exclude_embeddings_and_vocabularies():
    from transformers import ElectraConfig, ElectraForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

    electra = ElectraForMaskedLM(
        ElectraConfig(
            vocab_size=50, embedding_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=16,
        )
    )  # fmt: skip
    # Held in a list, as a shell may do: the list around networks is not a stack of layers.
    hidden = names(electra, group(nn.ModuleList([electra])).hidden)
    assert len(hidden) == 2 * 6 + 1
    assert {name for name in hidden if ".encoder.layer." not in name} == {"generator_predictions.dense.weight"}
    modern = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            pad_token_id=0, bos_token_id=1, eos_token_id=1, cls_token_id=1, sep_token_id=1,
        )
    )  # fmt: skip
    hidden = names(modern, group(modern).hidden)
    assert len(hidden) == 2 * 4 + 1
    assert {name for name in hidden if not name.startswith("model.layers.")} == {"head.dense.weight"}


def test_weights_shared_by_two_networks_count_once_and_frozen_ones_never():
    one, two = Net(), Net()
    two.table.weight = two.head.weight = one.table.weight
    two.transform.requires_grad_(False)
    groups = group(one, two)
    listed = [*groups.hidden, *groups.rest, *groups.no_decay]
    assert len(listed) == len({id(weight) for weight in listed}) == 2 * len(list(Net().parameters())) - 3
    one.requires_grad_(False)
    two.requires_grad_(False)
    with pytest.raises(RecipeError, match="No weight of the network is trainable"):
        group(one, two)


def test_composite_equals_two_optimizers():
    ours, theirs = Net(), Net()
    composite = Muon(lr=0.02, weight_decay=0.1).build(ours)
    groups = group(theirs)
    muon = torch.optim.Muon(groups.hidden, lr=0.02, weight_decay=0.1)
    adamw = torch.optim.AdamW(
        [{"params": groups.rest, "weight_decay": 0.01}, {"params": groups.no_decay, "weight_decay": 0.0}],
        lr=3e-3, betas=(0.9, 0.98), eps=1e-6, fused=True,
    )  # fmt: skip
    for step in range(4):
        set_gradients(ours, step)
        composite.step()
        set_gradients(theirs, step)
        muon.step()
        adamw.step()
    assert equal(ours, theirs)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_state_survives_a_checkpoint_exactly(recipe):
    whole, first, second = Net(), Net(), Net()
    train(whole, recipe.build(whole), range(6))
    optimizer = recipe.build(first)
    train(first, optimizer, range(3))
    file = BytesIO()
    torch.save({"net": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
    saved = torch.load(BytesIO(file.getvalue()), weights_only=True)
    second.load_state_dict(saved["net"])
    resumed = recipe.build(second)
    resumed.load_state_dict(saved["optimizer"])
    train(second, resumed, range(3, 6))
    assert equal(whole, second)
    assert [entry["name"] for entry in resumed.param_groups] == ["hidden", "rest", "no_decay"]


def test_learning_rate_schedulers_move_every_group():
    net = Net()
    composite = Muon(lr=0.02).build(net)
    torch.optim.lr_scheduler.LambdaLR(composite, lambda step: 0.5)
    assert [entry["lr"] for entry in composite.param_groups] == [0.01, 0.0015, 0.0015]
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    for entry in composite.param_groups:
        entry["lr"] = 0.0
    train(net, composite, range(1))
    assert all(torch.equal(before[name], weight) for name, weight in net.named_parameters())


def test_a_closure_runs_once_with_gradients():
    net, calls = Net(), []

    def closure():
        calls.append(torch.is_grad_enabled())
        return 1.0

    set_gradients(net, 0)
    assert AdamW(lr=1e-3).build(net).step(closure) == 1.0 and calls == [True]


def test_one_weight_in_two_optimizers_is_refused():
    weight = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match="more than one parameter group"):
        Composite([torch.optim.SGD([weight]), torch.optim.AdamW([weight])])


def test_muon_moves_all_directions_alike():
    net = Net()
    before = net.layers[0].up.weight.detach().clone()
    set_gradients(net, 0)
    Muon(lr=0.02, momentum=0.0).build(net).step()
    singular = torch.linalg.svdvals(before - net.layers[0].up.weight.detach())
    # 16 x 8: Newton-Schulz leaves singular values near 1, times lr sqrt(rows / columns); inputs of mean 0 have rank 7.
    assert (singular[:7] / (0.02 * math.sqrt(2))).sub(1).abs().max() < 0.5


def test_lamb_is_the_papers_algorithm():
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=(3, 4)), rng.normal(size=(5, 3, 4))
    lr, (first, second), eps, decay = 0.01, (0.9, 0.999), 1e-6, 0.1
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    bias = nn.Parameter(torch.from_numpy(start[0].copy()))
    from maskwright.training.optimizers.lamb import Lamb as Rule

    rule = Rule(
        [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0, "adapt": False}],
        lr=lr, betas=(first, second), eps=eps, weight_decay=decay,
    )  # fmt: skip
    adam = nn.Parameter(torch.from_numpy(start[0].copy()))
    plain = torch.optim.Adam([adam], lr=lr, betas=(first, second), eps=eps)
    x, m, v = start.copy(), 0.0, 0.0
    for step, grad in enumerate(grads, 1):
        m, v = first * m + (1 - first) * grad, second * v + (1 - second) * grad**2
        r = (m / (1 - first**step)) / (np.sqrt(v / (1 - second**step)) + eps) + decay * x
        x = x - lr * np.linalg.norm(x) / np.linalg.norm(r) * r
        weight.grad = torch.from_numpy(grad)
        bias.grad = adam.grad = torch.from_numpy(grad[0])
        rule.step()
        plain.step()
    np.testing.assert_allclose(weight.detach().numpy(), x, rtol=1e-12)
    torch.testing.assert_close(bias, adam, rtol=1e-9, atol=0)


def test_lamb_moves_a_zero_weight():
    net = nn.Sequential(nn.Linear(2, 2))
    nn.init.zeros_(net[0].weight)
    net(torch.ones(1, 2)).sum().backward()
    Lamb(lr=0.1).build(net).step()
    torch.testing.assert_close(net[0].weight, torch.full((2, 2), -0.1), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdamW(lr=-1.0), "optimizer.lr is -1.0; it must be a number above 0."),
        (lambda: AdamW(lr=1.0, betas=[0.9, 1.0]), "optimizer.betas is 1.0; it lies between 0 and 1, 1 excluded."),
        (lambda: AdamW(lr=1.0, betas=[0.9]), "optimizer.betas is [0.9]; give two numbers, as [0.9, 0.98]."),
        (lambda: Lamb(lr=math.nan), "optimizer.lr is nan; it must be a number above 0."),
        (lambda: Muon(lr=1.0, scale="x"), "optimizer.scale is 'x'; choose one of original, match_rms_adamw."),
        (lambda: Muon(lr=1.0, momentum=1.5), "optimizer.momentum is 1.5; it lies between 0 and 1, 1 excluded."),
        (
            lambda: Muon(lr=1.0).build(nn.Linear(2, 2)),
            "optimizer=muon found no hidden matrices in the network; use optimizer=adamw.",
        ),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(RecipeError) as caught:
        make()
    assert str(caught.value) == message


def test_recipes_are_plain():
    for recipe in RECIPES:
        assert vars(pickle.loads(pickle.dumps(recipe))) == vars(recipe)

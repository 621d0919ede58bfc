"""Training: the original recipe in short, kept step by step so that it can go on after any end.

Source: Liu et al. 2021 (Swin), section 4.1 and appendix A2.1, and the authors' code.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.checkpoints import read_about, read_weights, save_weights
from swin_edu.model import SwinTransformer


@dataclass(frozen=True)
class Recipe:
    """A small model, and how it is trained; the defaults are for the handwritten digits."""

    channels: int = 32
    depths: tuple[int, ...] = (2, 2)
    heads: tuple[int, ...] = (2, 4)
    window: int = 2
    patch: int = 2
    version: int = 1
    stochastic_depth: float = 0.1
    epochs: int = 40
    batch: int = 64
    learning_rate: float = 3e-3  # the highest
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    largest_gradient: float = 5.0  # length of all gradients together
    # how far an image may be changed, at random:
    turn: float = 15.0  # degrees
    stretch: float = 0.1  # share of the size
    move: float = 1.0  # pixels
    mirror: float = 0.0  # share of the images
    beyond: str = "zeros"  # what lies beyond the border, or "reflection"


RECIPES = {
    "digits": Recipe(),
    "scenes": Recipe(
        channels=24,
        depths=(2, 2, 2),
        heads=(2, 4, 8),
        window=4,
        patch=4,
        stochastic_depth=0.0,
        epochs=24,
        turn=180,
        move=4,
        mirror=0.5,
        beyond="reflection",
    ),
    "CIFAR-10": Recipe(
        channels=48,
        depths=(2, 2, 2),
        heads=(3, 6, 12),
        window=4,
        epochs=60,
        batch=128,
        learning_rate=1e-3,
        move=4,
        mirror=0.5,
        beyond="reflection",
    ),
}


def normalise(images: Tensor) -> Tensor:
    """Return images as numbers from -1 to 1: bytes, 0 to 255, or floats, 0 to 1.

    Shape: (B, 3, H, W) -> (B, 3, H, W)
    """
    return images * 2 - 1 if images.is_floating_point() else images / 127.5 - 1


def small_swin(recipe: Recipe, classes: int) -> SwinTransformer:
    """Build the model of a recipe, with weights large enough for few channels."""
    model = SwinTransformer(
        channels=recipe.channels,
        depths=recipe.depths,
        heads=recipe.heads,
        window=recipe.window,
        num_classes=classes,
        version=recipe.version,
        stochastic_depth=recipe.stochastic_depth,
        patch=recipe.patch,
    )
    draw_larger_weights(model)
    return model


def draw_larger_weights(model: nn.Module) -> None:
    """Draw the weights of all linear layers anew, with variance 1 / inputs, which suits few channels."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=layer.in_features**-0.5)


def vary(images: Tensor, recipe: Recipe) -> Tensor:
    """Turn, stretch, move and mirror images of bytes at random, as far as the recipe says; return floats.

    Shape: (B, 3, H, W) -> (B, 3, H, W)
    """
    batch, _, height, width = images.shape
    turn, stretch, right, down = 2 * torch.rand(4, batch) - 1  # each from -1 to 1
    angle, size = math.radians(recipe.turn) * turn, 1 + recipe.stretch * stretch
    mirror = torch.where(torch.rand(batch) < recipe.mirror, -1, 1)
    # Where the centre of each new pixel lies in the old image: from -1 to 1 across and down.
    rows = [
        [mirror * size * angle.cos(), -size * angle.sin() * height / width, right * recipe.move * 2 / width],
        [mirror * size * angle.sin() * width / height, size * angle.cos(), down * recipe.move * 2 / height],
    ]
    matrices = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).to(images.device)
    places = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images / 255, places, padding_mode=recipe.beyond, align_corners=False)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Return the parameters in two groups for the optimiser: matrices and kernels decay, all else does not.

    All else: biases, norms, position tables or networks, scales of cosines.
    Source: the authors' code (set_weight_decay, no_weight_decay_keywords).
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        decays = parameter.ndim in (2, 4) and "position." not in name
        (matrices if decays else others).append(parameter)
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the rate of a step: it rises evenly in the warm-up, then falls to 0 along half a cosine."""
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def classification_loss(model: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of some images, changed at random, and their labels.

    Shape: (B, 3, H, W), (B) -> ()
    """
    return F.cross_entropy(
        model(normalise(vary(images, recipe))), labels, label_smoothing=recipe.label_smoothing
    )


@contextmanager
def answering(model: nn.Module) -> Iterator[torch.device]:
    """Let a model answer, without gradients, whatever it did before and does afterwards; yield its device."""
    was_training = model.training
    try:
        with torch.no_grad():
            yield next(model.eval().parameters()).device
    finally:
        model.train(was_training)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, batch: int = 256) -> float:
    """Return the share of images `(N, 3, H, W)` whose highest score is that of their label."""
    with answering(model) as where:
        right = sum(
            int((model(normalise(some.to(where))).argmax(1) == of.to(where)).sum())
            for some, of in zip(images.split(batch), labels.split(batch), strict=True)
        )
    return right / len(labels)


Loss = Callable[..., Tensor]  # of a model, a recipe, and the images of a batch with what belongs to them


class Task(NamedTuple):
    """What training makes small, and what its result is judged by."""

    loss: Loss
    score: Callable[..., float]  # of a model, and held-out images with what belongs to them; more is better


CLASSIFICATION = Task(classification_loss, accuracy)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Tensor],
    recipe: Recipe,
    loss_of: Loss = classification_loss,
) -> float:
    """Change the weights once, by the gradient of the loss of a batch; return the loss."""
    loss = loss_of(model, recipe, *batch)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.largest_gradient)
    optimizer.step()
    return loss.item()


@contextmanager
def repeatable(seed: int, where: torch.device) -> Iterator[None]:
    """Draw the random numbers of a seed, leave the caller's alone, and on a CPU add in one fixed order."""
    before = torch.get_deterministic_debug_mode()
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_deterministic_debug_mode("error" if where.type == "cpu" else before)
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: Sequence[Tensor],
    recipe: Recipe,
    epoch: int,
    loss_of: Loss = classification_loss,
) -> float:
    """Take all images once, in a random order, batch by batch; return the mean loss.

    Images that do not fill a batch wait for the next epoch, which has another order.
    Raises FloatingPointError when a loss is not finite.
    """
    model.train()
    count = len(training[0])
    order = torch.randperm(count).to(training[0].device)
    batches = order.split(recipe.batch)[: count // recipe.batch]
    losses = []
    for step, chosen in enumerate(batches, epoch * len(batches)):
        rate = learning_rate(step, recipe.epochs * len(batches), recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(train_step(model, optimizer, [part[chosen] for part in training], recipe, loss_of))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"the loss is {losses[-1]} in step {step}, at learning rate {rate:.1e}; take a smaller one"
            )
    return sum(losses) / len(losses)


@dataclass
class History:
    """What training has reached: one number for each epoch."""

    losses: list[float] = field(default_factory=list)  # mean over the steps
    scores: list[float] = field(default_factory=list)  # of held-out images, for classes the share named right

    def add(self, loss: float, score: float) -> None:
        """Note one more epoch, in new lists: who watches may keep the old ones."""
        self.losses, self.scores = [*self.losses, loss], [*self.scores, score]

    @property
    def best(self) -> int:
        """The epoch with the highest score, the first of them; counted from 0."""
        return self.scores.index(max(self.scores))


def copy_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies that later steps do not change."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def save_state(
    path: Path,
    about: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: History,
    best: Mapping[str, Tensor],
) -> None:
    """Write all that training needs to go on after this epoch."""
    series = {"losses": history.losses, "scores": history.scores}
    groups = {
        "model": model.state_dict(),
        "best": best,
        "history": {name: torch.tensor(values, dtype=torch.float64) for name, values in series.items()},
        **{f"optimizer.{number}": values for number, values in optimizer.state_dict()["state"].items()},
    }
    named = {f"{group}.{name}": x for group, values in groups.items() for name, x in values.items()}
    save_weights(named, path, {"training": about})


def load_state(
    path: Path, about: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[History, dict[str, Tensor]]:
    """Set model and optimiser to where a file left off; return what was reached, and the best weights.

    Raises ValueError when the file is damaged or the state of another training.
    """
    saved = read_weights(path)
    found, wanted = (json.loads(text) for text in (read_about(path).get("training", "{}"), about))
    if found != wanted:
        others = [
            f"{name} {found.get(name)}, not {value}"
            for name, value in wanted.items()
            if found.get(name) != value
        ]
        raise ValueError(
            f"{path} is the state of another training, with {', '.join(others)}; remove or rename it"
        )

    def group(begin: str) -> dict[str, Tensor]:
        return {name[len(begin) :]: x for name, x in saved.items() if name.startswith(begin)}

    shapes = [{name: x.shape for name, x in each.items()} for each in (group("model."), model.state_dict())]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{path} is the state of another model; remove or rename it")
    model.load_state_dict(group("model."))
    optimizer.load_state_dict(
        {
            "state": {i: group(f"optimizer.{i}.") for i in range(len(list(model.parameters())))},
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    history = {name: values.tolist() for name, values in group("history.").items()}
    return History(**history), group("best.")


def train(
    model: nn.Module,
    training: Sequence[Tensor],
    held_out: Sequence[Tensor],
    recipe: Recipe,
    seed: int = 0,
    state: Path | None = None,
    watch: Callable[[History], None] = lambda history: None,
    task: Task = CLASSIFICATION,
) -> History:
    """Train the model; return what each epoch reached. However it ends, the model has the best weights.

    `training` and `held_out` are images `(N, 3, H, W)` and what the task needs beside them: labels `(N,)`.
    `state` is a file, written after each epoch, from which training goes on if it is there. `watch` is called
    after each epoch. An interrupt (Ctrl-C) only ends training early.
    Raises ValueError when there are fewer images than a batch or the state has another seed, recipe or number
    of images, and FloatingPointError when the loss is not finite.
    """
    if state is not None and state.suffix != ".safetensors":
        raise ValueError(f"state is {state}; its name must end in .safetensors")
    where = next(model.parameters()).device
    training, count = [part.to(where) for part in training], len(training[0])
    if count < recipe.batch:
        raise ValueError(f"there are {count} images; a batch needs {recipe.batch}")
    about = json.dumps({"seed": seed, "images": count, **asdict(recipe)})
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay))
    history, best = History(), copy_of(model.state_dict())
    if state is not None and state.exists():
        history, best = load_state(state, about, model, optimizer)
    try:
        for epoch in range(len(history.losses), recipe.epochs):
            with repeatable(1_000_003 * seed + epoch, where):  # another number for each seed and epoch
                loss = train_epoch(model, optimizer, training, recipe, epoch, task.loss)
            score = task.score(model, *held_out)
            if score > max(history.scores, default=-math.inf):
                best = copy_of(model.state_dict())
            history.add(loss, score)  # after the copy, for an interrupt may come in between
            if state is not None:
                save_state(state, about, model, optimizer, history, best)
            watch(history)
    except KeyboardInterrupt:
        pass
    finally:
        model.load_state_dict(best)
        model.eval()
    return history

"""How many tasks a second does MAML's outer step take, all tasks at once and one after the other?

The step is the second-order meta-gradient and Adam, with the settings of Finn et al. 2017: 25 sinusoids with 10 support
and 10 query points and an MLP 1-40-40-1; 32 Omniglot tasks (5 ways, 1 shot, 1 query) and four convolutions of 64
filters. Omniglot's images are random here: time does not depend on them. Beside the forms of `agents.functional` stands
the loop over cloned modules that learn2learn is (`module_maml.py`). All are timed in turn; the fastest of the
rounds counts, because other work on the machine only ever slows down. With one thread it is processor time, which other
work disturbs least; with more it is wall time, and the machine has to be idle. Memory: by how much the peak of a step
is above what the process holds before.

    python benchmarks/few_shot.py
    python benchmarks/few_shot.py --threads 2 --out results/few_shot_speed_2_threads.json
    python benchmarks/few_shot.py --quick
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

import module_maml
from publishing import publish
from sim2real.agents.maml import MAML
from sim2real.agents.maml_config import MAMLConfig
from sim2real.envs.fewshot import SinusoidSource
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State

Form = Literal["at_once", "vmap", "loop", "modules"]
FORMS: dict[str, tuple[Form, ...]] = {
    "sinusoid": ("at_once", "vmap", "loop", "modules"),
    "omniglot": ("at_once", "loop", "modules"),  # vmap is what is fastest for convolutions, and what at_once means
}
CONFIGS = {
    "sinusoid": MAMLConfig(meta_batch=25, inner_rate=0.01),
    "omniglot": MAMLConfig(meta_batch=32, inner_rate=0.4),
}


class Noise:
    """Five-way one-shot tasks of random images."""

    def __init__(self) -> None:
        self.task = FewShotSpec("noise", "classification", (1, 28, 28), 5, 1, 1)

    def sample(self, tasks: int) -> TaskBatch:
        labels = torch.arange(5).expand(tasks, -1)
        support, query = (Examples(torch.rand(tasks, 5, 1, 28, 28), labels) for _ in range(2))
        return TaskBatch(support, query, torch.zeros(tasks, 0))

    def to(self, device: torch.device) -> None:
        """Nothing is kept."""

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing is kept."""


def outer_step(problem: str, form: Form) -> Callable[[], Any]:
    """A function that takes one outer step on the same tasks every time."""
    config = CONFIGS[problem]
    source = SinusoidSource(10, 10, seed=1) if problem == "sinusoid" else Noise()
    chosen: Any = form if form in ("vmap", "loop") else "auto"
    maml = MAML(MAMLConfig(**{**vars(config), "form": chosen}), source, seed=0, device="cpu")
    tasks = source.sample(config.meta_batch)
    if form != "modules":
        return functools.partial(maml.meta_update, tasks)
    module = module_maml.as_modules(maml.policy.network)
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = module_maml.meta_loss(module, tasks, config.inner_rate, source.task.kind)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def seconds(step: Callable[[], Any], times: int) -> float:
    """Seconds of one step: of the processor where there is one thread, else on the wall."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    for _ in range(times):
        step()
    return (clock() - begin) / times


def peak_rise(problem: str, form: Form) -> float:
    """MiB by which one step raises the memory of this process at its peak; Linux counts it."""
    torch.set_num_threads(1)
    step = outer_step(problem, form)
    step()  # what is allocated once is no part of a step
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    step()
    return _memory("VmHWM") - before


def _memory(what: str) -> float:
    """A line of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def measure(problem: str, rounds: int, times: int) -> dict[str, Any]:
    """Tasks per second and memory of every form."""
    steps = {form: outer_step(problem, form) for form in FORMS[problem]}
    for step in steps.values():
        step()
    took: dict[str, list[float]] = {form: [] for form in steps}
    for _ in range(rounds):
        for form, step in steps.items():
            took[form].append(seconds(step, times))
    tasks = CONFIGS[problem].meta_batch
    rates = {form: tasks / min(samples) for form, samples in took.items()}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = {form: pool.apply(peak_rise, (problem, form)) for form in steps}
    return {
        "tasks_a_step": tasks,
        "tasks_per_second": {form: round(rate, 1) for form, rate in rates.items()},
        "at_once_against_module_loop": round(rates["at_once"] / rates["modules"], 2),
        "at_once_against_own_loop": round(rates["at_once"] / rates["loop"], 2),
        "peak_memory_rise_mib": {form: round(rise, 1) for form, rise in memory.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form, written nowhere")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/few_shot_speed.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rounds, times = (3, 5) if args.quick else (9, 5)
    figures: dict[str, Any] = {
        "threads": args.threads,
        "sinusoid": measure("sinusoid", rounds, times),
        "omniglot": measure("omniglot", 2 if args.quick else 12, 1),
    }
    publish("few_shot", figures, None if args.quick else args.out)


if __name__ == "__main__":
    main()

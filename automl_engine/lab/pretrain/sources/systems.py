"""Systems that make series: flows, networks, maps, noises, courses and chirps, each kind with its random parameters.

Chaotic flows and maps as in Strogatz, "Nonlinear dynamics and chaos", and Sprott, "Some simple chaotic flows" (Phys.
Rev. E 1994); continuous recurrent networks come near any dynamical system (Funahashi & Nakamura, Neural Networks 1993).
What must be worked out step by step is run once, for long, from several starts: an example is a piece of a run.
"""

from __future__ import annotations

import math

import torch

from automl_engine.lab.pretrain.sources.voices import Draws

RUNS, STEPS = 4, 1024
"""Of each formula, recorded once; how long they are."""
BURN_IN, SUBSTEPS, LIMIT = 100, 2, 100.0
"""Steps before a record begins; of the integration, in one step; a state beyond the limit has run away."""
CANDIDATES = 2
"""Random systems for each that is kept: many stand still or run away."""
UNITS = 6
BUMPS = 6
FLOWS: tuple[tuple[float, dict[str, dict[str, float]]], ...] = (
    (0.03, {"x": {"y": 10, "x": -10}, "y": {"x": 28, "xz": -1, "y": -1}, "z": {"xy": 1, "z": -2.667}}),  # Lorenz
    (0.25, {"x": {"y": -1, "z": -1}, "y": {"x": 1, "y": 0.2}, "z": {"": 0.2, "xz": 1, "z": -5.7}}),  # Rössler
    (0.3, {"x": {"y": 1}, "y": {"y": 1.5, "xxy": -1.5, "x": -1}}),  # van der Pol
    (0.25, {"x": {"y": 1}, "y": {"y": -0.3, "x": 1, "xxx": -1, "u": 0.5}}),  # Duffing, driven
    (0.3, {"x": {"y": 1}, "y": {"y": -0.1, "x": -1, "xxx": 0.167, "u": 0.4}}),  # pendulum, driven
    (1.0, {"x": {"x": 1, "xxx": -0.333, "y": -1, "": 0.5}, "y": {"x": 0.08, "": 0.056, "y": -0.064}}),  # FitzHugh
    (0.3, {"x": {"x": 1, "xy": -1}, "y": {"xy": 1, "y": -1}}),  # Lotka-Volterra
    (0.2, {"x": {"": 1, "xxy": 1, "x": -4}, "y": {"x": 3, "xxy": -1}}),  # Brusselator
    (0.25, {"x": {"yz": 1}, "y": {"x": 1, "y": -1}, "z": {"": 1, "xy": -1}}),  # Sprott B
    (0.25, {"x": {"y": 1}, "y": {"x": -1, "z": 0.6, "y": -0.02}, "z": {"x": 0.5, "z": -0.2, "u": 0.6}}),  # coupled
)
"""(time of a step, {variable: {monomial: its coefficient in the derivative}}); u is an oscillator outside."""
VARIABLES = "xyzuv"
MONOMIALS = tuple(sorted({term for _, flow in FLOWS for terms in flow.values() for term in terms} | {"u", "v"}))


class Recorded:
    """Runs (formulas, RUNS, STEPS) that are read from a random place on."""

    def __init__(self, runs: torch.Tensor, pace: torch.Tensor) -> None:
        """``pace``: (formulas, 1), steps of the record in one step of an example."""
        mean, deviation = runs.mean(2, keepdim=True), runs.std(2, keepdim=True)
        self.runs, self.pace = (runs - mean) / deviation.clamp(min=1e-6), pace

    def play(self, which: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """(n, L) values of the formulas ``which`` (n,), at times (n, L) in steps, rising from 0."""
        n, device = len(which), which.device
        run = self.runs[which, torch.randint(0, RUNS, (n,), device=device)]
        at = at * self.pace[which]
        at = at + torch.rand(n, 1, device=device) * (STEPS - 2 - at[:, -1:]).clamp(min=0)
        step = at.long().clamp(0, STEPS - 2)
        return torch.lerp(run.gather(1, step), run.gather(1, step + 1), (at - step).clamp(0, 1))


def flows(count: int, rng: torch.Generator, device: torch.device) -> Recorded:
    """Of ``FLOWS``, with coefficients of their own, by the Runge-Kutta method of fourth order."""
    system = torch.arange(CANDIDATES * count) % len(FLOWS)
    draws = Draws(len(system), rng, torch.device("cpu"))
    rates = _rates()[system] * (1 + 0.3 * draws.even(-1, 1, 5 * len(MONOMIALS)).view(-1, 5, len(MONOMIALS)))
    omega = draws.scale(0.5, 2)[:, 0]
    rates[:, 3, MONOMIALS.index("v")], rates[:, 4, MONOMIALS.index("u")] = omega, -omega
    seen, step_s = draws.even(-1, 1, 3), torch.tensor([FLOWS[i][0] for i in system])[:, None] / SUBSTEPS
    rates, step_s = rates.repeat_interleave(RUNS, 0), step_s.repeat_interleave(RUNS, 0)
    factors = torch.tensor([[" xyzuv".index(letter) for letter in f"{term:3}"] for term in MONOMIALS]).T

    def change(state: torch.Tensor) -> torch.Tensor:
        known = torch.cat([torch.ones(len(state), 1), state], 1)
        terms = known[:, factors[0]] * known[:, factors[1]] * known[:, factors[2]]
        return torch.bmm(rates, terms[:, :, None])[..., 0]

    state, states = 0.5 + torch.rand(len(rates), 5, generator=rng), []
    for step in range((STEPS + BURN_IN) * SUBSTEPS):
        first = change(state)
        second = change(state + step_s / 2 * first)
        third = change(state + step_s / 2 * second)
        fourth = change(state + step_s * third)
        state = (state + step_s / 6 * (first + 2 * second + 2 * third + fourth)).clamp(-LIMIT, LIMIT)
        if step >= BURN_IN * SUBSTEPS and step % SUBSTEPS == 0:
            states.append(state[:, :3])
    recorded = torch.stack(states, 2).view(len(system), RUNS, 3, STEPS)
    kept = _alive(recorded.flatten(1, 2), count)
    series = torch.einsum("frvs,fv->frs", recorded / recorded.std(3, keepdim=True).clamp(min=0.1), seen)
    return Recorded(series[kept].to(device), draws.scale(0.4, 2.5)[kept].to(device))


def _rates() -> torch.Tensor:
    """(flows, 5, monomials)."""
    rates = torch.zeros(len(FLOWS), 5, len(MONOMIALS))
    for number, (_, flow) in enumerate(FLOWS):
        for variable, terms in flow.items():
            for term, rate in terms.items():
                rates[number, VARIABLES.index(variable), MONOMIALS.index(term)] = rate
    return rates


def networks(count: int, rng: torch.Generator, device: torch.device) -> Recorded:
    """Few units, coupled at random and driven by a wave: fixed points, limit cycles and chaos."""
    draws = Draws(CANDIDATES * count, rng, torch.device("cpu"))
    gain = draws.scale(1.2, 5)[:, :, None] / UNITS**0.5
    weights = gain * torch.randn(CANDIDATES * count, UNITS, UNITS, generator=rng)
    drive, turn = draws.some(0.7) * draws.even(0, 1.5, UNITS), draws.scale(0.05, 0.6)
    seen = draws.even(-1, 1, UNITS)
    state, series = torch.randn(len(weights), UNITS, RUNS, generator=rng), []
    phase = 2 * math.pi * torch.rand(len(weights), 1, RUNS, generator=rng)
    for step in range(STEPS + BURN_IN):
        wave = torch.sin(turn[..., None] * step + phase)
        state = torch.lerp(state, torch.baddbmm(drive[..., None] * wave, weights, state.tanh()), 0.3)
        if step >= BURN_IN:
            series.append(torch.einsum("fur,fu->fr", state, seen))
    recorded = torch.stack(series, 2)
    kept = _alive(recorded, count)
    return Recorded(recorded[kept].to(device), draws.scale(0.5, 2)[kept].to(device))


def maps(count: int, rng: torch.Generator, device: torch.device) -> Recorded:
    """x' = 1 - a f(x) + b y, y' = x: the logistic map and Hénon's (f = x²), the tent and Lozi's (|x|), and a cosine."""
    draws = Draws(CANDIDATES * count, rng, torch.device("cpu"))
    a, b = draws.even(1.1, 2), draws.some(0.6) * draws.even(-0.4, 0.4)
    kind = torch.arange(len(a))[:, None] % 3
    x, y = (0.2 * torch.rand(len(a), RUNS, generator=rng) for _ in "xy")
    series = []
    for step in range(STEPS + BURN_IN):
        folded = torch.where(kind == 0, x**2, torch.where(kind == 1, x.abs(), 1 - torch.cos(2 * x)))
        x, y = (1 - a * folded + b * y).clamp(-LIMIT, LIMIT), x
        if step >= BURN_IN:
            series.append(x)
    recorded = torch.stack(series, 2)
    kept = _alive(recorded, count)
    return Recorded(recorded[kept].to(device), draws.scale(0.1, 1)[kept].to(device))


def _alive(recorded: torch.Tensor, count: int) -> torch.Tensor:
    """(count,) positions of those among (candidates, runs, STEPS) that neither rest nor have run away."""
    away = (recorded.abs().amax((1, 2)) >= LIMIT) | ~recorded.isfinite().all(2).all(1)
    late = recorded[..., STEPS // 2 :].std(2).amax(1).nan_to_num()
    good = (~away & (late > 0.02)).float()
    return good.argsort(descending=True, stable=True)[:count].sort().values


def noises(count: int, rng: torch.Generator, device: torch.device) -> Recorded:
    """Autoregressive with random poles, coloured (from white noise to random walks), even, or in rare jumps."""
    draws = Draws(count, rng, torch.device("cpu"))
    radius, angle = draws.some(0.7, 2) * draws.even(0.6, 0.99, 2), math.pi * draws.even(0, 1, 2) ** 2
    slope, rarity = draws.some(0.6) * draws.even(-0.5, 2.2), draws.some(0.4) * draws.even(1, 4)
    pushes = torch.randn(count, RUNS, STEPS, generator=rng)
    pushes = pushes * pushes.abs() ** rarity[..., None]
    hertz = torch.linspace(0, math.pi, STEPS // 2 + 1)
    turn = torch.polar(torch.ones_like(hertz), -hertz)
    answer = (hertz + 2 * math.pi / STEPS) ** (-slope / 2) + 0j
    for pair in range(2):
        r, cosine = radius[:, pair, None], angle[:, pair, None].cos()
        answer = answer / (1 - 2 * r * cosine * turn + (r * turn) ** 2)
    series = torch.fft.irfft(torch.fft.rfft(pushes) * answer[:, None], STEPS)
    return Recorded(series.to(device), draws.scale(0.3, 1).to(device))


class Courses:
    """A few bumps and steps at their places, each a little moved, stretched and weighted every time."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        draws = Draws(count, rng, device)
        self.place, self.width = draws.even(0.05, 0.95, BUMPS), draws.scale(0.015, 0.2, BUMPS)
        self.height = draws.some(0.6, BUMPS) * draws.even(-1, 1, BUMPS)
        self.height[:, 0] = self.height[:, 0].sign() + (self.height[:, 0] == 0)
        self.is_step = draws.some(0.4, BUMPS)

    def play(self, which: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """As in ``Recorded``; a course takes as many steps as ``at`` has."""
        shape, device = (len(which), BUMPS), which.device
        place = self.place[which] + 0.02 * torch.randn(shape, device=device)
        width = self.width[which] * (0.15 * torch.randn(shape, device=device)).exp()
        height = self.height[which] * (1 + 0.15 * torch.randn(shape, device=device))
        far = ((at / at.shape[1])[:, None] - place[..., None]) / width[..., None]
        forms = torch.where(self.is_step[which][..., None] > 0, far.tanh(), (-(far**2)).exp())
        return (height[..., None] * forms).sum(1)


class Chirps:
    """Waves of three harmonics that rise or fall, tremble, swell and fade."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        draws = Draws(count, rng, device)
        self.turn, self.sweep = draws.scale(0.015, 0.3), draws.some(0.5) * draws.even(-0.7, 1)
        self.harmonics = draws.some(0.6, 3) * draws.even(-1, 1, 3)
        self.harmonics[:, 0] = 1
        self.tremble, self.tremble_turn = draws.some(0.5) * draws.even(0.3, 1), draws.scale(0.005, 0.05)
        self.place, self.width = draws.even(0, 1), draws.some(0.5) / draws.scale(0.05, 0.5)
        self.hard = draws.some(0.3) * draws.even(1, 6)

    def play(self, which: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """As in ``Recorded``."""
        start = torch.rand(2, len(which), 1, device=which.device)
        share = at / at.shape[1]
        cycles = start[0] + self.turn[which] * at * (1 + self.sweep[which] * share)
        wave = sum(self.harmonics[which, i, None] * torch.sin(2 * math.pi * (i + 1) * cycles) for i in range(3))
        hard = self.hard[which]
        wave = torch.where(hard > 0, (hard * wave).tanh(), wave)
        swing = 0.5 + 0.5 * torch.sin(2 * math.pi * (start[1] + self.tremble_turn[which] * at))
        swell = (-(((share - self.place[which]) * self.width[which]) ** 2)).exp()
        return wave * (1 - self.tremble[which] * swing) * swell

"""The program in PuLP as a textbook has it: every variable and row by name, in plain loops."""

from __future__ import annotations

from typing import Any

from markopt.planning.statement import CALM_SHARE, Statement

Key = tuple[int, ...]


class PulpModel:
    """Variables by index - k offer, c cell, m pool state, w scenario - and the rows on them."""

    def __init__(self, statement: Statement) -> None:
        import pulp

        self.pulp, self.statement = pulp, statement
        self.problem = pulp.LpProblem("program", pulp.LpMinimize)
        self.offers = range(len(statement.offers))
        self.cells = range(statement.tree.cells)
        self.states = range(len(statement.states.probability))
        self.scenarios = range(len(statement.demand.q))
        self.unit_usd = sum(statement.fleet.c) / len(statement.fleet.c)
        self.costs: list[Any] = []
        self.launch, self.ready = self._counts("launch"), self._counts("ready")
        self.ended = self.variables("ended", len(self.offers), len(self.cells))
        self.billed = self.variables("billed", len(self.offers), len(self.cells))
        self.capacity = self.variables("capacity", len(self.states), len(self.cells))
        shape = (len(self.states), len(self.scenarios), len(self.cells))
        self.spill = self.variables("spill", *shape)
        own = statement.own
        self.excess = self.variables("excess", *shape) if own.has_excess else {}
        priced = own.has_excess and own.warm_usd > 0.0
        self.warm = self.variables("warm", len(self.cells)) if priced else None
        self.short = self.variables("short", len(self.cells))
        self._fleet()
        self._spill()
        self._budget()

    def variables(self, name: str, *shape: int, whole: bool = False) -> dict[Key, Any]:
        """Return variables of at least zero by index."""
        found: dict[Key, Any] = {(): None}
        for size in shape:
            found = {(*key, i): None for key in found for i in range(size)}
        kind = self.pulp.LpInteger if whole else self.pulp.LpContinuous
        return {key: self.variable("_".join([name, *map(str, key)]), kind) for key in found}

    def variable(self, name: str, kind: str, least: float | None = 0.0) -> Any:
        """Return one variable."""
        return self.problem.add_variable(name, lowBound=least, cat=kind)

    def require(self, row: Any) -> None:
        """Add a row."""
        self.problem += row

    def total(self, terms: Any) -> Any:
        """Return a sum of expressions."""
        return self.pulp.lpSum(terms)

    def cost(self, usd: float, expression: Any) -> None:
        """Add so many USD per unit of an expression to what is minimized."""
        if usd != 0.0:
            self.costs.append(usd / self.unit_usd * expression)

    def warm_rps(self, c: int) -> Any:
        """Return what warm functions serve: a choice, or all that are at hand."""
        own = self.statement.own
        if self.warm is not None:
            return own.warm_rps * self.warm[c,]
        return own.warm_limit * own.warm_rps

    def expected_capacity(self, c: int) -> Any:
        """Return E C over the pool states."""
        probability = self.statement.states.probability.tolist()
        return self.total(probability[m] * self.capacity[m, c] for m in self.states)

    def billed_usd(self, k: int) -> float:
        """Return USD per billed interval with what replacing costs."""
        return float(self.statement.fleet.c[k] + self.statement.fleet.relaunch[k])

    def bill(self, c: int) -> Any:
        """Return what the fleet costs in a cell, in USD: ready and booting time."""
        fleet = self.statement.fleet
        return self.total(
            self.billed_usd(k) * (self.ready[k, c] + float(fleet.d[k]) * self.launch[k, c])
            for k in self.offers
        )

    def _counts(self, name: str) -> dict[Key, Any]:
        at = self.statement.tree.interval
        within = self.statement.whole_intervals
        kinds = [self.pulp.LpInteger if at[c] < within else self.pulp.LpContinuous
                 for c in self.cells]  # fmt: skip
        return {
            (k, c): self.variable(f"{name}_{k}_{c}", kinds[c])
            for k in self.offers
            for c in self.cells
        }

    def _fleet(self) -> None:
        """Instances from launch to end, what they cost, and what they serve."""
        statement = self.statement
        fleet, tree, horizon = statement.fleet, statement.tree, statement.problem.horizon
        credit = statement.settings.terminal_value_share
        for c in self.cells:
            t, before = int(tree.interval[c]), int(tree.parent[c])
            p = float(tree.probability[c])
            for k in self.offers:
                delay = int(fleet.d[k])
                came = float(fleet.arriving[k, t])
                had: Any = self.ready[k, before] if before >= 0 else float(fleet.ready[k])
                paid: Any = self.billed[k, before] if before >= 0 else float(fleet.billed_now[k])
                origin = tree.ancestor(c, delay)
                if origin >= 0:
                    came = came + self.launch[k, origin]
                self.require(self.ready[k, c] == had + came - self.ended[k, c])
                self.require(self.billed[k, c] == paid + self.launch[k, c] - self.ended[k, c])
                if t + delay >= horizon:
                    self.require(self.launch[k, c] == 0)
                if fleet.m[k] > delay + 1:
                    origins = [tree.ancestor(c, back) for back in range(delay, int(fleet.m[k]))]
                    kept = self.total(self.launch[k, o] for o in origins if o >= 0)
                    self.require(self.ready[k, c] >= kept)
                worth = credit * float(fleet.c[k]) * delay if t == horizon - 1 else 0.0
                self.cost(p * (self.billed_usd(k) - worth), self.ready[k, c])
                boot_usd = self.billed_usd(k) * delay + CALM_SHARE * float(fleet.c[k])
                self.cost(p * boot_usd, self.launch[k, c])
            for m in self.states:
                shares = statement.available[m, :, c]
                serves = self.total(
                    float(fleet.mu[k] * shares[k]) * self.ready[k, c] for k in self.offers
                )
                extra = fleet.noticed_rps if t == 0 else 0.0
                self.require(self.capacity[m, c] == serves + extra)

    def _spill(self) -> None:
        """What no instance serves, scenario by scenario, and what it costs."""
        statement, own = self.statement, self.statement.own
        demand = statement.demand
        for m, c in ((m, c) for m in self.states for c in self.cells):
            for w in self.scenarios:
                slope, q = float(demand.slope[w, c]), float(demand.q[w, c])
                spill = self.spill[m, w, c]
                self.require(spill >= slope * (q - self.capacity[m, c]))
                self.cost(self.requests(m, w, c) * own.spill_usd, spill)
                if self.excess:
                    excess = self.excess[m, w, c]
                    self.require(excess >= spill - self.warm_rps(c))
                    self.cost(self.requests(m, w, c) * own.excess_usd, excess)
        for c in self.cells:
            p = float(statement.tree.probability[c])
            if self.warm is not None:
                self.require(self.warm[c,] <= own.warm_limit)
                self.cost(p * own.warm_usd, self.warm[c,])
            per_rps = statement.penalty_usd * statement.problem.interval_s
            self.cost(p * per_rps, self.short[c,])

    def requests(self, m: int, w: int, c: int) -> float:
        """Return the expected requests that one spilled per second in a scenario is."""
        statement = self.statement
        p = float(statement.states.probability[m]) * float(statement.demand.p[w, c])
        return statement.problem.interval_s * p

    def _budget(self) -> None:
        """Misses per SLO window within what is left, beyond it at a price."""
        statement, own = self.statement, self.statement.own
        budget = statement.budget
        slack = self.variables("slack", len(budget.allowed))
        window_of = budget.window_of[statement.tree.interval]
        for i, allowed in enumerate(budget.allowed.tolist()):
            inside = [c for c in self.cells if window_of[c] == i]
            misses = [
                self.requests(m, w, c) * own.spill_misses * self.spill[m, w, c]
                for m in self.states
                for w in self.scenarios
                for c in inside
                if own.spill_misses > 0.0
            ]
            misses += [
                self.requests(m, w, c) * own.excess_misses * excess
                for (m, w, c), excess in self.excess.items()
                if own.excess_misses > 0.0 and window_of[c] == i
            ]
            self.require(self.total(misses) <= allowed + slack[i,])
            self.cost(statement.penalty_usd, slack[i,])

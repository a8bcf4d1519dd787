"""What has been spent today, from the bills that observations show."""

from __future__ import annotations

import math
from typing import final

DAY_S = 86400.0


@final
class Spending:
    """Adds up the growth of the bill, day by day of the deployment's clock.

    A bill that falls (a restarted back end that counts from zero) adds nothing.
    """

    def __init__(self) -> None:
        self._day: int | None = None
        self._bill_usd: float | None = None
        self.today_usd = 0.0

    def saw(self, time_s: float, bill_usd: float) -> None:
        """Take in the bill at ``time_s``."""
        day = math.floor(time_s / DAY_S)
        if self._day is not None and day != self._day:
            self.today_usd = 0.0
        self._day = day
        if self._bill_usd is not None:
            self.today_usd += max(bill_usd - self._bill_usd, 0.0)
        self._bill_usd = bill_usd

    @staticmethod
    def rest_of_day_s(time_s: float) -> float:
        """Return how long the day lasts."""
        return DAY_S - time_s % DAY_S

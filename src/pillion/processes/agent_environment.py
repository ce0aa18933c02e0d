"""The part that knows where the app runs: it only holds what answers, and reads nothing before it is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.environment.surroundings import Surroundings
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.environment.gathering import Gathering
    from pillion.processes.agent_part import Outfit


class EnvironmentFacts(Part):
    """Puts the facts into the API's context."""

    def __init__(self, outfit: Outfit) -> None:
        def gathering() -> Gathering:
            # Most instances are never asked.
            from pillion.environment.gathering import Gathering

            places = {"state": os.path.realpath(outfit.place.state_dir)}
            return Gathering(places, os.environ)

        outfit.context.surroundings = Surroundings(outfit.place, gathering)

"""A double of the Wan 2.6 Image services: both dialects, real HTTP shapes, simulated pictures, nothing billed.

    app = create_app(SimulatorConfig(seconds=3.0))     # an ASGI application, for httpx.ASGITransport
    python -m wan_notebook.simulator --port 0          # the same on a port

Words in a prompt that steer a task: `[[fail]]` ends it FAILED (DataInspectionFailed), `[[empty]]` lets it succeed
with text and no picture, `[[fewer]]` makes one picture fewer than asked (at least one), `[[seconds:12]]` makes it
take 12 seconds. Faults of the wire are armed by `SimulatorConfig(faults=...)`, `app.state.simulator.add_fault` or
`--fault`; `simulator/faults.py` lists them.
"""

from __future__ import annotations

from .app import SimulatorApp, create_app
from .config import SimulatorConfig

__all__ = ["SimulatorApp", "SimulatorConfig", "create_app"]

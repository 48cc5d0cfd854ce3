"""A simulator of the Wan image services: both APIs, their limits and reply forms, free pictures.

It is a second, independent reading of the services' documentation: it imports nothing else of this package and
shares no code with the client. Every picture says SIMULATED; nothing is billed.

    app = create_app(SimulatorConfig(seconds=3.0))      # an ASGI application, for httpx.ASGITransport
    with serve_in_thread(app) as base_url: ...          # the same on a free port of 127.0.0.1
    python -m wan_notebook.simulator --port 0           # the same from a command line

The gateway is served at `{base_url}/model/v1/…`, DashScope at `{base_url}/api/v1/…`. `app.state.simulator` is the
`Simulator`: its counts, its tasks, and its `config`, which may be replaced while it runs.

Directives in a prompt decide how its own task goes:

| directive | effect |
|---|---|
| `[[seconds:12]]` | the task takes 12 seconds |
| `[[fail]]`, `[[fail:InternalError.Algo]]` | the task ends FAILED, with `DataInspectionFailed` or the given code |
| `[[refuse:Arrearage]]` | the submit is refused with an error code of the account; no task is created |
| `[[empty]]` | the task succeeds without a picture |
| `[[partial]]` | the last picture is withheld, with the reason where the service gives one |

How replies are worded is chosen by `SimulatorConfig.reply_form`; `REPLY_FORMS` lists the names.
"""

from .app import create_app, serve_in_thread
from .service import REPLY_FORMS, Simulator, SimulatorConfig

__all__ = ["REPLY_FORMS", "Simulator", "SimulatorConfig", "create_app", "serve_in_thread"]

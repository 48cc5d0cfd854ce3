"""The environment of tests and of the servers that they start: no settings and no folders of the person."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIXES = ("WAN_", "DASHSCOPE_")
KEPT = ("WAN_TEST_BROWSER",)  # names the browser of the tests


def private_environment(home: Path) -> dict[str, str]:
    """Return the variables that move every personal folder under `home` (the folders are not created)."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(home / ".local/share/jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / ".run/jupyter"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / ".jupyter/lab/user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / ".jupyter/lab/workspaces"),
        "IPYTHONDIR": str(home / ".ipython"),
    }

"""Real JupyterLab, Notebook 7 and Voilà in Chromium; how to use them is told in `tests.lab.harness`."""

"""The checks of wan_notebook; a package, so that tests share helpers by absolute imports (`tests.lab.harness`)."""

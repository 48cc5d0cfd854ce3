"""The commands of ``%wan``: ``run_NAME`` takes the options in their types and a runner, and shows what it did."""

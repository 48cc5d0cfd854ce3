"""Tests of requests, settings, budgets, replay, the session's rooms and the public functions."""

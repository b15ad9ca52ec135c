"""Tests of what a network costs on a device, with edgebench's pytest plugin: pytest test_latency.py

It is installed with edgebench. MODEL and OLD name the files; without OLD nothing is compared.
"""

import os

import pytest

MODEL = os.environ.get("MODEL", "model.onnx")
OLD = os.environ.get("OLD")


@pytest.fixture
def model(edgebench_deploy):
    """Measured once, when the first test asserts something."""
    return edgebench_deploy(MODEL, target="desktop-cpu", plan="quick")


def test_it_answers_in_time(model):
    model.assert_latency(max_ms=20)
    model.assert_latency(max_ms=50, percentile=90)


def test_it_is_small(model):
    model.assert_size(max_bytes=20_000_000)


@pytest.mark.skipif(OLD is None, reason="OLD names no file")
def test_it_is_not_slower_than_before(model):
    model.assert_not_slower_than(OLD, margin=0.5)

"""The examples in docstrings.

Not by pytest's ``--doctest-modules``: it imports modules by path, and refuses when the package is installed elsewhere,
as README's test command installs it.
"""

import doctest
import importlib
import pkgutil

import pytest

import sketchgan

MODULES = [
    module.name for module in pkgutil.walk_packages(sketchgan.__path__, "sketchgan.") if "__main__" not in module.name
]


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    report: list[str] = []
    for test in examples(name):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_there_are_examples():
    assert sum(len(examples(name)) for name in MODULES) >= 20

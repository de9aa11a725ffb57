"""Signals while a program starts and runs."""

import signal
import subprocess
import sys

import pytest

from commandline import interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_interrupts_and_handlers_are_restored(number: signal.Signals) -> None:
    inherited = signal.signal(number, signal.SIG_DFL)  # under `nohup` it would be ignored

    def wait_for_it() -> None:
        with interrupts.raised():
            signal.raise_signal(number)

    try:
        with pytest.raises(KeyboardInterrupt):
            wait_for_it()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)


def test_an_ignored_signal_stays_ignored() -> None:
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.raised():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("program", ["localcloud", "model_build", "operations"])
def test_an_interrupt_during_the_imports_ends_without_a_traceback(program: str) -> None:
    interrupted = (
        "import builtins, runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "plain = builtins.__import__\n"
        "def interrupt(name, *rest, **more):\n"
        "    if name == 'click':\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return plain(name, *rest, **more)\n"
        "builtins.__import__ = interrupt\n"
        f"runpy.run_module('{program}.__main__', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")

"""Every command: on the page of commands, and with the options that the others have."""

import re

import pytest

from tests.support.script_runs import ROOT, run_script

COMMANDS = sorted(path.name for path in (ROOT / "scripts").glob("*.py"))
SHARED = {"--output", "--data-dir", "--backend", "--seeds", "--resume", "--quick"}
#: What a command has none of, since it would mean nothing there.
WITHOUT = {
    "benchmark.py": {"--seeds", "--resume"},
    "make_norb_like.py": SHARED - {"--output", "--seeds"},  # --pairs makes it short
    "sanitize.py": SHARED - {"--backend"},
    "study.py": {"--resume", "--quick"},  # it always goes on; --images makes it short
    "update_results.py": SHARED,
}


def test_the_page_of_commands_lists_all_of_them():
    text = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_it_does_and_has_the_shared_options(command):
    done = run_script(command, "--help")
    assert done.returncode == 0, done.stderr
    text = (ROOT / "scripts" / command).read_text(encoding="utf-8")
    assert text.split('"""')[1].splitlines()[0] in done.stdout
    options = {re.sub("^--seed$", "--seeds", name) for name in re.findall(r"--[\w-]+", done.stdout)}
    assert SHARED - WITHOUT.get(command, set()) <= options

# SPDX-License-Identifier: BSD-2-Clause
"""./dev lint: formatting, static analysis, shell scripts, and the tree's own rules."""
import argparse
import concurrent.futures
import json
import re
import subprocess
import unittest

import common
from common import JOBS, ROOT, Failure, Progress, build_preset

LICENCE = "SPDX-License-Identifier: BSD-2-Clause"
LENGTH_LIMIT = 1000  # lines of a file
UNWANTED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
TIDY_PRESET = "hosted-clang"


def files(*patterns):
    """The repository's files, tracked or about to be."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard",
                           *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in sorted(set(done.stdout.splitlines()))
            if (ROOT / name).is_file()]


def c_files():
    return files("*.c", "*.h")


def is_shell(path):
    with open(path, "rb") as file:
        return re.match(rb"#!\s*/(usr/)?bin/(env )?(ba)?sh\b", file.readline()) is not None


def output(command):
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def check_format():
    """clang-format"""
    said = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    if "version 14." not in said:
        raise unittest.SkipTest(f"the layout is clang-format 14's; here is {said.strip()}")
    return output(["clang-format", "--dry-run", "-Werror", *c_files()])


def check_shell():
    """shellcheck"""
    scripts = [path for path in files() if is_shell(path)]
    return output(["shellcheck", *scripts])


def check_python():
    """python syntax"""
    found = []
    for path in files("*.py"):
        try:
            compile(path.read_text(), str(path), "exec")
        except SyntaxError as error:
            found.append(f"{path}: {error}")
    return "\n".join(found)


def check_rules():
    """licence line, length, unwanted words"""
    found = []
    for path in files("*.c", "*.h", "*.S", "*.ld", "*.py", "dev", "ci/*"):
        name, lines = path.relative_to(ROOT), path.read_text().splitlines()
        if not any(LICENCE in line for line in lines[:2]) and path.suffix != ".txt":
            found.append(f"{name}: does not begin with {LICENCE}")
        if len(lines) > LENGTH_LIMIT:
            found.append(f"{name}: {len(lines)} lines, more than {LENGTH_LIMIT}")
        found += [f"{name}:{number}: unfinished: {line.strip()}"
                  for number, line in enumerate(lines, 1) if UNWANTED.search(line)]
    return "\n".join(found)


def tidy_one(path, directory):
    text = output(["clang-tidy", "--quiet", "-p", directory, path])
    return "\n".join(line for line in text.splitlines()
                     if not re.fullmatch(r"\d+ warnings? (generated|treated as errors?).*", line))


def check_tidy():
    """clang-tidy"""
    directory = build_preset(TIDY_PRESET)
    database = json.loads((directory / "compile_commands.json").read_text())
    sources = sorted({entry["file"] for entry in database if entry["file"].endswith(".c")})
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        found = pool.map(lambda path: tidy_one(path, directory), sources)
        return "\n".join(text for text in found if text)


CHECKS = {"format": check_format, "shell": check_shell, "python": check_python,
          "rules": check_rules, "tidy": check_tidy}


def report():
    """For people to judge: #if lines in .c files, long files."""
    conditions = {}
    sources = files("*.c")
    for path in sources:
        count = len(re.findall(r"^\s*#\s*if", path.read_text(), re.MULTILINE))
        if count:
            conditions[path.relative_to(ROOT)] = count
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in c_files()}
    longest = sorted(lines, key=lines.get)[-3:]
    print(f"{len(lines)} C files, {sum(lines.values())} lines; longest: "
          + ", ".join(f"{name} ({lines[name]})" for name in reversed(longest)))
    print(f"#if in .c files: {sum(conditions.values())}"
          + "".join(f"\n  {name}: {count}" for name, count in conditions.items()))


def main(words):
    parser = argparse.ArgumentParser(
        prog="./dev lint", description=f"Checks: {', '.join(CHECKS)} (all, unless some are named).")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="tidy takes minutes, the others seconds")
    names = parser.parse_args(words).checks or list(CHECKS)
    failed = []
    for name in names:
        if name not in CHECKS:
            raise Failure(f"no such check: {name} (known: {', '.join(CHECKS)})", 2)
        with Progress(f"checking: {CHECKS[name].__doc__}"):
            try:
                found = CHECKS[name]()
            except unittest.SkipTest as skip:
                print(f"{name} skipped: {skip}")
                continue
        if found:
            print(found.rstrip())
            failed.append(name)
    report()
    if failed:
        raise Failure(f"findings by: {', '.join(failed)}")
    return 0


if __name__ == "__main__":
    common.main(main)

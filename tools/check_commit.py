#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the form of commit messages.

tools/check_commit.py FILE            the message in a file, as git's hook does
tools/check_commit.py --range A..B    the messages of commits

The first line is ``area: summary`` with at most 72 characters, the second one
is empty, and a body gives the reason. Exit code 1 and one line per error if a
message is wrong.
"""

import argparse
import re
import subprocess
import sys

MAX_SUMMARY = 72
#: Longer lines are for URLs and quoted output, which are not wrapped.
MAX_BODY = 79

_SUMMARY = re.compile(r'[a-z][a-z0-9_./-]*(?:, [a-z][a-z0-9_./-]*)*: \S.*')
#: Messages that git writes itself.
_GENERATED = re.compile(r'(?:Merge|Revert|fixup!|squash!|amend!) ')
_TRAILER = re.compile(r'[A-Z][A-Za-z-]+: \S.*')
#: What follows is the diff that ``git commit --verbose`` shows.
_SCISSORS = '# ------------------------ >8 ------------------------'


def find_errors(message: str) -> list[str]:
    """Return what is wrong with a message, in the order of its lines."""
    lines = _strip(message)
    if not lines:
        return ['the message is empty']
    summary, body = lines[0], lines[1:]
    if _GENERATED.match(summary):
        return []
    errors = []
    if len(summary) > MAX_SUMMARY:
        errors.append(
            f'line 1 has {len(summary)} characters, more than {MAX_SUMMARY}'
        )
    if not _SUMMARY.fullmatch(summary):
        errors.append(
            f'line 1 is not "area: summary" with a lower-case area: {summary}'
        )
    if summary.endswith('.'):
        errors.append('line 1 ends with a full stop')
    if body and body[0]:
        errors.append('line 2 is not empty')
    text = [line for line in body if line and not _TRAILER.fullmatch(line)]
    if not text:
        errors.append('there is no body that gives the reason')
    errors += [
        f'line {number} has {len(line)} characters, more than {MAX_BODY}'
        for number, line in enumerate(body, 2)
        if len(line) > MAX_BODY and ' ' in line.strip()
    ]
    return errors


def _strip(message: str) -> list[str]:
    """Return the lines of a message without git's comments."""
    kept = message.partition(_SCISSORS)[0].splitlines()
    lines = [line.rstrip() for line in kept if not line.startswith('#')]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines


def _read_range(commits: str) -> list[tuple[str, str]]:
    """Return (name, message) of each commit in a range."""
    found = subprocess.run(
        ['git', 'log', '--no-merges', '-z', '--format=%h%n%B', commits],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    commits_found = []
    for entry in found.split('\0'):
        name, _, message = entry.partition('\n')
        if name:
            commits_found.append((name, message))
    return commits_found


def main(argv: list[str] | None = None) -> int:
    """Check the messages; print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('file', nargs='?', metavar='FILE')
    source.add_argument('--range', metavar='A..B')
    arguments = parser.parse_args(argv)
    if arguments.range:
        messages = _read_range(arguments.range)
    else:
        with open(arguments.file, encoding='utf-8') as opened:
            messages = [(arguments.file, opened.read())]
    count = 0
    for name, message in messages:
        for error in find_errors(message):
            print(f'{name}: {error}', file=sys.stderr)
            count += 1
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(main())

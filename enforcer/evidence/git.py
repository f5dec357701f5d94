"""What git says about the work tree, asked in a way that nothing in the repository can bend.

A repository's own configuration can name programs that git runs (hooks, filters, external diffs, a file system monitor)
and rules that hide changes (exclude lists, flags of the index). So the questions are asked of a scratch repository: its
git folder is made here, holds no configuration but ours, and sees the real objects as an alternate. From the real one
come only the list of tracked paths and the commits that names stand for, both read by commands that run nothing else.

- The tree is what `git add --all && git write-tree` would give: untracked files are in it, ignored ones are not. Only
  `.gitignore` files ignore, not `info/exclude` or a user's own list, so that everyone computes the same tree.
- Conversions that git does itself (`text`, `eol`, `ident`) are those of `.gitattributes`. Filter drivers do not run: a
  file that one would change, as Git LFS does, stands in the tree as its plain bytes.
- Nothing is written to the repository, and no object is ever fetched.

Paths in answers are relative to the top of the repository; `exclude` is relative to the folder that `find` was given.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git_index import GITLINK, Tracked, format_index, parse_index_listing, parse_tree_listing
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

_OPTIONS = (
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "core.excludesFile=/dev/null"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.pager=cat"),
    *("-c", "diff.external="),
    *("-c", "safe.directory=*"),
)
_DIFF_OPTIONS = (
    *("--raw", "--patch", "-z", "--binary", "--full-index", "--no-abbrev", "--unified=3", "--inter-hunk-context=0"),
    *("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--diff-algorithm=myers"),
    *("--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"),
)
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
# Facts about the file system rather than wishes; on Linux file names are what they are.
_KEPT_SETTINGS = ("core.filemode", "core.ignorecase", "core.precomposeunicode")[: 3 if sys.platform == "darwin" else 1]
_ACTIONS = {"A": "add", "D": "delete", "M": "modify", "T": "modify"}
_PLACES = {"git_dir", "objects", "algorithm"}

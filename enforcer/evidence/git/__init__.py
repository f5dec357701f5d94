"""What git says about the work tree, asked in a way that nothing in the repository can bend.

A repository's own configuration can name programs that git runs (hooks, filters, external diffs, a file system monitor)
and rules that hide changes (exclude lists, flags of the index). So the questions are asked of a scratch repository: its
git folder is made here, holds no configuration but ours, and sees the real objects as an alternate. From the real one
come only the names of the files and the commits that revisions stand for, by commands that run nothing else.

- The tree is the one that `git add --all` and `git write-tree` would give: untracked files are in it, ignored ones are
  not. Only `.gitignore` files ignore, not `info/exclude` or a user's own list, so everyone computes the same tree.
- Conversions that git does itself (`text`, `eol`, `ident`) are those of `.gitattributes`. Filter drivers do not run: a
  file that one would change, as Git LFS does, stands in the tree as its plain bytes.
- No byte of the repository is changed and no object fetched; git renews the time stamps of loose objects it meets.

Paths in answers are relative to the top of the repository; `exclude` is relative to the folder that `find` was given.
"""

from __future__ import annotations

from enforcer.evidence.git.comparison import Change
from enforcer.evidence.git.ignored import Ignored
from enforcer.evidence.git.repository import Applied, Observation, Repository

__all__ = ["Applied", "Change", "Ignored", "Observation", "Repository"]

"""How the cost of an edit looks: what has to be earned once more, and the commands of the two ways back."""

from __future__ import annotations

from enforcer.surfaces.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.cost import Cost, Step


def show_cost(found: Cost) -> None:
    """Print what an edit costs besides what falls with it, and how it is undone or earned back."""
    for command in found.restore:
        line(f"  undo it   {command}")
    for number, step in enumerate(found.steps, 1):
        line(f"  {'' if number > 1 else 'or earn it':9} {number}. {step.phase}: {_told(step)}")
    anew = tuple(f"{one.name}: {one.why}" for one in found.anew)
    here = tuple(name for name in found.runs if name not in {one.name for one in found.anew})
    for title, names in (
        ("on that way, once more", found.phases),
        ("anew", anew),
        ("to be run anew", here),
        ("to be approved anew", found.approvals),
        ("reaffirmed as they stand", found.reaffirmed),
    ):
        if names:
            line(f"            {title}: {', '.join(names)}")


def _told(step: Step) -> str:
    names = ", ".join(name.partition("/")[2] for name in step.artifacts)
    notes = ": ".join(each for each in (names, step.note) if each)
    return f"{step.command}{f' ({notes})' if notes else ''}"

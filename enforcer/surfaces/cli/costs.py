"""How the cost of an edit looks: what falls, and the commands of the two ways back."""

from __future__ import annotations

from enforcer.surfaces.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.cost import Cost, Step


def show_cost(found: Cost) -> None:
    """Print what an edit costs, and how it is undone or earned back."""
    for name in found.names:
        line(f"  edited    {name}")
    told = (
        ("falls", found.falls),
        ("again", found.phases),
        ("to run", found.runs),
        ("to approve", found.approvals),
        ("stands", found.reaffirmed),
        ("anew", tuple(f"{one.name}, for {one.why}" for one in found.anew)),
    )
    for title, names in told:
        for name in names:
            line(f"  {title:9} {name}")
    for command in found.restore:
        line(f"  undo it   {command}")
    for number, step in enumerate(found.steps, 1):
        line(f"  {'' if number > 1 else 'earn it':9} {number}. {step.phase}: {_told(step)}")


def _told(step: Step) -> str:
    names = ", ".join(name.partition("/")[2] for name in step.artifacts)
    notes = ": ".join(each for each in (names, step.note) if each)
    return f"{step.command}{f' ({notes})' if notes else ''}"

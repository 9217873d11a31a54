"""Makes sure, when imported, that `sandbox` and `tools` are ours and not namesakes in the working directory.

Hypercorn, like `python -m`, puts the working directory before everything that is installed, and a folder
called ``tools`` is common. Nothing of a stranger is run to find it out. The command `creche` looks in no
working directory.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


class StrangerError(ImportError):
    """A package of another project would be imported in place of ours."""


def require_kin(*names: str) -> None:
    """Raise StrangerError unless all these top-level packages lie beside this one."""
    home = Path(__file__).resolve().parent.parent
    for name in names:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if [home / name] != [Path(place).resolve() for place in places]:
            found = places[0] if places else "nowhere"
            msg = (
                f"the package {name!r} would come from {found}, which is not creche's: "
                "start creche from another working directory, or by its command `creche serve`"
            )
            raise StrangerError(msg)


require_kin("sandbox", "tools")

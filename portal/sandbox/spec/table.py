"""What the sandbox models, as a table for docs/sandbox.md: python -m portal.sandbox.spec.table."""

import pathlib
from collections.abc import Iterator

from portal.sandbox import resources, spec
from portal.sandbox.api import operations

BEGIN, END = "<!-- made by python -m portal.sandbox.spec.table -->\n", "<!-- end -->\n"
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "sandbox.md"


def rows() -> Iterator[str]:
    """A line per operation: the parameters that it acts on, and those of Stripe's that it refuses."""
    assert resources  # importing them serves the operations
    for name in sorted(operations.served(), key=lambda name: (name.split(" ")[1], name)):
        known = spec.supported(name).keys() - spec.acted_on()["everywhere"].keys()
        declared = {one.rstrip("!") for one in spec.parameters(name) if not one.endswith("~")}
        begun = {entry.partition("=")[0].partition("[")[0] for entry in spec.supported(name)}
        yield f"| `{name}` | {words(known)} | {words(declared - begun)} |"


def words(names: set[str]) -> str:
    """Names as a cell of the table; choices are joined by "or", for a bar would end the cell."""
    return ", ".join(f"`{name.replace('|', ' or ')}`" for name in sorted(names)) or "–"


def table() -> str:
    """The whole table."""
    head = "| operation | acts on | refuses by name |\n| --- | --- | --- |\n"
    return BEGIN + head + "\n".join(rows()) + "\n" + END


def written(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))

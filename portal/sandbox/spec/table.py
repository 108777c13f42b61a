"""The sandbox's operations as a table for docs/sandbox.md: python -m portal.sandbox.spec.table."""

import pathlib
from collections.abc import Iterator

from portal.sandbox import resources, spec
from portal.sandbox.api import operations

BEGIN, END = "<!-- made by python -m portal.sandbox.spec.table -->\n", "<!-- end -->\n"
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "sandbox.md"


def rows() -> Iterator[str]:
    """Yield a line per operation: the parameters that it implements, and Stripe's others, which it refuses."""
    assert resources  # importing them registers the operations
    for name in sorted(operations.served(), key=lambda name: (name.split(" ")[1], name)):
        known = spec.supported(name).keys() - spec.acted_on()["everywhere"].keys()
        declared = {spec.plain(one) for one in spec.parameters(name) if spec.removed_in(one) is None}
        begun = {entry.partition("=")[0].partition("[")[0] for entry in spec.supported(name)}
        yield f"| `{name}` | {words(known)} | {words(declared - begun)} |"


def words(names: set[str]) -> str:
    """Return names as a cell of the table; choices are joined by "or", because a bar would end the cell."""
    return ", ".join(f"`{name.replace('|', ' or ')}`" for name in sorted(names)) or "–"


def table() -> str:
    """Return the whole table."""
    head = "| operation | acts on | refuses by name |\n| --- | --- | --- |\n"
    return BEGIN + head + "\n".join(rows()) + "\n" + END


def written(page: str) -> str:
    """Return the page with the current table."""
    before, _, rest = page.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))

from openmic.store.schema import TableModel

from .schema_page import PAGE, written


def test_the_page_of_the_schema_is_that_of_the_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "the tables changed: make reference"
    assert all(f"### {table}\n" in page for table in TableModel.metadata.tables)

from __future__ import annotations

import pytest

from otel_audit.errors import MalformedInput
from otel_audit.store._front_sql import Refused, read_insert, read_statement
from otel_audit.store._sql_tokens import statements

REFUSED_FUNCTIONS = frozenset({"file", "url", "s3", "eval"})


def read(text: str, *, may_write: bool = False):
    return read_statement(text, REFUSED_FUNCTIONS, may_write=may_write)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "select 1;",
        " -- c\n/* a /* nested; */ ; */ SELECT 1 ; ; -- end",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS x SELECT x",
        "SELECT 'drop table; into outfile', `into` FROM `outfile`",
        "SELECT $$; file('x')$$",
        "SELECT file FROM audit_entries",  # a column
        "SELECT 'file', \"url\" FROM t",
        "SHOW TABLES",
        "DESCRIBE audit_entries",
        "EXISTS audit_entries",
        "EXPLAIN SELECT 1",
    ],
)
def test_reading_passes(text: str) -> None:
    """One statement that reads is let through, whatever its comments and strings say."""
    assert read(text).reads


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 62),
        (";", 62),
        ("-- nothing", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT 1; DROP TABLE t", 62),
        ("SELECT 'open", 62),
        ("SELECT /* /* */ 1", 62),
        ("SELECT $$open", 62),
        ("SELECT \u2018x\u2019", 62),  # the engine reads curly quotes as quotes
        ("SELECT 1\u00a0+1", 62),
        ("SELECT 1 # comment\n", 62),
        ("SELECT 1 \0", 62),
        ("INSERT INTO t SELECT 1", 164),
        ("SET readonly = 0", 164),
        ("DROP TABLE t", 164),
        ("ALTER TABLE t DELETE WHERE 1", 164),
        ("SYSTEM FLUSH LOGS", 164),
        ("KILL QUERY WHERE 1", 164),
        ("USE default", 164),
        ("`SELECT` 1", 164),
        ("SELECT 1 INTO OUTFILE 'x'", 497),
        ("SELECT 1 into/* c */ -- d\n outfile 'x'", 497),
        ("SELECT file('/etc/passwd')", 497),
        ("SELECT FILE /* c */ ('/etc/passwd')", 497),
        ("SELECT `file`('/etc/passwd')", 497),
        ("SELECT \"fi\\le\"('/etc/passwd')", 497),
        ("SELECT * FROM url('http://x')", 497),
        ("SELECT * FROM eval('SELECT 1')", 497),
        ("SELECT {f:Identifier}('/etc/passwd')", 497),
        ("WITH x AS (SELECT * FROM s3('x')) SELECT * FROM x", 497),
    ],
)
def test_everything_else_is_refused(text: str, code: int) -> None:
    """What is not one reading statement, or may reach outside, is refused with ClickHouse's error code."""
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO t FROM INFILE 'x' FORMAT CSV", "INSERT INTO FUNCTION file('x') SELECT 1", "SELECT 1; SELECT 2"],
)
def test_a_writer_reaches_no_files_either(text: str) -> None:
    """The rules on statements and files hold for writers as well."""
    with pytest.raises(Refused):
        read(text, may_write=True)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t FORMAT TSV\na\n\nTRUNCATE TABLE t",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO audit.t (a, b) SETTINGS x = 1 FORMAT CSV\n1",
        "WITH 1 AS x INSERT INTO t FORMAT CSV\n1",
        "EXPLAIN INSERT INTO t SELECT 1",
    ],
)
def test_rows_inside_the_text_are_refused(text: str) -> None:
    """A writer's rows come as Native or RowBinary data or from a SELECT, never in the text of the statement."""
    with pytest.raises(Refused, match="Rows can be inserted"):
        read(text, may_write=True)


@pytest.mark.parametrize("text", ["INSERT INTO t SELECT 1", "insert into audit.`t` (a, b) with 1 as x select x, x"])
def test_insert_from_select_passes(text: str) -> None:
    """A writer may insert the result of a query."""
    assert not read(text, may_write=True).reads


def test_format_and_settings_are_placed() -> None:
    """Settings go before the format, so that the engine streams it; values are quoted."""
    statement = read("SELECT 1 -- one\n FORMAT Native ;")
    assert (statement.text, statement.format) == ("SELECT 1", "Native")
    assert statement.with_settings({"a": "it's \\"}, "CSV") == "SELECT 1\nSETTINGS a = 'it\\'s \\\\'\nFORMAT CSV"


@pytest.mark.parametrize(
    ("head", "table", "columns", "fmt"),
    [
        ("INSERT INTO t FORMAT Native\n", "t", None, "Native"),
        ("INSERT INTO `audit`.`t` (`a`, `b``c`) FORMAT RowBinary\n", "`audit`.`t`", ("a", "b`c"), "RowBinary"),
        ("insert into t(a,b)format rowbinary \r\n", "t", ("a", "b"), "rowbinary"),
    ],
)
def test_insert_head(head: str, table: str, columns: tuple[str, ...] | None, fmt: str) -> None:
    """The statement before the rows is taken apart, and the rows begin where it ends."""
    insert = read_insert(head + "\n\nrows")
    assert insert is not None
    assert (insert.table, insert.columns, insert.format, insert.offset) == (table, columns, fmt, len(head))


@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO t FORMAT CSV\n1",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO FUNCTION file('x') FORMAT Native\n",
        "INSERT INTO t SELECT 1 FORMAT Native\n",
    ],
)
def test_other_inserts_carry_no_rows(head: str) -> None:
    """Only Native and RowBinary rows into a table are taken; text formats go nowhere near the engine's parser."""
    assert read_insert(head) is None


def test_statements_of_a_migration() -> None:
    """Semicolons in comments, strings and heredocs do not end a statement; comments between them go away."""
    text = "-- a; b\nCREATE TABLE a (x String DEFAULT ';') /* ; */;\n\n-- last;\nSELECT $x$;$x$, `;`;;\n"
    assert statements(text) == ["CREATE TABLE a (x String DEFAULT ';')", "SELECT $x$;$x$, `;`"]
    assert statements("-- nothing") == []
    with pytest.raises(MalformedInput, match="not closed"):
        statements("SELECT 1 /* x")

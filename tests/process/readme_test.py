"""The tables of README.md agree with the code: functions, columns, URI parameters, error codes, status names."""

import re

from processes import ScratchTest
from cluster import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
PRIMARY = {"SQLITE_READONLY": 8, "SQLITE_BUSY": 5, "SQLITE_IOERR": 10, "SQLITE_FULL": 13, "SQLITE_CANTOPEN": 14}


def first_column(heading):
    """What stands in backticks in the first column of the table below the heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", section, re.M)
    return [name for row in rows[1:] for name in re.findall(r"`([^`]+)`", row)]


class ReadmeTest(ScratchTest):
    def setUp(self):
        super().setUp()
        (self.directory / "n1").mkdir()

    def lines(self, sql):
        return self.program(f"""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE IF NOT EXISTS t(x)")
for row in node.execute({sql!r}): print(row[0])
""").splitlines()

    def test_the_functions_and_tables_are_those_of_the_extension(self):
        found = self.lines("SELECT name FROM pragma_function_list WHERE name LIKE 'dqlite%' "
                           "UNION SELECT name FROM pragma_module_list WHERE name LIKE 'dqlite%'")
        documented = {name.partition("(")[0] for name in first_column("SQL functions and tables")}
        self.assertEqual(documented, set(found))

    def test_the_columns_of_tables_are_those_of_the_extension(self):
        for table in ("dqlite_cluster", "dqlite_verify"):
            self.assertEqual(first_column(f"Columns of {table}"),
                             self.lines(f"SELECT name FROM pragma_table_info('{table}')"))

    def test_the_names_in_dqlite_status_are_those_of_the_extension(self):
        self.assertEqual(set(first_column("Names in dqlite_status")), set(self.lines("SELECT name FROM dqlite_status")))

    def test_the_uri_parameters_are_those_the_extension_asks_for(self):
        text = (REPOSITORY / "vfs" / "sqlite_vfs.cc").read_text()
        asked = set(re.findall(r'(?:text|number)_parameter\(\s*\w+, "(\w+)"', text)) - {"vfs", "cache"}  # SQLite's own
        self.assertEqual(set(first_column("URI parameters")), asked)

    def test_the_error_codes_are_those_of_the_code(self):
        text = (REPOSITORY / "vfs" / "error_codes.h").read_text()
        defined = {PRIMARY[primary] | int(extension) << 8
                   for primary, extension in re.findall(r"=\s*(SQLITE_\w+) \| \((\d+) << 8\);", text)}
        self.assertTrue(defined)
        documented = {int(code) for code in first_column("Errors")}
        self.assertEqual(defined, {code for code in documented if code > 255})

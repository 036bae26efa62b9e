import ctypes, os, sqlite3, sys, threading, time
def connect(uri, **options):
    loader = sqlite3.connect(":memory:")
    loader.enable_load_extension(True)
    loader.load_extension(EXTENSION)
    loader.close()
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, **options)
def refusal(connection, sql):
    """The extended error code and the sentence with which `sql` is refused; ends any transaction."""
    try:
        connection.execute(sql).fetchall()
    except sqlite3.Error as error:
        if connection.in_transaction: connection.execute("ROLLBACK")
        return error.sqlite_errorcode, str(error)
    raise SystemExit(sql + ": was not refused")

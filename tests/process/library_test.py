"""The shared library as somebody else's process sees it: what it exports, needs, prints, and leaves alone."""

import os
import subprocess
import sysconfig

from processes import EXTENSION, ScratchTest, free_port


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class LibraryTest(ScratchTest):
    def test_only_the_entry_point_is_exported(self):
        defined = [line.split()[-1] for line in output("nm", "-D", "--defined-only", EXTENSION).splitlines()]
        self.assertEqual(["sqlite3_dqlite_init"], defined)

    def test_it_needs_libuv_and_liblz4_and_neither_libstdcxx_nor_libsqlite3(self):
        needed = [line.split("[")[1].rstrip("]").partition(".so")[0]
                  for line in output("readelf", "-d", EXTENSION).splitlines() if "(NEEDED)" in line]
        self.assertEqual({"libuv", "liblz4"}, set(needed) - {"libc", "libm", "ld-linux-x86-64", "ld-linux-aarch64"})

    def test_installed_it_is_found_by_its_bare_name(self):
        root = self.directory / "root"
        output("cmake", "--install", EXTENSION.parent, env=dict(os.environ, DESTDIR=str(root)))
        installed = list(root.rglob("dqlite.so"))
        self.assertEqual(1, len(installed))
        # One of the folders that the system's loader searches, so that `.load dqlite` needs no path.
        self.assertEqual(root / "usr/lib" / sysconfig.get_config_var("MULTIARCH"), installed[0].parent)
        said = output("sqlite3", ":memory:", ".load dqlite", "SELECT dqlite_version()",
                      env=dict(os.environ, LD_LIBRARY_PATH=str(installed[0].parent)))
        self.assertRegex(said, r"^\d+\.\d+\.\d+\n$")

    def test_threads_begin_with_the_first_open_block_signals_and_close_their_files_on_exec(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
def tasks(): return set(os.listdir("/proc/self/task"))
before = tasks()
connect(":memory:")
print(len(tasks() - before))
files = set(os.listdir("/proc/self/fd"))
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
own = tasks() - before
print(len(own) > 0)
def field(path, name):
    return next(line.split()[1] for line in open(path) if line.startswith(name))
catchable = (1 << 64) - 1 & ~(1 << 8 | 1 << 18) & ~(3 << 31)  # all but SIGKILL, SIGSTOP and the two of libc
print([task for task in own if ~int(field(f"/proc/self/task/{task}/status", "SigBlk:"), 16) & catchable])
print([os.readlink(f"/proc/self/fd/{fd}") for fd in set(os.listdir("/proc/self/fd")) - files
       if os.path.exists(f"/proc/self/fdinfo/{fd}")
       and not int(field(f"/proc/self/fdinfo/{fd}", "flags:"), 8) & os.O_CLOEXEC])
""")
        self.assertEqual("0\nTrue\n[]\n[]\n", said)

    def test_threads_may_open_an_existing_file_at_once(self):
        said = self.program("""
def open_it(uri, barrier, said):
    barrier.wait()
    try: said.append(connect(uri).execute("SELECT count(*) FROM t").fetchone()[0])
    except sqlite3.Error: said.append(connect(":memory:").execute("SELECT dqlite_last_error()").fetchone()[0])
for name in ("n1", "n2", "n3", "n4", "n5"):
    os.mkdir(name)
    stock = sqlite3.connect(name + "/app.db", isolation_level=None)
    stock.execute("CREATE TABLE t(x)")
    stock.execute("INSERT INTO t VALUES(randomblob(20000000))")  # its adoption takes a while
    stock.close()
    barrier, said = threading.Barrier(2), []
    both = [threading.Thread(target=open_it, args=(f"file:{name}/app.db?vfs=dqlite", barrier, said)) for _ in range(2)]
    for thread in both: thread.start()
    for thread in both: thread.join()
    print(said)
""")
        self.assertEqual("[1, 1]\n" * 5, said)

    def test_it_prints_nothing(self):
        """Not when it works, not when it is refused, not when its leader is gone and not at the end."""
        (self.directory / "n1").mkdir()
        said = subprocess.run(["sqlite3", ":memory:"], cwd=self.directory, capture_output=True, text=True, input=f"""
.load '{EXTENSION.with_suffix('')}'
.open 'file:n1/app.db?vfs=dqlite&listen=127.0.0.1:{free_port()}'
CREATE TABLE t(x);
.open :memory:
.open 'file:n1/app.db?vfs=dqlite'
SELECT dqlite_stop();
.quit
""")
        self.assertEqual(("\n", ""), (said.stdout, said.stderr))

    def test_a_connection_may_be_opened_and_closed_per_request(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
uri = "file:n1/app.db?vfs=dqlite"
connect(uri).execute("CREATE TABLE t(x)")
def count(folder): return len(os.listdir("/proc/self/" + folder))
for request in range(20):
    node = connect(uri); node.execute("INSERT INTO t VALUES(?)", (request,)); node.close()
threads, files = count("task"), count("fd")
for request in range(200):
    node = connect(uri); node.execute("INSERT INTO t VALUES(?)", (request,)); node.close()
print(count("task") - threads, count("fd") - files)
print(connect(uri).execute("SELECT count(*) FROM t").fetchone())
""")
        self.assertEqual("0 0\n(220,)\n", said)

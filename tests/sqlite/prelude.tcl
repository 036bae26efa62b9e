# Runs one of SQLite's own test scripts with the connections that the script asks for: given to testfixture by
# tests/sqlite/run, as
#
#   testfixture prelude.tcl MODE EXTENSION DIRECTORY SCRIPT
#
# DIRECTORY is that of SQLite's tester.tcl.
#
# MODE  stock    as SQLite's authors run it
#       wal      every database is put into stock WAL mode
#       dqlite   every database that the script opens by a name, without a VFS of its own, is a replicated one
#
# A script deletes and copies database files as it likes, where ours belong to a running node that is alone in its
# cluster. So a name `test.db` in the script's directory is a symbolic link to `.nodes/1/test.db`, and a name that
# is opened again after it was deleted goes to the next node. Files that exist without having been opened through
# here (copied, attached, or written by stock SQLite) move to the node that opens them, which adopts them.

lassign $argv mode extension testdir script
set argv0 $script
set argv {}
source $testdir/tester.tcl
db close
if {$mode ne "stock"} { rename sqlite_orig sqlite_plain }

# Scripts ask `permutation` before they try what WAL mode does not have.
# With valgrind set, those that try several connections leave out the rounds with several processes.
if {$mode ne "stock"} {
  set ::G(perm:name) wal
  set ::G(valgrind) 1
}

if {$mode eq "wal"} {
  proc sqlite_orig {args} {
    set result [uplevel 1 sqlite_plain $args]
    set handle [lindex $args 0]
    if {[llength $args] >= 2 && [string index $handle 0] ne "-"} {
      catch {$handle eval {PRAGMA journal_mode = WAL}}
    }
    return $result
  }
}

if {$mode eq "dqlite"} {
  namespace eval dqlite {
    variable root [pwd]/.nodes
    variable node 0            ;# the number of the newest one
    variable names {}          ;# those that the newest node has had
    variable ended {}          ;# directories of nodes that were stopped
    variable handles           ;# Tcl command of a connection -> directory of its node

    # Scripts take away what makes later connections get the SQL functions: each connection of this file loads them.
    proc load_functions {connection} {
      $connection enable_load_extension 1
      $connection eval {SELECT load_extension($::extension, 'sqlite3_dqlite_init')}
    }

    # The directory of the node to which the file of this name belongs, or "".
    proc node_of {name} {
      variable root
      if {[catch {::dqlite::file link $name} target]} { return "" }
      set directory [file dirname $target]
      return [expr {[file dirname $directory] eq $root ? $directory : ""}]
    }

    proc is_file {name} {
      return [expr {$name ne "" && ![string match ":memory:*" $name] && ![string match "file:*" $name] &&
                    ![file isdirectory $name] && [file isdirectory [file dirname $name]]}]
    }

    # Makes `name` a link into a node, a new one if the newest has had a database of this name.
    proc settle {name} {
      variable root
      variable node
      variable names
      variable ended
      if {[node_of $name] ne ""} return
      set tail [file tail $name]
      set foreign [expr {[file exists $name] && [::dqlite::file size $name] > 0}]  ;# only a new node adopts it
      if {$foreign || $node == 0 || $tail in $names || "$root/$node" in $ended} {
        incr node
        set names {}
        file mkdir $root/$node
      }
      lappend names $tail
      foreach suffix {"" -journal -wal} {
        if {[file exists $name$suffix]} { ::dqlite::file rename $name$suffix $root/$node/$tail$suffix }
      }
      set target $root/$node/$tail
      set exists [file exists $target]
      if {!$exists} { close [open $target w] }  ;# Tcl links only to what is there
      ::dqlite::file link -symbolic $name $target
      if {!$exists} { ::dqlite::file delete $target }
    }

    # ATTACH of a name that is new means stock SQLite, but for files that the node knows: so the new one is opened
    # first. (Scripts that attach by `db eval` are left alone, and attach a stock file.)
    proc before_attach {sql} {
      foreach {- name} [regexp -all -inline -nocase {ATTACH\s+(?:DATABASE\s+)?'([^']+)'} $sql] {
        if {[is_file $name] && ![file exists $name]} {
          settle $name
          ask $name {SELECT 1}
        }
      }
    }

    proc open_handles {directory} {
      variable handles
      set found 0
      foreach handle [array names handles] {
        if {[info commands ::$handle] eq ""} {
          unset handles($handle)
        } elseif {$handles($handle) eq $directory} {
          incr found
        }
      }
      return $found
    }

    # One statement on the node of `name`, by a connection of its own.
    proc ask {name sql} {
      catch {
        sqlite_plain dqlite_asks $name -vfs dqlite
        dqlite_asks timeout 100
        load_functions dqlite_asks
        dqlite_asks eval $sql
      }
      catch { dqlite_asks close }
    }

    # What is committed gets into the file, for a script that looks at it.
    proc checkpoint {name} {
      if {[node_of $name] ne "" && [file exists $name]} { ask $name {SELECT dqlite_checkpoint()} }
    }

    # The name is gone; its node ends with its last one.
    proc forget {name} {
      set directory [node_of $name]
      if {$directory eq ""} return
      foreach other [glob -nocomplain -directory [file dirname $name] -types l *] {
        if {[file tail $other] ne [file tail $name] && [node_of $other] eq $directory} return
      }
      if {[open_handles $directory] == 0} {
        ask $name {SELECT dqlite_stop()}
        variable ended
        lappend ended $directory
        catch {::dqlite::file delete -force $directory}  ;# it may be writing its last checkpoint still
      }
    }

    proc delete {args} {
      foreach name $args { if {![string match -* $name]} { forget $name } }
      uplevel 1 ::dqlite::file delete $args
    }

    # The script writes to the file itself: it is a plain one from now on, until it is opened again.
    proc take_out {name} {
      set directory [node_of $name]
      if {$directory eq "" || ![file exists $name] || [open_handles $directory] > 0} return
      copy -force $name $name.plain
      delete $name
      ::dqlite::file rename $name.plain $name
    }

    # The same while connections are open: by a transaction.
    proc write_pages {name offset bytes} {
      sqlite_plain dqlite_writes $name -vfs dqlite
      sqlite3_db_config dqlite_writes DEFENSIVE 0
      set size [dqlite_writes one {PRAGMA page_size}]
      dqlite_writes transaction {
        while {[string length $bytes] > 0} {
          set number [expr {$offset / $size + 1}]
          set from [expr {$offset % $size}]
          set part [string range $bytes 0 [expr {$size - $from - 1}]]
          set length [string length $part]
          set page [dqlite_writes one {SELECT data FROM sqlite_dbpage WHERE pgno = $number}]
          set page [string replace $page $from [expr {$from + $length - 1}] $part]
          dqlite_writes eval {UPDATE sqlite_dbpage SET data = CAST($page AS BLOB) WHERE pgno = $number}
          set bytes [string range $bytes $length end]
          incr offset $length
        }
      }
      dqlite_writes close
    }

    # A copy is a plain file; what was under the name before is replaced.
    proc copy {args} {
      set options [lsearch -all -inline -glob $args -*]
      set names [lsearch -all -inline -not -glob $args -*]
      lassign $names from to
      checkpoint $from
      if {[node_of $to] ne "" && "-force" in $options} { delete -force $to }
      set real $from
      if {[node_of $from] ne ""} { set real [::dqlite::file link $from] }
      uplevel 1 [list ::dqlite::file copy {*}$options $real $to]
    }
  }

  rename file ::dqlite::file
  proc file {subcommand args} {
    switch -- $subcommand {
      delete - copy { uplevel 1 [list ::dqlite::$subcommand {*}$args] }
      size { ::dqlite::checkpoint [lindex $args 0]; ::dqlite::file size [lindex $args 0] }
      default { uplevel 1 [list ::dqlite::file $subcommand {*}$args] }
    }
  }
  rename hexio_read ::dqlite::hexio_read
  proc hexio_read {name args} {
    ::dqlite::checkpoint $name
    ::dqlite::hexio_read $name {*}$args
  }
  rename hexio_write ::dqlite::hexio_write
  proc hexio_write {name offset hexadecimal} {
    ::dqlite::take_out $name
    if {[::dqlite::node_of $name] eq "" || ![file exists $name]} {
      ::dqlite::hexio_write $name $offset $hexadecimal
    } else {
      ::dqlite::write_pages $name $offset [binary format H* $hexadecimal]
    }
    return [expr {[string length $hexadecimal] / 2}]
  }
  rename open ::dqlite::open
  proc open {name args} {
    if {[string match {[wa]*} [lindex $args 0]] || [string match {*+*} [lindex $args 0]]} {
      ::dqlite::take_out $name
    } else {
      ::dqlite::checkpoint $name
    }
    uplevel 1 [list ::dqlite::open $name {*}$args]
  }

  proc sqlite_orig {args} {
    set handle [lindex $args 0]
    if {[llength $args] < 2 || [string index $handle 0] eq "-" || "-vfs" in $args} {
      return [uplevel 1 sqlite_plain $args]
    }
    set name [lindex $args 1]
    if {$name in {"" ":memory:"}} { lappend args -vfs dqlite }  ;# for what it attaches
    if {![::dqlite::is_file $name]} { return [uplevel 1 sqlite_plain $args] }
    set mayCreate [expr {![dict exists [lrange $args 2 end] -create] || [dict get [lrange $args 2 end] -create]}]
    if {!$mayCreate && ![file exists $name]} { return [uplevel 1 sqlite_plain $args] }
    ::dqlite::settle $name
    set result [uplevel 1 [list sqlite_plain {*}$args -vfs dqlite]]
    set ::dqlite::handles([string trimleft $handle :]) [::dqlite::node_of $name]
    uplevel 1 [list $handle timeout 0]  ;# the extension's own default is to wait
    return $result
  }
  proc execsql {sql {db db}} {
    ::dqlite::before_attach $sql
    uplevel [list $db eval $sql]
  }
  proc catchsql {sql {db db}} {
    ::dqlite::before_attach $sql
    set code [catch [list uplevel [list $db eval $sql]] message]
    return [list $code $message]
  }

  # Those of the C interface. A second argument of sqlite3_open is ignored by testfixture, too.
  rename sqlite3_open ::dqlite::sqlite3_open
  proc sqlite3_open {{name ""} args} {
    if {![::dqlite::is_file $name]} { return [::dqlite::sqlite3_open $name {*}$args] }
    return [sqlite3_open_v2 $name {SQLITE_OPEN_READWRITE SQLITE_OPEN_CREATE} {}]
  }
  rename sqlite3_open_v2 ::dqlite::sqlite3_open_v2
  proc sqlite3_open_v2 {name flags vfs} {
    if {$vfs ne "" || ![::dqlite::is_file $name] ||
        (![file exists $name] && "SQLITE_OPEN_CREATE" ni $flags)} {
      return [::dqlite::sqlite3_open_v2 $name $flags $vfs]
    }
    ::dqlite::settle $name
    set pointer [::dqlite::sqlite3_open_v2 $name $flags dqlite]
    sqlite3_busy_timeout $pointer 0
    return $pointer
  }

  # With a failed case, what the extension knows of it.
  rename fail_test ::dqlite::fail_test
  proc fail_test {name} {
    set why ""
    foreach connection {db sqlite_reasons} {
      if {$connection ne "db"} { sqlite_plain $connection :memory: }
      catch {
        ::dqlite::load_functions $connection
        $connection eval {SELECT dqlite_last_error() AS sentence} { set why $sentence }
      }
      if {$connection ne "db"} { $connection close }
      if {$why ne ""} { output2 "  dqlite_last_error(): $why" }
    }
    ::dqlite::fail_test $name
  }

  sqlite_plain loader :memory:
  ::dqlite::load_functions loader
  loader close
}

reset_db
set TC(errors) 0
set TC(count) 0
set TC(fail_list) {}

# The script, one command after the other: one that fails outside a case counts as a failed case of the name
# `outside-LINE`, and does not end the rest.
proc run_script {} {
  info script $::script
  set channel [::open $::script]
  set lines [split [read $channel] \n]
  close $channel
  set command ""
  set number 0
  foreach line $lines {
    incr number
    if {$command eq ""} { set first $number }
    append command $line \n
    if {![info complete $command]} continue
    set code [catch {uplevel #0 $command} message]
    set command ""
    if {$code == 1} {
      incr_ntest
      output2 "outside-$first...\nError: $message"
      fail_test outside-$first
    } elseif {$code == 2} {
      break
    }
  }
}
run_script
finish_test

// dqlite_verify: every member reads its copies of all databases again, and says what it found; one row for each member
// and database. Described in the main README.
#pragma once

#include "extension/row_table.h"

namespace dqlite::extension {

extern const RowTable kVerifyTable;

}  // namespace dqlite::extension

// dqlite_status: names and values of what this node knows of itself. Every name is always there, NULL if
// unknown; `database` comes once for each database. Described in the main README.
#pragma once

#include "extension/row_table.h"

namespace dqlite::extension {

extern const RowTable kStatusTable;

}  // namespace dqlite::extension

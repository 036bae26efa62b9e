#include "extension/row_table.h"

#include <memory>
#include <new>

#include "extension/connection_node.h"
#include "vfs/error_codes.h"

namespace dqlite::extension {
namespace {

struct Table {
  sqlite3_vtab base;
  sqlite3* handle;
  const RowTable* definition;
};

struct Cursor {
  sqlite3_vtab_cursor base;
  std::vector<SqlRow> rows;
  size_t position;
};

Cursor& cursor_of(sqlite3_vtab_cursor* cursor) {
  return *reinterpret_cast<Cursor*>(cursor);
}

int connect(sqlite3* handle, void* definition, int, const char* const*, sqlite3_vtab** out, char**) {
  const auto* table = static_cast<const RowTable*>(definition);
  if (int rc = sqlite3_declare_vtab(handle, table->declaration); rc != SQLITE_OK) return rc;
  if (table->is_costly) sqlite3_vtab_config(handle, SQLITE_VTAB_DIRECTONLY);
  auto* created = new (std::nothrow) Table{{}, handle, table};
  if (created == nullptr) return SQLITE_NOMEM;
  *out = &created->base;
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete reinterpret_cast<Table*>(table);
  return SQLITE_OK;
}

// Few rows, and no index: every query reads all of them.
int best_index(sqlite3_vtab* table, sqlite3_index_info* info) {
  const bool is_costly = reinterpret_cast<Table*>(table)->definition->is_costly;
  info->estimatedCost = is_costly ? 1e12 : 100;
  info->estimatedRows = 30;
  return SQLITE_OK;
}

int open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  auto* cursor = new (std::nothrow) Cursor{{}, {}, 0};
  if (cursor == nullptr) return SQLITE_NOMEM;
  *out = &cursor->base;
  return SQLITE_OK;
}

int close(sqlite3_vtab_cursor* cursor) {
  delete &cursor_of(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  auto& table = *reinterpret_cast<Table*>(cursor->pVtab);
  try {
    vfs::flush_log();
    Result<std::vector<SqlRow>> rows = table.definition->rows(table.handle);
    if (!rows) {
      int code = rows.status().code() == Code::kBusy ? SQLITE_INTERRUPT : result_code(rows.status());
      vfs::report_error(table.handle, code, rows.status().sentence());
      sqlite3_free(table.base.zErrMsg);
      table.base.zErrMsg = sqlite3_mprintf("%s", rows.status().sentence().c_str());
      return code;
    }
    cursor_of(cursor).rows = std::move(*rows);
    cursor_of(cursor).position = 0;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* cursor) {
  cursor_of(cursor).position++;
  return SQLITE_OK;
}

int end_of_rows(sqlite3_vtab_cursor* cursor) {
  return cursor_of(cursor).position >= cursor_of(cursor).rows.size() ? 1 : 0;
}

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int number) {
  const SqlValue& value = cursor_of(cursor).rows[cursor_of(cursor).position][static_cast<size_t>(number)];
  if (const auto* integer = std::get_if<sqlite3_int64>(&value)) {
    sqlite3_result_int64(context, *integer);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_result_text(context, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  }
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(cursor_of(cursor).position) + 1;
  return SQLITE_OK;
}

sqlite3_module make_module() {
  sqlite3_module module{};
  module.xConnect = connect;  // without xCreate: eponymous only
  module.xBestIndex = best_index;
  module.xDisconnect = disconnect;
  module.xOpen = open;
  module.xClose = close;
  module.xFilter = filter;
  module.xNext = next;
  module.xEof = end_of_rows;
  module.xColumn = column;
  module.xRowid = row_id;
  return module;
}

}  // namespace

int register_table(sqlite3* handle, const RowTable& table) {
  static const sqlite3_module module = make_module();
  return sqlite3_create_module_v2(handle, table.name, &module, const_cast<RowTable*>(&table), nullptr);
}

}  // namespace dqlite::extension

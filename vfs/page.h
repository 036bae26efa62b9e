// One immutable page image in memory, in canonical form (codec/page.h), shared by everybody who looks at it.
#pragma once

#include "codec/bytes.h"

namespace dqlite::vfs {

using SharedPage = SharedBytes;  // exactly the database's page size

struct PageImage {
  uint32_t number = 0;  // from 1
  SharedPage bytes;
};

}  // namespace dqlite::vfs

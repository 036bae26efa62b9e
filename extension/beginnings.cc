#include "extension/beginnings.h"

#include <algorithm>

#include "raft/net/address.h"

namespace dqlite::extension {

using raft::Standing;

bool Beginnings::has_records() {
  std::vector<vfs::Database*> all = databases_.databases();
  return std::any_of(all.begin(), all.end(), [](vfs::Database* database) { return database->id() != 0; });
}

Status Beginnings::found(raft::Deadline deadline) {
  std::lock_guard lock(mutex_);
  // A record in a node that is new is an adoption that was cut off before the cluster was founded.
  bool adopted = node_.standing() == Standing::kNew && !empty_founded_ && has_records();
  if (adopted) {
    databases_.applied(1, 1);
  } else {
    empty_founded_ = true;
  }
  return node_.bootstrap(adopted, deadline);
}

Status Beginnings::adopt(vfs::Database& database, raft::Deadline deadline) {
  std::lock_guard lock(mutex_);
  if (database.id() != 0) return Status::ok();  // another thread opened it at once, and was first
  const std::string& name = database.name();
  Standing standing = node_.standing();
  bool joins = standing == Standing::kJoining || joining_ > 0;
  if (standing != Standing::kNew || joins || empty_founded_ || has_records()) {
    std::string path = databases_.paths().directory + "/" + name;
    return {Code::kRefused,
            path + " holds data that is not the cluster's, and this node " +
                (joins ? "is joining a cluster" : "belongs to a cluster already") +
                ": only a new node takes over an existing file. Move it away, and load its content "
                "as SQL (sqlite3 " +
                path + " .dump) into a replicated database"};
  }
  if (Status status = databases_.adopt(name); !status) return status.in("taking over " + name);
  databases_.applied(1, 1);
  return node_.bootstrap(true, deadline);
}

Status Beginnings::join(const std::string& address, raft::Deadline deadline) {
  Result<raft::net::Address> target = raft::net::parse_address(address);
  if (!target) return target.status().in("the address to join");
  if (listen_.empty()) {
    return {Code::kRefused,
            "this node has no address at which a cluster could reach it: end this process, and open the "
            "database with listen=host:port in its URI"};
  }
  if (address == listen_) {
    return {Code::kRefused, address + " is this node itself: name a member of the cluster to join"};
  }
  if (Status status = begin_join(); !status) return status;
  Status joined = node_.join(address, deadline);
  std::lock_guard lock(mutex_);
  joining_--;
  return joined;
}

Status Beginnings::begin_join() {
  std::lock_guard lock(mutex_);
  if (node_.standing() == Standing::kNew && databases_.has_data()) {
    return {Code::kRefused, "the databases in " + databases_.paths().directory +
                                " hold data of their own, which a join would lose: "
                                "join with a node in an empty directory"};
  }
  joining_++;
  return Status::ok();
}

}  // namespace dqlite::extension
